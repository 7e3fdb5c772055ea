/** One list from two sources: files on their way from this page, and uploads the server knows. */

import { type State, states, type Upload } from "./api.ts";
import { split } from "./names.ts";
import type { Sending } from "./send/sending.ts";

/** What a row shows as its state: the server's word, or where the file is on its way there. */
export type Shown = State | Sending["phase"]["is"] | "expected";

export type Filter = "all" | "here" | State;
export const filters: readonly Filter[] = ["all", "here", ...states];

export interface Row {
	/** Stays the same from the moment a file is dropped until it is archived. */
	id: string;
	sending: Sending | null;
	upload: Upload | null;
	shown: Shown;
	folder: string;
	name: string;
	at: number;
}

export interface Wanted {
	filter: Filter;
	q: string;
}

/**
 * Rows in the order of the table: newest first, files dropped together in the order of the drop.
 *
 * A file sent from here and the upload with its key are one row. `seen` remembers, by key, the
 * last upload seen for files sent from here, for those that `listed` does not reach.
 */
export function rows(
	listed: readonly Upload[],
	sendings: readonly Sending[],
	seen: ReadonlyMap<string, Upload>,
	wanted: Wanted,
): Row[] {
	const byKey = new Map<string, Upload>();
	for (const upload of listed) {
		const other = byKey.get(upload.key);
		// A repeat of an upload stands beside it, it does not stand for it.
		if (!other || (other.state === "duplicate" && upload.state !== "duplicate")) {
			byKey.set(upload.key, upload);
		}
	}
	const taken = new Set<string>();
	const merged: (Row & { sequence: number })[] = [];
	for (const sending of sendings) {
		const upload =
			sending.key === null ? null : (byKey.get(sending.key) ?? seen.get(sending.key) ?? null);
		if (upload) taken.add(upload.id);
		const row: Row = {
			id: sending.id,
			sending,
			upload,
			shown: shown(sending, upload),
			folder: sending.key === null ? sending.folder : split(sending.key).folder,
			name: sending.name,
			at: sending.addedAt,
		};
		if (matches(row, wanted)) merged.push({ ...row, sequence: sending.sequence });
	}
	for (const upload of listed) {
		if (taken.has(upload.id)) continue;
		const at = Date.parse(upload.received_at);
		const shown: Shown = upload.expected && upload.state === "pending" ? "expected" : upload.state;
		const row = { id: upload.id, sending: null, upload, shown, at };
		merged.push({ ...row, ...split(upload.key), sequence: 0 });
	}
	return merged.sort((a, b) => b.at - a.at || a.sequence - b.sequence);
}

function shown(sending: Sending, upload: Upload | null): Shown {
	if (!upload) return sending.phase.is;
	// A minted key has its row before its bytes: until they are there, this page knows more.
	const { is } = sending.phase;
	const before = upload.expected || upload.version_id === null;
	return before || (upload.state === "pending" && is !== "sent") ? is : upload.state;
}

/** Whether the server would list this upload for these wishes. */
export const fits = (upload: Upload, { filter, q }: Wanted): boolean =>
	(filter === "all" || filter === upload.state) &&
	upload.key.toLowerCase().includes(q.toLowerCase());

export const isHere = (row: Row): boolean =>
	row.sending !== null && row.shown === row.sending.phase.is;

/** The server filters its own rows; these are the ones only this page knows. */
function matches(row: Row, { filter, q }: Wanted): boolean {
	if (filter === "here" ? !isHere(row) : filter !== "all" && row.shown !== filter) return false;
	const text = `${row.sending?.key ?? ""}\n${row.folder}${row.name}`.toLowerCase();
	return text.includes(q.toLowerCase());
}
