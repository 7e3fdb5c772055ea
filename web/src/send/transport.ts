/**
 * Files on the wire, by Uppy: its S3 plugin sends them, whole or in parts, and its Golden Retriever
 * remembers across a reload what was sent in parts, and the bytes of small files.
 *
 * Uppy tries a request three times within two seconds. What lasts longer is the queue's to judge; each
 * of its attempts is one run here, which goes on with the parts the store does not have yet.
 */

import AwsS3 from "@uppy/aws-s3";
import Uppy, { type Body, type Meta } from "@uppy/core";
import GoldenRetriever from "@uppy/golden-retriever";
import { partSize, singleBytesMax } from "./part-size.ts";
import { completes, type Leave, leave, type Subject, type Wanted } from "./sign.ts";

/** Unfinished multiparts end in the store after so long. */
export const keptForMs = 7 * 24 * 3600 * 1000;
/** A connection that moves no byte for this long is given up. */
const stalledMs = 45_000;
/** Longer than any browser takes to open its own database. */
const restoreWithinMs = 10_000;

/** A file that the transport may be asked to send. */
export interface Parcel extends Subject {
	readonly id: string;
	readonly name: string;
	/** Uppy's name for it, once it has it. */
	uppyId: string | null;
	/** Ends when its checksums are known; fails with [`Unread`] where they are not to be had. */
	readChecksums(): Promise<void>;
	/** Called when it got its key, and awaited before any of it is sent. */
	gotKey(): Promise<void>;
}

/** A run was given up: the file was paused or taken away, or its connection stalled. */
export class Broken extends Error {
	constructor(readonly by: "pause" | "cancel" | "stall") {
		super(by === "stall" ? "the connection stalled" : `ended by ${by}`);
	}
}

/** A file could not be read for its checksums. */
export class Unread extends Error {
	constructor() {
		super("its checksum could not be computed");
	}
}

interface Run {
	resolve(): void;
	reject(why: unknown): void;
	sent(bytes: number): void;
	stall: ReturnType<typeof setTimeout> | undefined;
	/** Everything is there, and the file is still read for its checksum: no byte moves. */
	isReading: boolean;
}

/** What was there when the page was opened again. */
export interface Restored {
	data: Blob | null;
	sent: number;
	/** The key of its multipart upload, where one was begun. */
	key: string | null;
}

/** As Uppy itself says it; its types do not. */
const noMultipart = { s3Multipart: undefined } as object;

export class Transport {
	private readonly uppy: Uppy<Meta, Body>;
	private readonly parcels = new Map<string, Parcel>();
	private readonly runs = new Map<string, Run>();
	/** Files that Uppy has an uploader for: running, or paused. */
	private readonly live = new Set<string>();
	private readonly restored: Promise<void>;

	constructor(slot: number) {
		const id = `two-buckets-${slot}`;
		const quiet = { debug: () => {}, warn: () => {}, error: () => {} };
		this.uppy = new Uppy<Meta, Body>({ id, logger: quiet });
		this.uppy.use(AwsS3, {
			// The queue says how many go at once: a paused file must not keep another from its turn.
			limit: 0,
			shouldUseMultipart: ({ size }) => (size ?? 0) > singleBytesMax,
			getChunkSize: ({ size }) => partSize(size),
			generateObjectKey: (file) => String(file.meta.parcel),
			allowedMetaFields: false,
			signRequest: (request) => this.sign(request as Wanted & { key: string }),
		});
		this.uppy.on("upload-progress", (file, { bytesUploaded }) => {
			const run = file && this.runs.get(file.id);
			if (!run) return;
			this.watch(file.id, run);
			run.sent(bytesUploaded || 0);
		});
		this.uppy.on("upload-success", (file) => file && this.end(file.id, (run) => run.resolve()));
		this.uppy.on("upload-error", (file, error) => {
			if (file) this.end(file.id, (run) => run.reject(error));
		});
		this.restored = this.retrieve(id);
	}

	/** What Uppy still has of files of an earlier visit, by its name for them. */
	async earlier(): Promise<Map<string, Restored>> {
		await this.restored;
		// Its own batches are not started again: the queue starts each file.
		this.uppy.setState({ currentUploads: {}, recoveredState: null, error: null });
		return new Map(
			this.uppy.getFiles().map((file) => {
				const data = file.isGhost || file.isRemote ? null : (file.data ?? null);
				const sent = file.progress.bytesUploaded || 0;
				return [file.id, { data, sent, key: file.s3Multipart?.key ?? null }];
			}),
		);
	}

	/** Lets go what nobody asks for any more. */
	discard(ids: readonly string[]): void {
		if (ids.length > 0) this.uppy.removeFiles([...ids]);
	}

	/** Whether a multipart of this file was begun. */
	isBegun({ uppyId }: Parcel): boolean {
		return uppyId !== null && this.uppy.getFile(uppyId)?.s3Multipart !== undefined;
	}

	/** Gives Uppy a file, or the bytes of one it knows without. */
	hand(parcel: Parcel, file: File | Blob): void {
		this.parcels.set(parcel.id, parcel);
		const { uppyId } = parcel;
		const known = uppyId === null ? undefined : this.uppy.getFile(uppyId);
		if (known) {
			if (known.data !== file) {
				this.uppy.setFileState(known.id, { data: file, isGhost: false, error: null });
			}
			return;
		}
		parcel.uppyId = this.uppy.addFile({
			name: parcel.name,
			type: parcel.type,
			data: file,
			source: "page",
			// Part of Uppy's name for it: the same file may be sent twice where that is wished.
			meta: { relativePath: parcel.id, parcel: parcel.id },
		});
	}

	/** Sends what is not there yet; ends when all of it is. `Broken` says that it was stopped. */
	send(parcel: Parcel, sent: (bytes: number) => void): Promise<void> {
		const id = parcel.uppyId;
		if (id === null) return Promise.reject(new Error("a file was sent before it was handed over"));
		return new Promise((resolve, reject) => {
			const run: Run = { resolve, reject, sent, stall: undefined, isReading: false };
			this.runs.set(id, run);
			this.watch(id, run);
			if (this.live.has(id)) {
				if (this.uppy.getFile(id).isPaused) this.uppy.pauseResume(id);
				return;
			}
			this.live.add(id);
			this.uppy.retryUpload(id).catch((error: unknown) => this.end(id, (run) => run.reject(error)));
		});
	}

	/** Stops sending; what arrived in parts stays where it is. */
	pause({ uppyId: id }: Parcel): void {
		if (id === null) return;
		const file = this.uppy.getFile(id);
		if (!file) return;
		if (!file.isPaused) {
			if (this.live.has(id)) this.uppy.pauseResume(id);
			else this.uppy.setFileState(id, { isPaused: true });
		}
		this.break(id, "pause");
	}

	/** A multipart that the store no longer has: the next run begins another. */
	forget({ uppyId }: Parcel): void {
		if (uppyId !== null && this.uppy.getFile(uppyId)) {
			this.uppy.setFileState(uppyId, noMultipart);
		}
	}

	/** Takes back the parts that were sent: the next run begins anew. */
	async restart(parcel: Parcel): Promise<void> {
		const { uppyId } = parcel;
		const begun = uppyId === null ? undefined : this.uppy.getFile(uppyId)?.s3Multipart;
		this.forget(parcel);
		if (begun) await takeBack(parcel, begun);
	}

	/** Lets a file go. Parts that were sent are taken back where it is not `kept`. */
	async drop(parcel: Parcel, kept: boolean): Promise<void> {
		const id = parcel.uppyId;
		if (id === null) return;
		parcel.uppyId = null;
		const file = this.uppy.getFile(id);
		const begun = file?.s3Multipart;
		const wasLive = this.live.delete(id);
		this.break(id, "cancel");
		if (kept) {
			this.parcels.delete(parcel.id);
			if (file) this.uppy.setFileState(id, noMultipart);
		}
		// An uploader that is there takes back its parts when its file goes.
		if (file) this.uppy.removeFile(id);
		if (!kept && !wasLive && begun) await takeBack(parcel, begun);
	}

	private async sign(request: Wanted & { key: string }): Promise<Leave> {
		// Until Uppy is told the key, it calls the object by the parcel's id.
		const parcel =
			this.parcels.get(request.key) ??
			[...this.parcels.values()].find(({ key }) => key === request.key);
		if (!parcel) throw new Error("a request for a file that is not here");
		if (completes(request)) await this.read(parcel);
		const before = parcel.key;
		const given = await leave(parcel, request);
		if (given.key !== before) await parcel.gotKey();
		return given;
	}

	/** Reading a large file may take longer than sending it, and a connection that waits for it has not stalled. */
	private async read(parcel: Parcel): Promise<void> {
		const id = parcel.uppyId ?? "";
		const run = this.runs.get(id);
		if (!run) return parcel.readChecksums();
		run.isReading = true;
		clearTimeout(run.stall);
		try {
			await parcel.readChecksums();
		} finally {
			run.isReading = false;
			if (this.runs.get(id) === run) this.watch(id, run);
		}
	}

	private end(id: string, tell: (run: Run) => void): void {
		this.live.delete(id);
		const run = this.runs.get(id);
		if (!run) return;
		this.runs.delete(id);
		clearTimeout(run.stall);
		tell(run);
	}

	private break(id: string, by: Broken["by"]): void {
		const run = this.runs.get(id);
		if (!run) return;
		this.runs.delete(id);
		clearTimeout(run.stall);
		run.reject(new Broken(by));
	}

	private watch(id: string, run: Run): void {
		clearTimeout(run.stall);
		if (run.isReading) return;
		run.stall = setTimeout(() => {
			if (this.live.has(id) && !this.uppy.getFile(id).isPaused) this.uppy.pauseResume(id);
			this.break(id, "stall");
		}, stalledMs);
	}

	/** Ends when Golden Retriever has put back what it had: a file given before would be lost to it. */
	private async retrieve(id: string): Promise<void> {
		const event = new Promise<void>((resolve) => this.uppy.on("restored", () => resolve()));
		this.uppy.use(GoldenRetriever, { expires: keptForMs });
		const late = new Promise<void>((resolve) => setTimeout(resolve, restoreWithinMs));
		// It says nothing where it had nothing, so its record is looked for.
		await Promise.race([(await hasRecord(id)) ? event : undefined, late]);
	}
}

/** Ends a multipart in the store. What is not taken back ends there by itself, after [`keptForMs`]. */
async function takeBack(parcel: Parcel, begun: { key: string; uploadId: string }): Promise<void> {
	// Leave for a key that the file may be about to lose: it must not be written back to it.
	const subject = { ...parcel, key: begun.key, minting: null };
	const { url, headers } = await leave(subject, { method: "DELETE", uploadId: begun.uploadId });
	await fetch(url, { method: "DELETE", headers, credentials: "omit" });
}

/** Whether Golden Retriever 6 has a record of this Uppy that it will restore. */
async function hasRecord(id: string): Promise<boolean> {
	try {
		// Asked for after the plugin asked, so opened after it, in its version.
		const base = await asked(indexedDB.open("uppy-blobs"));
		try {
			const store = base.transaction(["metadata"]).objectStore("metadata");
			const record = (await asked(store.get(id))) as { expires: number } | undefined;
			return record !== undefined && record.expires >= Date.now();
		} finally {
			base.close();
		}
	} catch {
		return false;
	}
}

const asked = <T>(request: IDBRequest<T>): Promise<T> =>
	new Promise((resolve, reject) => {
		request.onsuccess = () => resolve(request.result);
		request.onerror = () => reject(request.error);
	});
