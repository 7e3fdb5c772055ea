/**
 * The queue of files on their way from this page to staging: four at a time, each tried again until
 * it is there, refused, or cancelled.
 *
 * A try that ended without an answer may have arrived. It is sent again to the same key, whose first
 * write wins: "already there" means that it had arrived, if what is there has its size and checksum.
 * Else the key is another file's, and this one asks for a key of its own.
 */

import { list } from "../api.ts";
import { type Backoff, waitMs } from "../backoff.ts";
import type { Chosen } from "../intake.ts";
import { type Limits, refusal } from "../limits.ts";
import { isSame } from "./digest.ts";
import { askToRead, type FileHandle, mayRead } from "./file-system.ts";
import { digest } from "./hash.ts";
import { judge } from "./judge.ts";
import type { Memory, Remembered } from "./memory.ts";
import { singleBytesMax } from "./part-size.ts";
import { isOpen, type Phase, type Sending, sentOf } from "./sending.ts";
import { speedometer } from "./speed.ts";
import { Broken, type Parcel, type Transport, Unread } from "./transport.ts";
import type { Way } from "./way.ts";

/** A tab's place: what goes out of it, and what it remembers. */
export interface Place {
	transport: Transport;
	memory: Memory;
}

interface Job extends Sending, Parcel {
	readonly place: Place;
	key: string | null;
	phase: Phase;
	remark: string | null;
	digest: Sending["digest"];
	way: Way;
	readonly lastModified: number;
	/** Let go once it was sent, so that a long-open page holds no files. */
	file: File | Blob | null;
	handle: FileHandle | null;
	failures: number;
	/** How often what arrived was found not to be this file. */
	others: number;
	/** Ends the reading of the file for its checksums. */
	stop: AbortController;
	digesting: Promise<unknown> | null;
	/** Ends the wait of an interrupted job early. */
	wake: (() => void) | null;
	/** It has one of the places among those that are sent. */
	isActive: boolean;
}

/** Enough to fill a connection, few enough that each file moves visibly. */
const parallel = 4;
/** For failures that the store or the server answered; silence is waited out. */
const triesMax = 8;
/** How often a file is sent anew because something else arrived: each time costs all of its bytes. */
const othersMax = 3;
/** Parts that cannot be taken back soon end in the store by themselves. */
const takeBackWithinMs = 5000;
/** A minted key takes one file; more are there only where it was not minted. */
const keysFilesMax = 100;
/** A browser whose storage hangs sends all the same. */
const rememberWithinMs = 2000;
const backoff: Backoff = { firstMs: 1000, maxMs: 30_000 };
/** How many files the page takes in one session before it asks for a reload. */
export const filesMax = 10_000;
/** Golden Retriever keeps the bytes of files up to this. */
const keptBytesMax = 10 * 1024 * 1024;
/** Files that Uppy knows at once: each change of one costs it a walk over all. */
const handedMax = 200;

export interface Taken {
	added: number;
	/** Beyond [`filesMax`]. */
	left: number;
	/** Already here: on their way, or sent from this page. */
	doubles: Chosen[];
	/** Files that were waited for, and are now there again. */
	given: number;
}

export class Uploader {
	private readonly jobs: Job[] = [];
	private sequence = 0;
	private limits: Limits = { size_bytes_max: null, types: [] };

	constructor(
		private readonly own: Place,
		/** Those of closed tabs, which this one goes on with. */
		private readonly adopted: () => Promise<Place[]>,
		private readonly way: () => Way,
		/** Something about a file changed; progress included. */
		private readonly changed: () => void,
		/** A file arrived in staging. */
		private readonly arrived: () => void,
		/** The server asks who this is. */
		private readonly signIn: (why: string) => void,
	) {
		window.addEventListener("online", () => this.wakeAll());
		window.addEventListener("offline", () => {
			for (const job of this.jobs) {
				// What cannot arrive is not waited for until it stalls.
				if (job.phase.is === "sending") job.place.transport.pause(job);
			}
		});
	}

	get all(): readonly Sending[] {
		return this.jobs;
	}

	get unfinished(): number {
		return this.jobs.filter(isOpen).length;
	}

	/** Files that would have to be chosen again if the page were closed now. */
	get losable(): number {
		return this.jobs.filter(
			(job) => isOpen(job) && job.phase.is !== "wanted" && !job.handle && job.size > keptBytesMax,
		).length;
	}

	/** Takes up what an earlier visit left. To be called once, before any file is added. */
	async restore(): Promise<void> {
		const theirs = await this.adopted().catch(() => []);
		await Promise.all([this.own, ...theirs].map((place) => this.restorePlace(place)));
		this.changed();
		this.next();
	}

	private async restorePlace(place: Place): Promise<void> {
		const { memory, transport } = place;
		const [records, earlier] = await Promise.all([memory.load(), transport.earlier()]);
		for (const record of records) {
			this.sequence = Math.max(this.sequence, record.sequence);
			const job = this.job(record, place);
			const known = record.uppyId === null ? undefined : earlier.get(record.uppyId);
			if (!known) job.uppyId = null;
			const sent = known?.sent ?? 0;
			// The page may have gone between the beginning of the upload and the first of its bytes.
			job.key ??= known?.key ?? null;
			const file = known?.data ?? (await this.reread(job));
			this.jobs.push(job);
			if (file) {
				job.file = file;
				job.phase = record.isPaused ? { is: "paused", sent } : { is: "waiting" };
			} else {
				job.phase = { is: "wanted", by: job.handle ? "permission" : "choosing", sent };
			}
			if (record.uppyId !== null) earlier.delete(record.uppyId);
		}
		transport.discard([...earlier.keys()]);
	}

	/** What the server takes, as it said last. */
	limit(limits: Limits): void {
		this.limits = limits;
	}

	/** Queues files, but for those that are here already. */
	add(chosen: readonly Chosen[], again = false): Taken {
		const addedAt = Date.now();
		const taken: Taken = { added: 0, left: 0, doubles: [], given: 0 };
		const known = new Map(this.jobs.map((job) => [print(job), job]));
		const fresh: Job[] = [];
		for (const one of chosen) {
			const { file, folder, handle } = one;
			const mark = print({ ...picked(file), folder });
			const other = known.get(mark);
			if (other && !again) {
				if (this.take(other, one)) taken.given += 1;
				else taken.doubles.push(one);
				continue;
			}
			if (this.jobs.length + fresh.length >= filesMax) {
				taken.left += 1;
				continue;
			}
			this.sequence += 1;
			const sequence = this.sequence;
			const id = `here-${addedAt.toString(36)}-${sequence}`;
			const record = { id, ...picked(file), folder, addedAt, sequence, handle };
			const blank = { uppyId: null, key: null, isPaused: false };
			const job = this.job({ ...record, ...blank }, this.own);
			job.file = file;
			const why = refusal(job, this.limits);
			if (why) job.phase = { is: "failed", why };
			// Not known to the rest of this choice: one choice holds no file twice, and files of two folders may look alike.
			fresh.push(job);
			taken.added += 1;
		}
		this.jobs.push(...fresh);
		this.own.memory.keep(fresh.filter(isOpen).map(record));
		this.changed();
		this.next();
		return taken;
	}

	/** Gives the file of a row that wants it; says in words why it is not that file. */
	give(id: string, { file, handle }: Chosen): string | null {
		const job = this.find(id);
		if (job?.phase.is !== "wanted") return null;
		if (file.name !== job.name) {
			return `the file chosen is ${file.name}, not ${job.name}`;
		}
		if (file.size !== job.size) {
			return `${job.name} has another size than before, so it is not the file that was begun; add it as a new file`;
		}
		if (file.lastModified !== job.lastModified) {
			return `${job.name} was changed since it was begun; add it as a new file`;
		}
		job.handle = handle ?? job.handle;
		this.hold(job, file);
		this.set(job, { is: "waiting" });
		job.place.memory.keep([record(job)]);
		this.next();
		return null;
	}

	/** Asks the browser for leave to read the files that want it; in answer to a click. */
	async permit(ids: readonly string[]): Promise<string | null> {
		let why: string | null = null;
		for (const id of ids) {
			const job = this.find(id);
			if (job?.phase.is !== "wanted" || !job.handle) continue;
			if (!(await askToRead(job.handle).catch(() => false))) {
				why ??= `the browser may not read ${job.name}`;
				continue;
			}
			const file = await this.reread(job);
			if (file) {
				this.hold(job, file);
				this.set(job, { is: "waiting" });
			} else {
				job.handle = null;
				this.set(job, { is: "wanted", by: "choosing", sent: sentOf(job) });
				why = `${job.name} was changed, moved or deleted since it was begun; choose it again`;
			}
		}
		this.next();
		return why;
	}

	pause(id: string): void {
		const job = this.find(id);
		if (!job || !["waiting", "sending", "retrying"].includes(job.phase.is)) return;
		const sent = sentOf(job);
		this.set(job, { is: "paused", sent });
		job.place.memory.keep([record(job)]);
		job.place.transport.pause(job);
		job.wake?.();
	}

	resume(id: string): void {
		const job = this.find(id);
		if (job?.phase.is !== "paused") return;
		job.failures = 0;
		this.set(job, { is: "waiting" });
		job.place.memory.keep([record(job)]);
		this.next();
	}

	cancel(id: string): void {
		const job = this.find(id);
		if (!job || !isOpen(job)) return;
		this.set(job, { is: "cancelled" });
		job.stop.abort();
		job.wake?.();
		job.place.memory.forget([id]);
		// What cannot be taken back now ends in the store by itself.
		job.place.transport.drop(job, false).catch(() => {});
		this.next();
	}

	/** Tries a failed or cancelled file again, or an interrupted one at once. */
	retry(id: string): void {
		const job = this.find(id);
		if (!job) return;
		job.wake?.();
		if (job.phase.is !== "failed" && job.phase.is !== "cancelled") return;
		if (!job.file) return;
		job.failures = 0;
		job.others = 0;
		job.stop = new AbortController();
		this.set(job, { is: "waiting" });
		job.place.memory.keep([record(job)]);
		this.next();
	}

	/** Takes a file that did not arrive off the page. */
	dismiss(id: string): void {
		const at = this.jobs.findIndex((job) => job.id === id);
		const job = this.jobs[at];
		if (job?.phase.is !== "failed" && job?.phase.is !== "cancelled") return;
		this.jobs.splice(at, 1);
		job.place.memory.forget([id]);
		job.place.transport.drop(job, false).catch(() => {});
		this.changed();
	}

	/** The network, the server or the reader is back: no need to sit out the wait. */
	wakeAll(): void {
		for (const job of this.jobs) job.wake?.();
	}

	private find(id: string): Job | undefined {
		return this.jobs.find((job) => job.id === id);
	}

	private job({ isPaused: _, ...given }: Omit<Remembered, "slot">, place: Place): Job {
		const { folder, name } = given;
		const job: Job = {
			...given,
			place,
			filename: folder + name,
			way: this.way(),
			sha256: null,
			crc64nvme: null,
			minting: null,
			credentials: null,
			phase: { is: "waiting" },
			remark: null,
			digest: null,
			file: null,
			failures: 0,
			others: 0,
			stop: new AbortController(),
			digesting: null,
			wake: null,
			isActive: false,
			readChecksums: async () => {
				if (job.file && job.digest === null) await this.read(job, job.file);
				if (job.digest === null) throw new Unread();
			},
			// Of the first byte on, the file may be there though the page never hears of it.
			gotKey: async () => {
				if (isOpen(job)) await within(rememberWithinMs, job.place.memory.keep([record(job)]));
			},
		};
		return job;
	}

	/** What was found of another file, that only looked the same, says nothing of this one. */
	private hold(job: Job, file: File | Blob): void {
		job.file = file;
		this.unread(job);
	}

	/** The file is read anew for its checksums. */
	private unread(job: Job): void {
		job.stop.abort();
		job.stop = new AbortController();
		job.digesting = null;
		this.found(job, null);
	}

	private found(job: Job, digest: Sending["digest"]): void {
		job.digest = digest;
		job.crc64nvme = digest?.crc64nvme ?? null;
		job.sha256 = job.size <= singleBytesMax ? (digest?.sha256 ?? null) : null;
		this.changed();
	}

	/** A file chosen again: one that was wanted, failed or cancelled is that one. */
	private take(job: Job, chosen: Chosen): boolean {
		if (job.phase.is === "wanted") return this.give(job.id, chosen) === null;
		if (job.phase.is !== "failed" && job.phase.is !== "cancelled") return false;
		this.hold(job, chosen.file);
		this.retry(job.id);
		return true;
	}

	/** The file of an earlier visit, where it may be read and is still the same. */
	private async reread(job: Job): Promise<File | null> {
		if (!job.handle || !(await mayRead(job.handle))) return null;
		const file = await job.handle.getFile().catch(() => null);
		const same = file && file.size === job.size && file.lastModified === job.lastModified;
		return same ? file : null;
	}

	private phaseOf(job: Job): Phase["is"] {
		return job.phase.is;
	}

	private set(job: Job, phase: Phase): void {
		job.phase = phase;
		this.changed();
	}

	private next(): void {
		let active = this.jobs.filter(({ isActive }) => isActive).length;
		for (const job of this.jobs) {
			if (active >= parallel) break;
			if (job.phase.is !== "waiting" || job.isActive) continue;
			active += 1;
			job.isActive = true;
			this.run(job)
				.catch((error: unknown) => this.fail(job, `this page broke: ${String(error)}`))
				.finally(() => {
					job.isActive = false;
					this.next();
				});
		}
		this.handAhead();
	}

	/** Files that wait are Uppy's to remember too: their bytes are there after a reload. */
	private handAhead(): void {
		let handed = this.jobs.filter(({ uppyId }) => uppyId !== null).length;
		for (const job of this.jobs) {
			if (handed >= handedMax) return;
			if (job.phase.is !== "waiting" && job.phase.is !== "paused") continue;
			if (job.uppyId !== null || !job.file) continue;
			handed += 1;
			this.hand(job, job.file);
		}
	}

	private hand(job: Job, file: File | Blob): void {
		const before = job.uppyId;
		job.place.transport.hand(job, file);
		if (job.uppyId !== before) job.place.memory.keep([record(job)]);
	}

	/** Tries until the job has an end or the reader stops it. An interrupted job keeps its place. */
	private async run(job: Job): Promise<void> {
		const isStopped = (): boolean => !["waiting", "sending", "retrying"].includes(job.phase.is);
		while (!isStopped()) {
			const failure = await this.attempt(job).then(
				() => null,
				(error: unknown) => error ?? new Error("no reason was given"),
			);
			if (isStopped()) return;
			if (failure === null) return this.finish(job);
			const verdict = (await isReadable(job.file))
				? judge(failure)
				: ({
						do: "fail",
						why: "the file was changed, moved or deleted after you chose it; choose it again",
					} as const);
			if (isStopped()) return;
			if (verdict.do === "fail") return this.fail(job, verdict.why);
			if (verdict.do === "signIn") {
				this.signIn(verdict.why);
				await this.wait(job, "waits until you have signed in", null);
				continue;
			}
			job.failures += 1;
			if (verdict.signAgain) job.credentials = null;
			if (verdict.anew || verdict.key !== "kept") {
				// A multipart is also gone once it was completed, in an answer that was lost.
				const there = await this.whatArrived(job);
				if (isStopped()) return;
				if (there === "this") return this.finish(job);
				const isTaken = there === "another" || (verdict.key === "lost" && there === "nothing");
				if (verdict.isOther || isTaken) {
					job.others += 1;
					if (job.others > othersMax) return this.fail(job, isTaken ? verdict.why : changing, true);
					await within(takeBackWithinMs, job.place.transport.restart(job));
					if (isStopped()) return;
				} else if (verdict.anew) {
					job.place.transport.forget(job);
				}
				if (verdict.isOther) this.unread(job);
				if (isTaken) this.loseKey(job);
				if (verdict.anew || isTaken) {
					job.remark = isTaken ? taken : verdict.why;
					this.set(job, { is: "sending", sent: 0, bytesPerS: null });
					if (isTaken) continue;
				}
			}
			if (!verdict.patient && job.failures >= triesMax) return this.fail(job, verdict.why, true);
			if (verdict.signAgain && job.failures === 1) continue;
			await this.wait(job, verdict.why, waitMs(backoff, job.failures));
		}
	}

	private async attempt(job: Job): Promise<void> {
		const file = job.file;
		if (!file) throw new Error("a file that was sent is not sent again");
		if (!navigator.onLine) throw new Broken("stall");
		job.way = this.way();
		this.set(job, { is: "sending", sent: sentOf(job), bytesPerS: null });
		const reading = this.read(job, file);
		// A large one is read beside its sending, and made a file of its parts only when that is done.
		if (file.size <= singleBytesMax) await reading;
		// Stopped, and perhaps wished for again, while it was read.
		if (this.phaseOf(job) !== "sending") throw new Broken("pause");
		if (!navigator.onLine) throw new Broken("stall");
		this.hand(job, file);
		const speed = speedometer();
		await job.place.transport.send(job, (sent) => {
			if (job.phase.is !== "sending") return;
			// Bytes move: what went wrong before is over.
			if (sent > sentOf(job)) job.failures = 0;
			this.set(job, { is: "sending", sent, bytesPerS: speed(sent, performance.now()) });
		});
	}

	/** Has the checksums computed, which then are on the job. */
	private async read(job: Job, file: File | Blob): Promise<void> {
		if (job.digest !== null) return;
		if (job.digesting === null) {
			const reading = digest(file, file.size <= singleBytesMax, job.stop.signal).then((digest) => {
				// Of a file that is no longer this one, or a reading that was given up.
				if (job.digesting !== reading) return;
				job.digesting = null;
				this.found(job, digest);
			});
			job.digesting = reading;
		}
		await job.digesting;
	}

	/** What the server has under the file's key. */
	private async whatArrived(job: Job): Promise<"this" | "another" | "nothing" | "unknown"> {
		if (job.key === null) return "nothing";
		const answer = await list({ key: job.key, limit: keysFilesMax }).catch(() => null);
		if (!answer) return "unknown";
		const there = answer.uploads.filter((upload) => !upload.expected && upload.version_id !== null);
		if (there.length === 0) return "nothing";
		if (job.file) await this.read(job, job.file);
		const same = there.map((upload) => isSame(job.size, job.digest, upload));
		if (same.includes(true)) return "this";
		return same.includes(null) ? "unknown" : "another";
	}

	/** The next try asks for a key of its own. */
	private loseKey(job: Job): void {
		job.key = null;
		job.credentials = null;
		job.place.memory.keep([record(job)]);
	}

	private finish(job: Job): void {
		job.file = null;
		job.handle = null;
		job.credentials = null;
		job.place.memory.forget([job.id]);
		job.place.transport.drop(job, true).catch(() => {});
		this.set(job, { is: "sent" });
		this.arrived();
	}

	/** A failure that may pass is tried again after a reload too, and so it is remembered. */
	private fail(job: Job, why: string, mayPass = false): void {
		// The remark told of a new beginning, which has had its end.
		job.remark = null;
		if (!mayPass) job.place.memory.forget([job.id]);
		this.set(job, { is: "failed", why });
	}

	private async wait(job: Job, why: string, ms: number | null): Promise<void> {
		const offline = !navigator.onLine;
		const forever = offline || ms === null;
		const until = forever ? null : Date.now() + ms;
		const said = offline ? "you are offline" : why;
		this.set(job, { is: "retrying", why: said, until, sent: sentOf(job) });
		await new Promise<void>((resolve) => {
			const timer = forever ? undefined : setTimeout(resolve, ms);
			job.wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
		job.wake = null;
	}
}

const picked = ({ name, size, type, lastModified }: File) => ({ name, size, type, lastModified });

/** What makes two chosen files the same one. */
const print = (file: {
	folder: string;
	name: string;
	size: number;
	lastModified: number;
}): string => JSON.stringify([file.folder, file.name, file.size, file.lastModified]);

function record(job: Job): Omit<Remembered, "slot"> {
	const { id, name, folder, size, type, lastModified, addedAt, sequence } = job;
	const { uppyId, key, handle } = job;
	const isPaused = job.phase.is === "paused";
	const file = { id, name, folder, size, type, lastModified, addedAt, sequence };
	return { ...file, uppyId, key, handle, isPaused };
}

const changing =
	"what arrives is not what was sent, each time anew; the file may be changing, or the connection spoils it";

const taken = "sent anew under a key of its own, for the first was another file's";

/** Waits for something that is only best effort, and not for long. */
const within = (ms: number, done: Promise<unknown>): Promise<unknown> =>
	Promise.race([done.catch(() => {}), new Promise((resolve) => setTimeout(resolve, ms))]);

/** Whether the browser can still read the file: it cannot once the file changed on disk. */
async function isReadable(file: Blob | null): Promise<boolean> {
	try {
		await file?.slice(0, 1).arrayBuffer();
		return true;
	} catch {
		return false;
	}
}
