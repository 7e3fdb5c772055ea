/** What the server takes, told before a byte is sent; the server's own refusal is what counts. */

import type { Server } from "./api.ts";
import { sizeBytesMax } from "./send/part-size.ts";

export type Limits = Pick<Server["limits"], "size_bytes_max" | "types">;

/** Whether some files may not be sent. Credentials cannot be bound to that, so they are not given then. */
export const isLimited = ({ size_bytes_max, types }: Limits): boolean =>
	size_bytes_max !== null || types.length > 0;

/** What may be sent, in words for beside the place files are dropped; empty where all may. */
export function allowed({ size_bytes_max: most, types }: Limits): string {
	const size = most === null ? "" : ` of at most ${inWords(most, most)}`;
	if (types.length > 0) return `You may send only ${types.join(", ")}${size}.`;
	return size === "" ? "" : `You may send files${size}.`;
}

/** Why a file would be refused, in the server's words; `null` where nothing is known against it. */
export function refusal(
	{ size, type }: { size: number; type: string },
	{ size_bytes_max: most, types }: Limits,
): string | null {
	if (types.length > 0 && !types.some((range) => covers(range, type))) {
		return `this file is ${type || "of unknown type"}, you may send only ${types.join(", ")}`;
	}
	if (most !== null && size > most) {
		return `this file has ${inWords(size, most)}, you may send files of at most ${inWords(most, size)}`;
	}
	if (size > sizeBytesMax) return "this file is larger than 50 TB, the most S3 takes";
	return null;
}

const units: [number, string][] = [
	[1e12, "TB"],
	[1e9, "GB"],
	[1e6, "MB"],
	[1e3, "kB"],
];

/** A size as the server says it, `6.2 GB`; in full where it would read like another one. */
function inWords(size: number, other: number): string {
	const spoken = (size: number): string | null => {
		const [unit, name] = units.find(([unit]) => size >= unit) ?? [];
		return unit === undefined ? null : `${Math.round((size * 10) / unit) / 10} ${name}`;
	};
	const words = spoken(size);
	return words !== null && (size === other || words !== spoken(other)) ? words : `${size} bytes`;
}

function covers(range: string, type: string): boolean {
	const [wanted = "", subtype = ""] = range.toLowerCase().split("/");
	const [main = "", sub = ""] = (type || "application/octet-stream").toLowerCase().split("/");
	return (wanted === "*" || wanted === main) && (subtype === "*" || subtype === sub);
}
