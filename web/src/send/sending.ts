/** One file on its way from this page, as the views see it. */

import type { Digest } from "./digest.ts";

export type Phase =
	| { is: "waiting" }
	| { is: "sending"; sent: number; bytesPerS: number | null }
	/** Interrupted; goes on by itself, at `until` or when what is missing is there again. */
	| { is: "retrying"; why: string; until: number | null; sent: number }
	/** By the person at the page. */
	| { is: "paused"; sent: number }
	/** After a reload: the browser needs leave to read the file, or the file itself. */
	| { is: "wanted"; by: "permission" | "choosing"; sent: number }
	| { is: "sent" }
	| { is: "failed"; why: string }
	| { is: "cancelled" };

export interface Sending {
	readonly id: string;
	readonly name: string;
	/** The folders it came in, each with a slash after it. */
	readonly folder: string;
	readonly size: number;
	readonly type: string;
	/** When it was added; files added together share it, and keep their order by `sequence`. */
	readonly addedAt: number;
	readonly sequence: number;
	/** The key it is put to, known once leave for it was given. */
	readonly key: string | null;
	readonly phase: Phase;
	/** Something the reader should know about how it goes, beside its phase. */
	readonly remark: string | null;
	/** What the browser found it to be; `null` until it was read through. */
	readonly digest: Digest | null;
}

/** How many bytes of it are in the store, as far as this page knows. */
export function sentOf({ phase, size }: Sending): number {
	if (phase.is === "sent") return size;
	return "sent" in phase ? phase.sent : 0;
}

const open = new Set<Phase["is"]>(["waiting", "sending", "retrying", "paused", "wanted"]);

/** Neither there, nor given up. */
export const isOpen = ({ phase }: Sending): boolean => open.has(phase.is);
