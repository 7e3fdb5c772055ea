/** The upload API as the page sees it: its answers' types and one function per call. */

export const states = ["pending", "processing", "archived", "failed", "late", "duplicate"] as const;
export type State = (typeof states)[number];

/** States that nothing but a person or a newer upload will change. */
export const isFinal = (state: State): boolean => state !== "pending" && state !== "processing";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Upload {
	id: string;
	bucket: string;
	key: string;
	version_id: string | null;
	state: State;
	size: number | null;
	etag: string | null;
	received_at: string;
	started_at: string | null;
	finished_at: string | null;
	attempts: number;
	next_attempt_at: string | null;
	reason: string | null;
	archive: { bucket: string; key: string; version_id: string | null } | null;
	media_type: string | null;
	sha256: string | null;
	report: { [name: string]: Json } | null;
}

export interface Attempt {
	number: number;
	started_at: string;
	ended_at: string | null;
	outcome: "succeeded" | "transient" | "permanent" | "crashed" | null;
	reason: string | null;
}

export type UploadDetail = Upload & { attempts_log: Attempt[] };

export interface Listing {
	uploads: Upload[];
	next: string | null;
	counts: Record<State, number>;
	oldest_unfinished: { key: string; received_at: string; age_s: number } | null;
}

export interface Server {
	version: string;
	s3: { endpoint: string; region: string };
	staging: string;
	archive: string;
	processor: string;
	paused: boolean;
}

export interface SignedUrl {
	url: string;
	method: string;
	key: string;
	headers: Record<string, string>;
	expires_at: string;
}

export interface Query {
	state?: State | undefined;
	q?: string | undefined;
	key?: string | undefined;
	limit?: number;
	after?: string | undefined;
}

/** The server answered, and said no. */
export class Refused extends Error {
	constructor(
		readonly status: number,
		message: string,
	) {
		super(message);
	}
}

/** No answer: the server is away, or the network is. */
export class Away extends Error {}

/** How long a call may take before the server counts as away. */
const answerWithinMs = 15_000;

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
	const init: RequestInit = {
		method,
		cache: "no-store",
		credentials: "omit",
		signal: AbortSignal.timeout(answerWithinMs),
	};
	if (body !== undefined) {
		init.body = JSON.stringify(body);
		init.headers = { "content-type": "application/json" };
	}
	let response: Response;
	let text: string;
	try {
		response = await fetch(path, init);
		text = await response.text();
	} catch (cause) {
		throw new Away("no answer", { cause });
	}
	if (!response.ok) throw new Refused(response.status, problem(response, text));
	try {
		return JSON.parse(text) as T;
	} catch (cause) {
		throw new Away("the answer is not JSON", { cause });
	}
}

/** The words of a problem document (RFC 9457), or the status line where there is none. */
function problem(response: Response, text: string): string {
	try {
		const { detail, title } = JSON.parse(text) as { detail?: unknown; title?: unknown };
		if (typeof detail === "string" && detail) return detail;
		if (typeof title === "string" && title) return title;
	} catch {
		// Not a problem document; a proxy in between answered.
	}
	return `the server answered ${response.status} ${response.statusText}`.trimEnd();
}

const one = (id: string): string => `/api/uploads/${encodeURIComponent(id)}`;

export const server = (): Promise<Server> => call("GET", "/api/server");

export function list(query: Query): Promise<Listing> {
	const search = new URLSearchParams();
	for (const [name, value] of Object.entries(query)) {
		if (value !== undefined && value !== "") search.set(name, String(value));
	}
	return call("GET", `/api/uploads?${search}`);
}

export const detail = (id: string): Promise<UploadDetail> => call("GET", one(id));

export const contentUrl = (id: string): string => `${one(id)}/content`;

export const retry = (id: string): Promise<Upload> => call("POST", `${one(id)}/retry`);

export const retryAll = (): Promise<{ retried: number }> =>
	call("POST", "/api/retry", { all: true });

/** Asks for a URL to put one file to: at a minted key for `filename`, or again at `key`. */
export const signedUrl = (
	wanted: ({ filename: string } | { key: string }) & { type: string; size: number },
): Promise<SignedUrl> => call("POST", "/api/signedurl", wanted);
