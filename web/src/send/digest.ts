/** What the browser found a file to be, for comparing it with what the archive keeps. */

import type { Upload } from "../api.ts";

export interface Digest {
	/** Hexadecimal, as the report says it. */
	sha256: string;
	/** Base64, as S3 says it. */
	crc64nvme: string;
}

export interface Comparison {
	is: "equal" | "different";
	algorithm: string;
	browser: string;
	archive: string;
}

/**
 * The browser's value beside the archive's, by each algorithm both have; a difference counts, however
 * many others agree. `null` where there is nothing to compare.
 */
export function compare(digest: Digest | null, upload: Upload): Comparison | null {
	return upload.state === "archived" ? compared(digest, upload) : null;
}

/** Whether what arrived is a file of this size and these checksums; `null` where that cannot be told yet. */
export function isSame(size: number, digest: Digest | null, upload: Upload): boolean | null {
	if (upload.size !== size) return false;
	const comparison = compared(digest, upload);
	return comparison && comparison.is === "equal";
}

function compared(digest: Digest | null, upload: Upload): Comparison | null {
	if (!digest) return null;
	const found: Comparison[] = [];
	const add = (algorithm: string, browser: string, archive: string): void => {
		const is = browser === archive ? "equal" : "different";
		found.push({ is, algorithm, browser, archive });
	};
	// A composite checksum is one of the parts' checksums, not of the file.
	const kept = upload.checksum;
	if (kept?.kind === "FULL_OBJECT") {
		if (kept.algorithm === "CRC64NVME") add("CRC64NVME", digest.crc64nvme, kept.value);
		if (kept.algorithm === "SHA256") add("SHA-256", digest.sha256, hex(unbase64(kept.value)));
	}
	if (upload.sha256) add("SHA-256", digest.sha256, upload.sha256.toLowerCase());
	return found.find(({ is }) => is === "different") ?? found[0] ?? null;
}

export const hex = (bytes: Uint8Array): string =>
	[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export const unhex = (text: string): Uint8Array =>
	Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

const unbase64 = (text: string): Uint8Array =>
	Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
