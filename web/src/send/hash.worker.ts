/** Reads files once and computes their checksums, away from the page so that it stays responsive. */

import { sha256 } from "@noble/hashes/sha2.js";
import { Crc64Nvme } from "./crc64nvme.ts";
import { base64, hex } from "./digest.ts";
import type { Answer, Order } from "./hash.ts";

const stepBytes = 4 * 1024 * 1024;
const cancelled = new Set<number>();
const scope = self as unknown as {
	onmessage: (event: MessageEvent<Order>) => void;
	postMessage(answer: Answer): void;
};

async function digest(number: number, file: Blob): Promise<void> {
	const crc = new Crc64Nvme();
	// The browser's own SHA-256 is several times faster, but takes a whole file at once.
	const whole = file.size <= stepBytes * 4 && "subtle" in crypto;
	const sha = sha256.create();
	let found: Uint8Array | null = null;
	for (let at = 0; at < file.size; at += stepBytes) {
		if (cancelled.delete(number)) return;
		const bytes = new Uint8Array(await file.slice(at, at + stepBytes).arrayBuffer());
		crc.update(bytes);
		if (!whole) sha.update(bytes);
	}
	if (whole)
		found = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
	scope.postMessage({
		number,
		digest: { sha256: hex(found ?? sha.digest()), crc64nvme: base64(crc.digest()) },
	});
}

let last = Promise.resolve();

scope.onmessage = ({ data: order }) => {
	const { number, file } = order;
	if (!file) {
		cancelled.add(number);
		return;
	}
	// Small files wait for no large one: they are short, and cannot be sent before.
	const run = (): Promise<void> =>
		digest(number, file).catch(() => scope.postMessage({ number, digest: null }));
	if (order.first) void run();
	else last = last.then(run);
};
