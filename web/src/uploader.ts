/**
 * Files on their way from this page to staging: a queue, four at a time, each tried again until
 * it is there, refused, or cancelled.
 *
 * A try that ended without an answer may have arrived. It is sent again to the same key, whose
 * first write wins: "already there" then means that it had arrived.
 */

import { Away, Refused, type SignedUrl, signedUrl } from "./api.ts";
import { type Backoff, waitMs } from "./backoff.ts";
import { PutFailed, put } from "./put.ts";

export type Phase =
	| { is: "waiting" }
	| { is: "sending"; sent: number; bytesPerS: number | null }
	| { is: "paused"; why: string; until: number }
	| { is: "sent" }
	| { is: "failed"; why: string }
	| { is: "cancelled" };

export interface Sending {
	readonly id: string;
	readonly name: string;
	readonly size: number;
	readonly type: string;
	/** When it was added; files added together share it, and keep their order by `sequence`. */
	readonly addedAt: number;
	readonly sequence: number;
	/** The key it is put to, known once its URL was signed. */
	key: string | null;
	phase: Phase;
}

interface Job extends Sending {
	/** Let go once it was sent, so that a long-open page holds no files. */
	file: File | null;
	signed: SignedUrl | null;
	failures: number;
	stop: AbortController;
	/** When the wait of a paused job ends, and what ends it early. */
	wake: (() => void) | null;
}

/** Enough to fill a connection, few enough that each file moves visibly. */
const parallel = 4;
const triesMax = 8;
const backoff: Backoff = { firstMs: 1000, maxMs: 30_000 };
/** Signed URLs about to expire are signed again. */
const expiryMarginMs = 15_000;
/** How many files the page takes in one session before it asks for a reload. */
export const filesMax = 10_000;

export class Uploader {
	private readonly jobs: Job[] = [];
	private active = 0;
	private sequence = 0;

	constructor(
		/** Something about a file changed; progress included. */
		private readonly changed: () => void,
		/** A file arrived in staging. */
		private readonly arrived: () => void,
	) {
		window.addEventListener("online", () => this.wakePaused());
	}

	get all(): readonly Sending[] {
		return this.jobs;
	}

	/** Files that would be lost if the page were closed now. */
	get unfinished(): number {
		return this.jobs.filter((job) => ["waiting", "sending", "paused"].includes(job.phase.is))
			.length;
	}

	/** Queues files; returns how many were taken, which is fewer only past [`filesMax`]. */
	add(files: readonly File[]): number {
		const addedAt = Date.now();
		const taken = files.slice(0, Math.max(0, filesMax - this.jobs.length));
		for (const file of taken) {
			this.sequence += 1;
			this.jobs.push({
				id: `here-${this.sequence}`,
				name: file.name,
				size: file.size,
				type: file.type,
				addedAt,
				sequence: this.sequence,
				key: null,
				phase: { is: "waiting" },
				file,
				signed: null,
				failures: 0,
				stop: new AbortController(),
				wake: null,
			});
		}
		this.changed();
		this.next();
		return taken.length;
	}

	cancel(id: string): void {
		const job = this.find(id);
		if (!job || ["sent", "failed", "cancelled"].includes(job.phase.is)) return;
		job.phase = { is: "cancelled" };
		job.stop.abort();
		job.wake?.();
		this.changed();
	}

	/** Tries a failed or cancelled file again, or a paused one at once. */
	retry(id: string): void {
		const job = this.find(id);
		if (!job?.file) return;
		job.wake?.();
		if (job.phase.is !== "failed" && job.phase.is !== "cancelled") return;
		job.failures = 0;
		job.stop = new AbortController();
		job.phase = { is: "waiting" };
		this.changed();
		this.next();
	}

	/** Takes a file that did not arrive off the page. */
	dismiss(id: string): void {
		const at = this.jobs.findIndex((job) => job.id === id);
		const phase = this.jobs[at]?.phase.is;
		if (phase !== "failed" && phase !== "cancelled") return;
		this.jobs.splice(at, 1);
		this.changed();
	}

	/** The network or the server is back: no need to sit out the wait. */
	wakePaused(): void {
		for (const job of this.jobs) job.wake?.();
	}

	private find(id: string): Job | undefined {
		return this.jobs.find((job) => job.id === id);
	}

	private next(): void {
		for (const job of this.jobs) {
			if (this.active >= parallel) return;
			if (job.phase.is !== "waiting") continue;
			this.active += 1;
			job.phase = { is: "sending", sent: 0, bytesPerS: null };
			this.run(job)
				.catch((error: unknown) => this.fail(job, `this page broke: ${String(error)}`))
				.finally(() => {
					this.active -= 1;
					this.next();
				});
		}
	}

	/** Tries until the job has an end. A paused job keeps its place: what fails one fails all. */
	private async run(job: Job): Promise<void> {
		const stop = job.stop;
		while (!stop.signal.aborted) {
			const failure = await this.attempt(job, stop.signal).then(
				() => null,
				(error: unknown) => error,
			);
			if (stop.signal.aborted) return;
			if (failure === null) return this.finish(job);
			const verdict = await judge(failure, job);
			if (stop.signal.aborted) return;
			if (verdict.do === "finish") return this.finish(job);
			if (verdict.do === "fail") return this.fail(job, verdict.why);
			job.failures += 1;
			if (verdict.signAgain) job.signed = null;
			if (job.failures >= triesMax) return this.fail(job, verdict.why);
			await this.pause(job, verdict.why);
		}
	}

	private async attempt(job: Job, signal: AbortSignal): Promise<void> {
		const file = job.file;
		if (!file) throw new Error("a file that was sent is not sent again");
		job.phase = { is: "sending", sent: 0, bytesPerS: null };
		this.changed();
		if (job.signed && Date.parse(job.signed.expires_at) - Date.now() < expiryMarginMs) {
			job.signed = null;
		}
		if (!job.signed) {
			const about = { type: job.type, size: job.size };
			const signed = await signedUrl(
				job.key === null ? { filename: job.name, ...about } : { key: job.key, ...about },
			);
			if (signal.aborted) return;
			job.signed = signed;
			job.key = signed.key;
		}
		const speed = speedometer();
		const sent = (count: number): void => {
			if (signal.aborted) return;
			job.phase = { is: "sending", sent: count, bytesPerS: speed(count, performance.now()) };
			this.changed();
		};
		await put(file, job.signed, sent, signal);
	}

	private finish(job: Job): void {
		job.file = null;
		job.signed = null;
		job.phase = { is: "sent" };
		this.changed();
		this.arrived();
	}

	private fail(job: Job, why: string): void {
		job.phase = { is: "failed", why };
		this.changed();
	}

	private async pause(job: Job, why: string): Promise<void> {
		const ms = waitMs(backoff, job.failures);
		job.phase = { is: "paused", why, until: Date.now() + ms };
		this.changed();
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, ms);
			job.wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
		job.wake = null;
	}
}

type Verdict =
	| { do: "finish" }
	| { do: "fail"; why: string }
	| { do: "again"; why: string; signAgain: boolean };

const again = (why: string, signAgain = false): Verdict => ({ do: "again", why, signAgain });
const fail = (why: string): Verdict => ({ do: "fail", why });

/** The one place that decides what follows from a failed try. */
async function judge(failure: unknown, job: Job): Promise<Verdict> {
	if (failure instanceof Away) return again("the server does not answer");
	if (failure instanceof Refused) {
		if (failure.status === 429 || failure.status >= 500) return again(failure.message);
		return fail(failure.message);
	}
	if (!(failure instanceof PutFailed)) throw failure;
	if (failure.status === 0) {
		if (!(await readable(job.file))) {
			return fail("the file was changed, moved or deleted after you chose it; choose it again");
		}
		return again(failure.message);
	}
	// The key was minted for this file, so what is there is this file: an earlier try of ours, or one
	// the browser made by itself on a connection it found closed, whose answer was lost.
	if (failure.status === 412) return { do: "finish" };
	if (failure.status === 403 && /expired/i.test(`${failure.code} ${failure.message}`)) {
		return again("the signed URL expired", true);
	}
	if (failure.status === 408 || failure.status === 409 || failure.status === 429) {
		return again(words(failure));
	}
	if (failure.status >= 500) {
		// An answer of 500 does not say that nothing was kept.
		return again(words(failure));
	}
	return fail(words(failure));
}

const known: Record<string, string> = {
	AccessDenied: "the store refused this upload",
	EntityTooLarge: "the file is larger than the store takes in one piece",
	ServiceUnavailable: "the store is busy",
	SlowDown: "the store is busy",
	SignatureDoesNotMatch: "the store did not accept the signature of this upload",
};

function words(failure: PutFailed): string {
	return (
		known[failure.code] ?? (failure.message || `the store answered with status ${failure.status}`)
	);
}

/** Whether the browser can still read the file: it cannot once the file changed on disk. */
async function readable(file: File | null): Promise<boolean> {
	try {
		await file?.slice(0, 1).arrayBuffer();
		return true;
	} catch {
		return false;
	}
}

/** Bytes per second over the last few seconds; `null` until there is enough to say. */
export function speedometer(): (bytes: number, nowMs: number) => number | null {
	const windowMs = 5000;
	const seen: { bytes: number; at: number }[] = [];
	return (bytes, at) => {
		seen.push({ bytes, at });
		while (seen.length > 2 && at - (seen[0]?.at ?? at) > windowMs) seen.shift();
		const first = seen[0];
		if (!first || at - first.at < 250) return null;
		return ((bytes - first.bytes) / (at - first.at)) * 1000;
	};
}
