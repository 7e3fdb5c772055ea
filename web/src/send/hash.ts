/** Checksums of files, by a worker that is started when the first is asked for. */

import type { Digest } from "./digest.ts";

export interface Order {
	number: number;
	/** `null` takes the order back. */
	file: Blob | null;
	/** Before files that were asked for earlier. */
	first: boolean;
}

export interface Answer {
	number: number;
	/** `null` where the file could not be read. */
	digest: Digest | null;
}

type Waiting = (digest: Digest | null) => void;

let worker: Worker | undefined;
let numbers = 0;
const waiting = new Map<number, Waiting>();

function started(): Worker {
	if (worker) return worker;
	const made = new Worker(new URL("./hash.worker.ts", import.meta.url), { type: "module" });
	worker = made;
	made.onmessage = ({ data }: MessageEvent<Answer>) => settle(data.number, data.digest);
	// It could not be fetched, as when the server is away: these files go without, the next try it again.
	made.onerror = () => {
		made.terminate();
		worker = undefined;
		for (const number of [...waiting.keys()]) settle(number, null);
	};
	return worker;
}

function settle(number: number, digest: Digest | null): void {
	waiting.get(number)?.(digest);
	waiting.delete(number);
}

/** The file's checksums; `null` where it cannot be read or `signal` was given. */
export function digest(file: Blob, first: boolean, signal: AbortSignal): Promise<Digest | null> {
	return new Promise((resolve) => {
		if (signal.aborted) return resolve(null);
		numbers += 1;
		const number = numbers;
		waiting.set(number, resolve);
		started().postMessage({ number, file, first } satisfies Order);
		signal.addEventListener("abort", () => {
			if (!waiting.has(number)) return;
			started().postMessage({ number, file: null, first } satisfies Order);
			settle(number, null);
		});
	});
}
