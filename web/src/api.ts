/** The upload API as the page sees it: its answers' types and one function per call. */

import type { components, operations } from "./schema.ts";

type Schemas = components["schemas"];

export type State = Schemas["State"];
export const states = [
	"pending",
	"processing",
	"archived",
	"failed",
	"late",
	"duplicate",
] as const satisfies readonly State[];

/** States that nothing but a person or a newer upload will change. */
export const isFinal = (state: State): boolean => state !== "pending" && state !== "processing";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** An object of any shape, of which the description can say no more. */
type Reported<T> = Omit<T, "report"> & { report: { [name: string]: Json } | null };

export type Upload = Reported<Schemas["Upload"]>;
type History = Reported<Schemas["UploadHistory"]>;
/** An upload with its attempts and what they wrote. */
export type UploadDetail = History & { logs: AttemptLog[] };
export type AttemptLog = Schemas["AttemptLog"];
export type Attempt = Schemas["Attempt"];
export type Listing = Omit<Schemas["UploadPage"], "uploads"> & { uploads: Upload[] };
export type Server = Schemas["Server"];
/** A rule by which the server misbehaves on purpose. */
export type FaultRule = Schemas["FaultRule"];
/** Whether it is paused, and what waits. */
export type Processing = Schemas["Processing"];
export type Query = NonNullable<operations["listUploads"]["parameters"]["query"]>;

/** Leave to make one request to the store; the URL is the leave. */
export type Signed = Schemas["SignedRequest"];
/** Keys of the store that can do nothing but write this one object. */
export type Credentials = Schemas["Credentials"];

/** A file by its name, for a key made for it alone, or by that key once it is known. */
export type Named = { filename: string } | { key: string };

/** The server answered, and said no. */
export class Refused extends Error {
	constructor(
		readonly status: number,
		message: string,
	) {
		super(message);
	}
}

/** Who asks is not known: a token is missing, or it is no longer good. */
export class Unknown extends Refused {}

/** No answer: the server is away, or the network is. */
export class Away extends Error {}

/** How long a call may take before the server counts as away. */
const answerWithinMs = 15_000;

let bearer: string | null = null;

/** The token that every call carries from now on; never sent anywhere but to this server. */
export function signIn(token: string | null): void {
	bearer = token;
}

export const isSignedIn = (): boolean => bearer !== null;

const authorization = (): Record<string, string> =>
	bearer === null ? {} : { authorization: `Bearer ${bearer}` };

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
	const init: RequestInit = {
		method,
		cache: "no-store",
		credentials: "omit",
		headers: authorization(),
		signal: AbortSignal.timeout(answerWithinMs),
	};
	if (body !== undefined) {
		init.body = JSON.stringify(body);
		init.headers = { ...authorization(), "content-type": "application/json" };
	}
	let response: Response;
	let text: string;
	try {
		response = await fetch(path, init);
		text = await response.text();
	} catch (cause) {
		throw new Away("no answer", { cause });
	}
	if (!response.ok) throw refusal(response, text);
	try {
		return JSON.parse(text) as T;
	} catch (cause) {
		throw new Away("the answer is not JSON", { cause });
	}
}

function refusal(response: Response, text: string): Refused {
	const words = problem(response, text);
	return response.status === 401 ? new Unknown(401, words) : new Refused(response.status, words);
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

/** The faults that are switched on; refused to callers who have a token of their own. */
export const faults = (): Promise<Schemas["Faults"]> => call("GET", "/api/faults");

export function list(query: Query): Promise<Listing> {
	const search = new URLSearchParams();
	for (const [name, value] of Object.entries(query)) {
		if (value !== undefined && value !== "") search.set(name, String(value));
	}
	return call("GET", `/api/uploads?${search}`);
}

export async function detail(id: string): Promise<UploadDetail> {
	// One after the other: of an attempt that is seen to have ended, the log is then whole.
	const history = await call<History>("GET", one(id));
	if (history.attempts_log.length === 0) return { ...history, logs: [] };
	const { logs } = await call<Schemas["Logs"]>("GET", `${one(id)}/logs`);
	return { ...history, logs };
}

export const contentUrl = (id: string): string => `${one(id)}/content`;

export const retry = (id: string): Promise<Upload> => call("POST", `${one(id)}/retry`);

/** Gives up an unfinished upload of a job. */
export const cancel = (id: string): Promise<Upload> => call("POST", `${one(id)}/cancel`);

export const retryAll = (): Promise<{ retried: number }> =>
	call("POST", "/api/retry", { all: true });

/** Has nothing new processed until it is resumed. */
export const pause = (): Promise<Processing> => call("POST", "/api/pause", {});

export const resume = (): Promise<Processing> => call("POST", "/api/resume");

/** Leave to put one file in one piece. */
export const signedUrl = (wanted: Named & Schemas["SignedUrlRequest"]): Promise<Signed> =>
	call("POST", "/api/signedurl", wanted);

/** Keys for one file, to sign its requests with here. */
export const credentials = (wanted: Named & Schemas["CredentialsRequest"]): Promise<Credentials> =>
	call("POST", "/api/credentials", wanted);

/** Leave for one request of an upload in parts. */
export const signRequest = (wanted: Named & Schemas["SignRequest"]): Promise<Signed> =>
	call("POST", "/api/s3/sign", wanted);

/** The stream of changes, for as long as `signal` lets it run. */
export async function events(signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
	let response: Response;
	try {
		const headers = { ...authorization(), accept: "text/event-stream" };
		response = await fetch("/api/events", {
			headers,
			signal,
			cache: "no-store",
			credentials: "omit",
		});
	} catch (cause) {
		throw new Away("no answer", { cause });
	}
	if (!response.ok) throw refusal(response, await response.text().catch(() => ""));
	if (!response.body) throw new Away("an answer without a body");
	return response.body;
}

/** An upload's content, for where a link cannot carry the token. */
export async function content(id: string): Promise<Blob> {
	const response = await fetch(contentUrl(id), { headers: authorization(), credentials: "omit" });
	if (!response.ok) throw refusal(response, await response.text());
	return response.blob();
}
