/**
 * What the page remembers of files that are not sent yet, so that they go on after a reload: their
 * names and keys, and where the browser gives one, a handle to read them again.
 *
 * Bytes and multiparts are Golden Retriever's to remember. Records of finished files are deleted.
 */

import { keep, kept } from "../storage.ts";
import type { FileHandle } from "./file-system.ts";
import { keptForMs } from "./transport.ts";

export interface Remembered {
	id: string;
	slot: number;
	name: string;
	folder: string;
	size: number;
	type: string;
	lastModified: number;
	addedAt: number;
	sequence: number;
	uppyId: string | null;
	key: string | null;
	handle: FileHandle | null;
	isPaused: boolean;
}

const store = "files";

export class Memory {
	private readonly base: Promise<IDBDatabase | null>;

	constructor(private readonly slot: number) {
		this.base = opened().catch(() => null);
	}

	/** What earlier visits left; what is too old to go on is forgotten. */
	async load(): Promise<Remembered[]> {
		const all = await this.all();
		const old = all.filter(({ addedAt }) => addedAt < Date.now() - keptForMs);
		this.forget(old.map(({ id }) => id));
		return all
			.filter((record) => record.slot === this.slot && !old.includes(record))
			.sort((a, b) => a.sequence - b.sequence);
	}

	/** Places of other tabs, open or closed, that left files unfinished. */
	async others(): Promise<number[]> {
		const all = await this.all();
		return [...new Set(all.map(({ slot }) => slot))].filter((slot) => slot !== this.slot);
	}

	private async all(): Promise<Remembered[]> {
		const base = await this.base;
		if (!base) return [];
		return new Promise((resolve) => {
			const request = base.transaction(store).objectStore(store).getAll();
			request.onsuccess = () => resolve(request.result as Remembered[]);
			request.onerror = () => resolve([]);
		});
	}

	/** Ends when it is written. Best effort: without it a reload asks for the files again. */
	keep(records: readonly Omit<Remembered, "slot">[]): Promise<void> {
		return this.write((files) => {
			for (const record of records) files.put({ ...record, slot: this.slot });
		});
	}

	forget(ids: readonly string[]): void {
		if (ids.length === 0) return;
		void this.write((files) => {
			for (const id of ids) files.delete(id);
		});
	}

	private async write(change: (files: IDBObjectStore) => void): Promise<void> {
		const base = await this.base;
		try {
			if (!base) return;
			const transaction = base.transaction(store, "readwrite");
			change(transaction.objectStore(store));
			await new Promise<void>((resolve) => {
				transaction.oncomplete = () => resolve();
				transaction.onabort = () => resolve();
			});
		} catch {
			// The browser is out of room, or the page is going.
		}
	}
}

function opened(): Promise<IDBDatabase> {
	return new Promise((resolve, reject) => {
		const request = indexedDB.open("two-buckets", 1);
		request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: "id" });
		request.onsuccess = () => {
			// Another tab with a newer page must not wait for this one.
			request.result.onversionchange = () => request.result.close();
			resolve(request.result);
		};
		request.onerror = () => reject(request.error);
		request.onblocked = () => reject(new Error("another tab keeps the database"));
	});
}

/** More tabs than anybody has: beyond it they would share a place, and send each other's files again. */
const slotsMax = 1000;
const slotName = "two-buckets-slot";
const adoptedName = "two-buckets-adopted";
/** A page that is reloaded gives up its slot a moment after the next one asks. */
const slotWithinMs = 3000;

/**
 * The place of this tab among those open at once: each remembers its own files, and a second tab does
 * not send those of the first again. A reload keeps its place, and a new tab takes the first free one.
 */
export async function ownSlot(): Promise<number> {
	if (!("locks" in navigator)) return 0;
	const had = Number(kept("session", slotName) ?? Number.NaN);
	if (Number.isInteger(had) && (await hold(had, AbortSignal.timeout(slotWithinMs)))) return had;
	for (let slot = 0; slot < slotsMax; slot += 1) {
		if (await hold(slot, null)) {
			keep("session", slotName, String(slot));
			return slot;
		}
	}
	return slotsMax;
}

/**
 * The places of tabs that were closed with unfinished files, which this tab goes on with: two may be closed, and one
 * come back. They are this tab's until it is gone, over a reload too.
 */
export async function adopted(memory: Memory): Promise<number[]> {
	if (!("locks" in navigator)) return [];
	const had = (kept("session", adoptedName) ?? "").split(",");
	const taken = await Promise.all(
		(await memory.others()).map(async (slot) => {
			const signal = had.includes(String(slot)) ? AbortSignal.timeout(slotWithinMs) : null;
			return (await hold(slot, signal)) ? [slot] : [];
		}),
	);
	keep("session", adoptedName, taken.flat().join(","));
	return taken.flat();
}

/** Takes a slot until the tab is gone; waits for it only where `signal` ends the wait. */
function hold(slot: number, signal: AbortSignal | null): Promise<boolean> {
	return new Promise((resolve) => {
		const options: LockOptions = signal ? { signal } : { ifAvailable: true };
		navigator.locks
			.request(`two-buckets-${slot}`, options, (lock) => {
				resolve(lock !== null);
				return lock === null ? undefined : new Promise<void>(() => {});
			})
			.catch(() => resolve(false));
	});
}
