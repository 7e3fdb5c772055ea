/**
 * Leave for each request to the store, in either way: a URL that the server signed, or keys for one
 * file with which it is signed here.
 *
 * The first request of a file sends its name and gets a key made for it alone; every later one asks
 * for that key. Each request is signed right before it is sent, so that a file that takes longer than
 * a grant lives goes on under the next.
 */

import { AwsV4Signer } from "aws4fetch";
import * as api from "../api.ts";
import { partBytes } from "./part-size.ts";
import type { Way } from "./way.ts";

/** What of a file is signed, and where its key is kept. */
export interface Subject {
	way: Way;
	/** With its folders. */
	readonly filename: string;
	readonly type: string;
	readonly size: number;
	sha256: string | null;
	/** Base64; the store makes a file of parts only if it has this checksum. */
	crc64nvme: string | null;
	/** Known once the first leave was given. */
	key: string | null;
	minting: Promise<api.Signed> | null;
	credentials: api.Credentials | null;
}

/** As Uppy asks: parts have a number, everything about a multipart has its upload id. */
export interface Wanted {
	method: "PUT" | "POST" | "GET" | "DELETE";
	contentType?: string;
	uploadId?: string;
	partNumber?: number;
}

/** Whether a request makes the file of its parts. */
export const completes = ({ method, uploadId }: Wanted): boolean =>
	method === "POST" && uploadId !== undefined;

export interface Leave {
	url: string;
	key: string;
	headers: Record<string, string>;
}

/** Credentials with less than this left are asked for again. */
const expiryMarginMs = 60_000;
/** How long a URL signed here is good for: until its request begins, with a poor clock. */
const signedForS = 900;
/** The browser sets these by itself and refuses a script that tries to. */
const setByTheBrowser = new Set(["host", "content-length"]);

export async function leave(subject: Subject, wanted: Wanted): Promise<Leave> {
	const ask = subject.way === "signed" ? signedByServer : signedHere;
	// Two first requests at once would get two keys.
	if (subject.key === null && subject.minting) await subject.minting.catch(() => {});
	const asked = ask(subject, wanted);
	if (subject.key === null) subject.minting = asked;
	try {
		const { url, key, headers } = await asked;
		subject.key = key;
		const sent = Object.entries(headers).filter(
			([name]) => !setByTheBrowser.has(name.toLowerCase()),
		);
		return { url, key, headers: Object.fromEntries(sent) };
	} finally {
		subject.minting = null;
	}
}

const named = ({ key, filename }: Subject): api.Named => (key === null ? { filename } : { key });

const about = ({ type, size, sha256 }: Subject) => ({
	type,
	size,
	...(sha256 === null ? {} : { sha256 }),
});

function signedByServer(subject: Subject, wanted: Wanted): Promise<api.Signed> {
	const { method, uploadId, partNumber } = wanted;
	if (method === "PUT" && uploadId === undefined) {
		return api.signedUrl({ ...named(subject), ...about(subject) });
	}
	const { type, size } = subject;
	const begins = { contentType: type || "application/octet-stream", size };
	return api.signRequest({
		...named(subject),
		method,
		...(uploadId === undefined ? begins : { uploadId }),
		...(partNumber === undefined ? {} : { partNumber, size: partBytes(size, partNumber) }),
		...(completes(wanted) ? { size, crc64nvme: crcOf(subject) } : {}),
	});
}

/** Parts are never made a file unseen: those of an earlier visit may be of another file that looked the same. */
function crcOf({ crc64nvme }: Subject): string {
	if (crc64nvme === null) throw new Error("a file was to be made of its parts before it was read");
	return crc64nvme;
}

async function signedHere(subject: Subject, wanted: Wanted): Promise<api.Signed> {
	let grant = subject.credentials;
	if (!grant || Date.parse(grant.expires_at) - Date.now() < expiryMarginMs) {
		grant = await api.credentials({ ...named(subject), ...about(subject) });
		subject.credentials = grant;
	}
	const { method, uploadId, partNumber } = wanted;
	const headers: Record<string, string> = {};
	const url = new URL(`${grant.endpoint.replace(/\/$/, "")}/${grant.bucket}/${encoded(grant.key)}`);
	if (uploadId !== undefined) url.searchParams.set("uploadId", uploadId);
	if (partNumber !== undefined) url.searchParams.set("partNumber", String(partNumber));
	if (uploadId === undefined) {
		headers["content-type"] = subject.type || "application/octet-stream";
		if (method === "POST") url.searchParams.set("uploads", "");
	}
	if (completes(wanted)) {
		headers["x-amz-checksum-crc64nvme"] = crcOf(subject);
		headers["x-amz-checksum-type"] = "FULL_OBJECT";
		headers["x-amz-mp-object-size"] = String(subject.size);
	}
	const makesObject = uploadId === undefined ? method === "PUT" : method === "POST";
	// The key was made for this file: whatever is there is this file already.
	if (makesObject) headers["if-none-match"] = "*";
	if (makesObject && uploadId === undefined && subject.sha256 !== null) {
		const bytes = subject.sha256.match(/../g) ?? [];
		const binary = String.fromCharCode(...bytes.map((pair) => Number.parseInt(pair, 16)));
		headers["x-amz-checksum-sha256"] = btoa(binary);
	}
	const leftS = Math.floor((Date.parse(grant.expires_at) - Date.now()) / 1000);
	url.searchParams.set("X-Amz-Expires", String(Math.max(1, Math.min(signedForS, leftS))));
	const signer = new AwsV4Signer({
		method,
		url: url.href,
		headers,
		accessKeyId: grant.access_key,
		secretAccessKey: grant.secret_key,
		sessionToken: grant.session_token,
		service: "s3",
		region: grant.region,
		signQuery: true,
		allHeaders: true,
	});
	const signed = await signer.sign();
	const { key, expires_at, id } = grant;
	return { url: signed.url.href, key, headers, expires_at, id };
}

/** A key as a path: each part of it escaped, with the characters S3 wants escaped as well. */
const encoded = (key: string): string =>
	key
		.split("/")
		.map((part) =>
			encodeURIComponent(part).replaceAll(
				/[!'()*]/g,
				(character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
			),
		)
		.join("/");
