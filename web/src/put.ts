/** One PUT of one file to a signed URL, with progress. */

import type { SignedUrl } from "./api.ts";

/** Why a PUT did not end with an answer of success. */
export class PutFailed extends Error {
	constructor(
		/** Zero where there was no answer. */
		readonly status: number,
		/** The S3 error code, where the store gave one. */
		readonly code: string,
		message: string,
	) {
		super(message);
	}
}

/** A connection that moves no byte for this long is given up. */
const stalledMs = 30_000;

/** The browser sets these by itself and refuses a script that tries to. */
const setByTheBrowser = new Set(["host", "content-length"]);

export function put(
	file: Blob,
	signed: SignedUrl,
	onSent: (bytes: number) => void,
	signal: AbortSignal,
): Promise<void> {
	return new Promise((resolve, reject) => {
		const request = new XMLHttpRequest();
		let stall = 0;
		const watch = (): void => {
			clearTimeout(stall);
			stall = window.setTimeout(() => {
				request.abort();
				settle(new PutFailed(0, "", "the connection stalled"));
			}, stalledMs);
		};
		const cancelled = (): void => {
			request.abort();
			settle(new DOMException("cancelled", "AbortError"));
		};
		const settle = (failure?: Error): void => {
			clearTimeout(stall);
			signal.removeEventListener("abort", cancelled);
			if (failure) reject(failure);
			else resolve();
		};
		request.open(signed.method, signed.url);
		for (const [name, value] of Object.entries(signed.headers)) {
			if (!setByTheBrowser.has(name.toLowerCase())) request.setRequestHeader(name, value);
		}
		request.upload.onprogress = (event) => {
			onSent(event.loaded);
			watch();
		};
		request.onload = () => {
			if (request.status >= 200 && request.status < 300) return settle();
			const { code, message } = s3Error(request.responseText);
			settle(new PutFailed(request.status, code, message));
		};
		request.onerror = () => settle(new PutFailed(0, "", "the connection was lost"));
		signal.addEventListener("abort", cancelled);
		if (signal.aborted) return cancelled();
		watch();
		request.send(file);
	});
}

/** Code and message of an S3 error document; empty where it is none. */
function s3Error(xml: string): { code: string; message: string } {
	const document = new DOMParser().parseFromString(xml, "application/xml");
	const text = (name: string): string =>
		document.querySelector(`Error > ${name}`)?.textContent ?? "";
	return { code: text("Code"), message: text("Message") };
}
