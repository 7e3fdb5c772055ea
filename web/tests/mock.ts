/**
 * A stand-in for `two-buckets serve`, for developing the page and for its browser tests:
 * the upload API and the built page on one port, on another an S3 endpoint that takes objects whole
 * and in parts, by URLs signed here or by the keys it lent, whose signatures it checks.
 *
 * It keeps everything in memory, processes uploads on a timer, and can be told to misbehave.
 */

import { createHash, createHmac, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { extname, join, normalize } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import type {
	Attempt,
	AttemptLog,
	Server as Described,
	FaultRule,
	Json,
	State,
	Upload,
} from "../src/api.ts";
import { Crc64Nvme } from "../src/send/crc64nvme.ts";

export interface Faults {
	/** The next PUTs, of objects and of parts, get this status and S3 code, one each. */
	puts: { status: number; code: string; message: string }[];
	/** The same for requests that complete a multipart. */
	completions: { status: number; code: string; message: string }[];
	/** Cut the connection of the next so many PUTs in the middle. */
	cuts: number;
	/** Keep the file of the next so many PUTs or completions, but cut the connection instead of answering. */
	lostAnswers: number;
	/** Refuse the next so many calls for a grant with 422 and these words. */
	refusals: string[];
	/** The next so many grants have expired when they are used. */
	expired: number;
	/** Bytes per second a PUT is read at. */
	bytesPerS: number;
	/** Uploads whose key ends so fail. */
	failing: string;
	/** Uploads whose key ends so are archived as other bytes. */
	spoiled: string;
	/** The next so many PUTs are read and never answered. */
	hangs: number;
	/** Keep the file of the next so many PUTs, and never answer. */
	mute: number;
	/** How long it takes to say what it is and what it knows. */
	answersAfterMs: number;
	/** A multipart that was completed is not known any more, as with stores that forget. */
	forgetful: boolean;
	/** There is no stream of changes. */
	noEvents: boolean;
}

/** One request to the S3 endpoint that was answered, or would have been. */
export interface Asked {
	what: "put" | "create" | "part" | "list" | "complete" | "abort";
	key: string;
	part: number | null;
	size: number;
	/** By keys that were lent, rather than by a URL signed here. */
	lent: boolean;
	status: number;
	checksum: string | null;
	ifNoneMatch: string | null;
	/** What of the API's own must never come here. */
	authorization: string | null;
}

interface Multipart {
	key: string;
	type: string;
	parts: Map<number, { etag: string; body: Buffer }>;
}

interface Grant {
	method: string;
	path: string;
	query: string;
	headers: Record<string, string>;
	expires: number;
}

interface Lent {
	secret: string;
	token: string;
	key: string;
	expires: number;
}

type Kept = Upload & { attempts_log: Attempt[]; content: Buffer };

const types: Record<string, string> = {
	".html": "text/html; charset=utf-8",
	".js": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
};

export class Mock {
	readonly uploads: Kept[] = [];
	readonly faults: Faults = {
		puts: [],
		cuts: 0,
		lostAnswers: 0,
		refusals: [],
		bytesPerS: Number.POSITIVE_INFINITY,
		completions: [],
		expired: 0,
		failing: ".poison",
		spoiled: ".spoiled",
		hangs: 0,
		mute: 0,
		answersAfterMs: 0,
		forgetful: false,
		noEvents: false,
	};
	/** The rules for faults that the server is told to have; `null` where it does not say. */
	faultRules: FaultRule[] | null = [];
	/** How often it was asked for them. */
	faultsAsked = 0;
	private readonly completed = new Map<string, string>();
	/** Everything asked of the S3 endpoint, in order. */
	readonly asked: Asked[] = [];
	/** What every call must carry; `null` where none is asked for. */
	token: string | null = null;
	/** How calls for grants were made. */
	readonly grantsAsked: { path: string; body: { [name: string]: unknown } }[] = [];
	limits: Pick<Described["limits"], "size_bytes_max" | "types"> = {
		size_bytes_max: null,
		types: [],
	};
	readonly multiparts = new Map<string, Multipart>();
	/** How many listen to the stream of changes. */
	get listeners(): number {
		return this.streams.size;
	}
	private readonly streams = new Set<ServerResponse>();
	/** Rows of keys under which nothing has arrived yet. */
	private readonly expected: Kept[] = [];
	private readonly declared = new Map<
		string,
		{ size: number | undefined; sha256: string | undefined }
	>();
	private readonly signed = new Map<string, Grant>();
	private readonly lent = new Map<string, Lent>();
	/** Every PUT that began, by key. */
	readonly puts: string[] = [];
	/** How many PUTs were under way at once, at most. */
	parallelMax = 0;
	/** PUTs whose bytes are being read. */
	parallel = 0;
	/** How many PUTs were broken off by the page. */
	brokenOff = 0;
	/** How many calls for the list were answered. */
	listings = 0;
	/** Whether the caller may retry and cancel. */
	maySteer = true;
	/** Since when it is paused and why. */
	paused: Described["paused"] = null;
	/** What attempts wrote, by the id of their upload. */
	readonly logs = new Map<string, AttemptLog[]>();
	processingMs = 60;
	private page: Server;
	private s3: Server;
	private readonly sockets = new Set<Socket>();
	private port = 0;
	private s3Port = 0;
	private minted = 0;

	constructor(private readonly dist: string) {
		this.page = createServer((request, response) => void this.answer(request, response));
		this.s3 = createServer((request, response) => void this.store(request, response));
	}

	get url(): string {
		return `http://127.0.0.1:${this.port}`;
	}

	get s3Url(): string {
		return `http://127.0.0.1:${this.s3Port}`;
	}

	async start(port = 0, s3Port = 0): Promise<void> {
		await this.comeStore(s3Port);
		await this.come(port);
	}

	/** The S3 listener comes up, at the port it had before if it had one. */
	async comeStore(port = this.s3Port): Promise<void> {
		this.s3 = createServer((request, response) => void this.store(request, response));
		await listen(this.s3, port);
		this.s3Port = (this.s3.address() as AddressInfo).port;
	}

	/** The S3 listener goes away in the middle of whatever it does. */
	async goStore(): Promise<void> {
		const closed = new Promise((resolve) => this.s3.close(resolve));
		this.s3.closeAllConnections();
		await closed;
	}

	/** Everything granted until now has expired. */
	expireGrants(): void {
		for (const grant of [...this.signed.values(), ...this.lent.values()]) {
			grant.expires = Date.now() - 1000;
		}
	}

	/** A file that another client puts. */
	arrivesFromElsewhere(key: string, content: Buffer): Kept {
		return this.arrive(key, content, null);
	}

	/** Ends every stream of changes, as a proxy in between may. */
	cutEvents(): void {
		for (const stream of this.streams) stream.socket?.destroy();
	}

	/** Tells every listener that it lost some changes. */
	sayMissed(): void {
		for (const stream of this.streams) stream.write("event: missed\ndata: {}\n\n");
	}

	/** What an attempt wrote until now: from its beginning, and after what was dropped, its end. */
	writes(upload: Kept, attempt: number, first: string, droppedBytes = 0, last = ""): void {
		const firstBytes = Buffer.byteLength(first);
		const lastFrom = firstBytes + droppedBytes;
		const written = lastFrom + Buffer.byteLength(last);
		const pieces = [
			{ from: 0, text: first },
			{ from: lastFrom, text: last },
		].filter(({ text }) => text !== "");
		const log: AttemptLog = {
			attempt,
			written_bytes: written,
			dropped_bytes: droppedBytes,
			pieces,
			next_from: written,
		};
		const others = this.logs.get(upload.id)?.filter((one) => one.attempt !== attempt) ?? [];
		this.logs.set(upload.id, [...others, log]);
	}

	/** An upload is otherwise from now on, and every listener hears of it. */
	change(upload: Kept, given: Partial<Kept>): void {
		Object.assign(upload, given);
		this.tell(upload);
	}

	private tell(upload: Kept): void {
		const data = JSON.stringify({ ...upload, content: undefined, attempts_log: undefined });
		for (const stream of this.streams) stream.write(`event: upload\ndata: ${data}\n\n`);
	}

	/** The web listener comes up, at the port it had before if it had one. */
	async come(port = this.port): Promise<void> {
		this.page = createServer((request, response) => void this.answer(request, response));
		this.page.on("connection", (socket) => {
			this.sockets.add(socket);
			socket.on("close", () => this.sockets.delete(socket));
		});
		await listen(this.page, port);
		this.port = (this.page.address() as AddressInfo).port;
	}

	/** The web listener goes away, as when `serve` is stopped. */
	async go(): Promise<void> {
		const closed = new Promise((resolve) => this.page.close(resolve));
		for (const socket of this.sockets) socket.destroy();
		await closed;
	}

	async stop(): Promise<void> {
		for (const stream of this.streams) stream.end();
		await this.go();
		await this.goStore();
	}

	/** Puts an upload in the list as if it had come some time ago. */
	add(key: string, content: Buffer, given: Partial<Upload> = {}, attempts: Attempt[] = []): Kept {
		const upload: Kept = {
			id: randomBytes(9).toString("base64url"),
			bucket: "staging",
			key,
			version_id: randomBytes(12).toString("hex"),
			state: "pending",
			size: content.length,
			etag: createHash("md5").update(content).digest("hex"),
			received_at: new Date().toISOString(),
			started_at: null,
			finished_at: null,
			attempts: attempts.length,
			progress: null,
			next_attempt_at: null,
			reason: null,
			archive: null,
			media_type: null,
			sha256: null,
			report: null,
			expected: false,
			job: false,
			replay_of: null,
			checksum: null,
			...given,
			attempts_log: attempts,
			content,
		};
		if (upload.state === "archived") archive(upload);
		this.uploads.push(upload);
		this.uploads.sort((a, b) => b.received_at.localeCompare(a.received_at));
		return upload;
	}

	find(name: string): Kept | undefined {
		return this.uploads.find(({ key }) => key.endsWith(name));
	}

	private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const url = new URL(request.url ?? "/", this.url);
		if (!url.pathname.startsWith("/api/")) return this.file(url.pathname, response);
		const json = (value: unknown, status = 200): void => {
			response.writeHead(status, {
				"content-type": "application/json",
				"cache-control": "no-store",
			});
			response.end(JSON.stringify(value));
		};
		const problem = (status: number, detail: string): void =>
			json({ type: "about:blank", title: "refused", status, detail }, status);
		if (request.method === "POST" && request.headers.origin !== this.url) {
			return problem(403, "a page of another origin may not change anything here");
		}
		if (this.token !== null && request.headers.authorization !== `Bearer ${this.token}`) {
			response.setHeader("www-authenticate", "Bearer");
			const given = request.headers.authorization !== undefined;
			return problem(401, given ? "the token is not known here" : "this server asks for a token");
		}
		const body = request.method === "POST" ? await read(request) : Buffer.alloc(0);
		if (url.pathname === "/api/events") {
			if (this.faults.noEvents) return problem(404, "there is no such call");
			response.writeHead(200, {
				"content-type": "text/event-stream",
				"cache-control": "no-store",
			});
			response.write(": changes\n\n");
			this.streams.add(response);
			response.on("close", () => this.streams.delete(response));
			return;
		}
		if (url.pathname === "/api/s3/sign" && request.method === "POST") {
			const refusal = this.faults.refusals.shift();
			if (refusal) return problem(422, refusal);
			const wanted = JSON.parse(body.toString()) as Wish;
			this.grantsAsked.push({ path: url.pathname, body: { ...wanted } });
			const why = this.declaredOtherwise(wanted);
			if (why) return problem(409, why);
			return json(this.sign(wanted, wanted.method ?? ""));
		}
		const [, , resource, id, action] = url.pathname.split("/");
		const route = `${request.method} ${resource}${id ? "/:id" : ""}${action ? `/${action}` : ""}`;
		const upload = this.uploads.find((upload) => upload.id === decodeURIComponent(id ?? ""));
		if (id && !upload) return problem(404, `there is no upload with the id ${id}`);
		if (/^GET (server|uploads)$/.test(route)) await after(this.faults.answersAfterMs);
		switch (route) {
			case "GET server":
				return json({
					version: "0.1.0",
					page_url: this.url,
					s3: { endpoint: this.s3Url, region: "us-east-1" },
					staging: "staging",
					archive: "archive",
					processor: "describe",
					paused: this.paused,
					limits: { ...this.limits, uploads_per_minute: null },
					caller: { name: "loopback", prefix: null, may_steer: this.maySteer },
				});
			case "GET faults":
				this.faultsAsked += 1;
				if (this.faultRules === null) return problem(403, "for the owner only");
				return json({ rules: this.faultRules });
			case "GET uploads":
				this.listings += 1;
				return json(this.list(url.searchParams));
			case "GET uploads/:id":
				return json({ ...upload, content: undefined });
			case "GET uploads/:id/logs":
				return json({ logs: this.logs.get(upload?.id ?? "") ?? [] });
			case "GET uploads/:id/content":
				response.writeHead(200, {
					"content-type": "application/octet-stream",
					"content-disposition": "attachment",
					"x-content-type-options": "nosniff",
				});
				return void response.end(upload?.content);
			case "POST uploads/:id/retry":
				if (upload?.state !== "failed") return problem(409, "only a failed upload is retried");
				this.again(upload);
				return json({ ...upload, content: undefined });
			case "POST uploads/:id/cancel": {
				const ends = upload?.state === "pending" || upload?.state === "processing";
				if (!upload || !ends)
					return problem(
						409,
						`it has ended and is ${upload?.state}, so there is nothing to cancel`,
					);
				if (!upload.job) return problem(409, "only jobs can be cancelled, and this upload is none");
				const reason = "its job was cancelled";
				const at = new Date().toISOString();
				const running = upload.attempts_log.find(({ ended_at }) => ended_at === null);
				if (running) Object.assign(running, { ended_at: at, outcome: "permanent", reason });
				const given = { progress: null, next_attempt_at: null, finished_at: at, reason };
				this.change(upload, { state: "failed", ...given });
				return json({ ...upload, content: undefined });
			}
			case "POST pause":
				this.paused ??= { since: new Date().toISOString(), reason: null };
				return json({ paused: this.paused, counts: this.counts() });
			case "POST resume":
				this.paused = null;
				return json({ paused: null, counts: this.counts() });
			case "POST retry": {
				const failed = this.uploads.filter(({ state }) => state === "failed");
				for (const upload of failed) this.again(upload);
				return json({ retried: failed.length });
			}
			case "POST signedurl": {
				const refusal = this.faults.refusals.shift();
				if (refusal) return problem(422, refusal);
				const wanted = JSON.parse(body.toString()) as Wish;
				this.grantsAsked.push({ path: url.pathname, body: { ...wanted } });
				const why = this.declaredOtherwise(wanted);
				if (why) return problem(409, why);
				return json({ ...this.sign(wanted, "PUT"), method: "PUT" });
			}
			case "POST credentials": {
				const refusal = this.faults.refusals.shift();
				if (refusal) return problem(422, refusal);
				const wanted = JSON.parse(body.toString()) as Wish;
				this.grantsAsked.push({ path: url.pathname, body: { ...wanted } });
				const why = this.declaredOtherwise(wanted);
				if (why) return problem(409, why);
				const { key, id } = this.mint(wanted);
				const lent: Lent = {
					secret: randomBytes(20).toString("base64"),
					token: randomBytes(40).toString("base64"),
					key,
					expires: this.expiry(),
				};
				const access = `ASIA${randomBytes(8).toString("hex").toUpperCase()}`;
				this.lent.set(access, lent);
				return json({
					access_key: access,
					secret_key: lent.secret,
					session_token: lent.token,
					region: "us-east-1",
					bucket: "staging",
					key,
					endpoint: this.s3Url,
					expires_at: new Date(Date.now() + 3_600_000).toISOString(),
					id,
				});
			}
		}
		problem(404, "there is no such call");
	}

	/** A minted key is held to the size and checksum that were declared for it first. */
	private declaredOtherwise({ key, uploadId, size, sha256 }: Wish): string | null {
		const first = uploadId === undefined ? this.declared.get(key ?? "") : undefined;
		if (!first) return null;
		const differs = <T>(one?: T, other?: T): boolean =>
			one !== undefined && other !== undefined && one !== other;
		first.size ??= size;
		first.sha256 ??= sha256;
		return differs(first.size, size) || differs(first.sha256, sha256)
			? "this key was made for another file; ask for another one"
			: null;
	}

	private expiry(): number {
		if (this.faults.expired <= 0) return Date.now() + 900_000;
		this.faults.expired -= 1;
		return Date.now() - 1000;
	}

	/** A key made for a name, with a row from the start; or the key that was asked for. */
	private mint({ filename, key, size, sha256 }: Wish): { key: string; id: string | null } {
		if (key !== undefined) {
			const row = [...this.expected, ...this.uploads].find((upload) => upload.key === key);
			return { key, id: row?.id ?? null };
		}
		this.minted += 1;
		const number = String(this.minted).padStart(6, "0");
		const ulid = `01JD${number}${randomBytes(8).toString("hex").toUpperCase()}`;
		const made = `2026-11-23/${ulid}/${filename}`;
		const row = this.add(made, Buffer.alloc(0), {
			version_id: null,
			etag: "",
			size: size ?? 0,
			expected: true,
		});
		this.declared.set(made, { size, sha256 });
		this.uploads.splice(this.uploads.indexOf(row), 1);
		this.expected.unshift(row);
		return { key: made, id: row.id };
	}

	private sign(wanted: Wish, method: string): object {
		const { key, id } = this.mint(wanted);
		const { uploadId, partNumber, size, sha256 } = wanted;
		const query = new URLSearchParams();
		if (uploadId !== undefined) query.set("uploadId", uploadId);
		if (partNumber !== undefined) query.set("partNumber", String(partNumber));
		const headers: Record<string, string> = {};
		const type = (wanted.type ?? wanted.contentType) || "application/octet-stream";
		const makesObject = uploadId === undefined ? method === "PUT" : method === "POST";
		if (wanted.crc64nvme !== undefined) {
			headers["x-amz-checksum-crc64nvme"] = wanted.crc64nvme;
			headers["x-amz-checksum-type"] = "FULL_OBJECT";
			headers["x-amz-mp-object-size"] = String(size);
		}
		if (uploadId === undefined) headers["content-type"] = type;
		if (uploadId === undefined && method === "POST") query.set("uploads", "");
		if (makesObject) headers["if-none-match"] = "*";
		if (makesObject && uploadId === undefined) {
			if (size !== undefined) headers["content-length"] = String(size);
			if (sha256) headers["x-amz-checksum-sha256"] = Buffer.from(sha256, "hex").toString("base64");
		}
		const signature = randomBytes(32).toString("hex");
		const path = `/staging/${key.split("/").map(encodeURIComponent).join("/")}`;
		this.signed.set(signature, {
			method,
			path,
			query: query.toString(),
			headers,
			expires: this.expiry(),
		});
		query.set("X-Amz-Signature", signature);
		return {
			url: `${this.s3Url}${path}?${query}`,
			key,
			headers,
			expires_at: new Date(Date.now() + 900_000).toISOString(),
			id,
		};
	}

	private counts(): Record<State, number> {
		const counts = { pending: 0, processing: 0, archived: 0, failed: 0, late: 0, duplicate: 0 };
		for (const { state } of [...this.expected, ...this.uploads]) counts[state] += 1;
		return counts;
	}

	private list(search: URLSearchParams): unknown {
		const limit = Number(search.get("limit") ?? 100);
		const after = Number(search.get("after") ?? 0);
		const found = [...this.expected, ...this.uploads].filter(
			({ state, key }) =>
				(!search.has("state") || state === search.get("state")) &&
				(!search.has("key") || key === search.get("key")) &&
				key.toLowerCase().includes((search.get("q") ?? "").toLowerCase()),
		);
		const oldest = this.uploads.findLast(
			({ state }) => state === "pending" || state === "processing",
		);
		return {
			uploads: found
				.slice(after, after + limit)
				.map((upload) => ({ ...upload, content: undefined, attempts_log: undefined })),
			next: found.length > after + limit ? String(after + limit) : null,
			counts: this.counts(),
			paused: this.paused,
			oldest_unfinished: oldest
				? {
						key: oldest.key,
						received_at: oldest.received_at,
						age_s: (Date.now() - Date.parse(oldest.received_at)) / 1000,
					}
				: null,
		};
	}

	private async file(path: string, response: ServerResponse): Promise<void> {
		const name = normalize(path === "/" ? "/index.html" : path);
		const policy = await readFile(join(this.dist, "../content-security-policy.txt"), "utf8");
		try {
			const content = await readFile(join(this.dist, name));
			response.writeHead(200, {
				"content-type": types[extname(name)] ?? "application/octet-stream",
				"content-security-policy": policy.trim().replace("{s3}", this.s3Url),
				"x-content-type-options": "nosniff",
				"referrer-policy": "no-referrer",
			});
			response.end(content);
		} catch {
			response.writeHead(404).end();
		}
	}

	/** The S3 endpoint: what was granted, first write wins, CORS for the page's origin only. */
	private async store(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const cors: Record<string, string> =
			request.headers.origin === this.url
				? {
						"access-control-allow-origin": this.url,
						"access-control-allow-methods": "PUT, POST, GET, DELETE",
						"access-control-allow-headers":
							"content-type, if-none-match, x-amz-checksum-sha256, x-amz-checksum-crc64nvme, x-amz-checksum-type, x-amz-mp-object-size",
						"access-control-expose-headers": "ETag, x-amz-error-code",
					}
				: {};
		// A browser sends a request again by itself where a connection it used before is cut.
		if (request.method === "OPTIONS") {
			return void response.writeHead(204, { ...cors, connection: "close" }).end();
		}
		const url = new URL(request.url ?? "/", this.s3Url);
		const key = decodeURIComponent(url.pathname.replace("/staging/", ""));
		const query = url.searchParams;
		const uploadId = query.get("uploadId");
		const number = query.get("partNumber");
		const what = query.has("uploads")
			? "create"
			: uploadId === null
				? "put"
				: number !== null
					? "part"
					: request.method === "GET"
						? "list"
						: request.method === "POST"
							? "complete"
							: "abort";
		const checksum = request.headers["x-amz-checksum-sha256"] ?? null;
		const crc = request.headers["x-amz-checksum-crc64nvme"] ?? null;
		const asked: Asked = {
			what,
			key,
			part: number === null ? null : Number(number),
			size: 0,
			lent: query.has("X-Amz-Credential"),
			status: 0,
			checksum: checksum === null ? crc && String(crc) : String(checksum),
			ifNoneMatch: request.headers["if-none-match"] ?? null,
			authorization: request.headers.authorization ?? null,
		};
		this.asked.push(asked);
		const sends = what === "put" || what === "part";
		if (sends) this.puts.push(key);
		const answer = (status: number, body = "", headers: Record<string, string> = {}): void => {
			asked.status = status;
			response.writeHead(status, { ...cors, "content-type": "application/xml", ...headers });
			response.end(body);
		};
		const error = (status: number, code: string, message: string): void =>
			answer(status, `<Error><Code>${code}</Code><Message>${message}</Message></Error>`);
		if (sends && this.faults.cuts > 0) {
			this.faults.cuts -= 1;
			request.once("data", () => request.socket.destroy());
			request.resume();
			return;
		}
		if (sends) this.parallel += 1;
		this.parallelMax = Math.max(this.parallelMax, this.parallel);
		const pace = sends ? this.faults.bytesPerS : Number.POSITIVE_INFINITY;
		const body = await read(request, pace).catch(() => null);
		if (sends) this.parallel -= 1;
		if (!body) {
			this.brokenOff += 1;
			return;
		}
		asked.size = body.length;
		if (sends && this.faults.hangs > 0) {
			this.faults.hangs -= 1;
			return;
		}
		const faults = what === "complete" ? this.faults.completions : sends ? this.faults.puts : [];
		const fault = faults.shift();
		if (fault) return error(fault.status, fault.code, fault.message);
		const refused = this.refusal(request, url, key);
		if (refused) return error(refused.status, refused.code, refused.message);
		if (typeof checksum === "string" && base64Sha256(body) !== checksum) {
			return error(400, "BadDigest", "The SHA256 you specified did not match");
		}
		const conditional = request.headers["if-none-match"] === "*";
		const exists = (): boolean => this.uploads.some((upload) => upload.key === key);
		const taken = (): void =>
			error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold");
		const multipart = uploadId === null ? undefined : this.multiparts.get(uploadId);
		const before = this.completed.get(uploadId ?? "");
		if (what === "complete" && before !== undefined && !this.faults.forgetful) {
			return answer(200, before);
		}
		if (uploadId !== null && !(multipart?.key === key)) {
			if (what === "abort") return answer(204);
			return error(404, "NoSuchUpload", "The specified upload does not exist.");
		}
		switch (what) {
			case "put": {
				if (conditional && exists()) return taken();
				const declared = typeof checksum === "string" ? checksum : null;
				const upload = this.arrive(key, body, declared);
				if (this.faults.mute > 0) {
					this.faults.mute -= 1;
					return;
				}
				if (this.loses(request)) return;
				return answer(200, "", { etag: `"${upload.etag}"` });
			}
			case "create": {
				const id = randomBytes(12).toString("base64url");
				const type = request.headers["content-type"] ?? "";
				this.multiparts.set(id, { key, type, parts: new Map() });
				return answer(
					200,
					`<InitiateMultipartUploadResult><Bucket>staging</Bucket><Key>${xml(key)}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
				);
			}
			case "part": {
				const etag = `"${createHash("md5").update(body).digest("hex")}"`;
				multipart?.parts.set(Number(number), { etag, body });
				return answer(200, "", { etag });
			}
			case "list": {
				const parts = [...(multipart?.parts ?? [])].sort(([a], [b]) => a - b);
				const listed = parts.map(
					([at, { etag, body }]) =>
						`<Part><PartNumber>${at}</PartNumber><ETag>${xml(etag)}</ETag><Size>${body.length}</Size></Part>`,
				);
				return answer(200, `<ListPartsResult>${listed.join("")}</ListPartsResult>`);
			}
			case "complete": {
				if (conditional && exists()) return taken();
				const wanted = [
					...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>([^<]*)<\/ETag>/g),
				];
				const bodies: Buffer[] = [];
				for (const [, at, etag] of wanted) {
					const part = multipart?.parts.get(Number(at));
					if (!part || part.etag.replaceAll('"', "") !== etag?.replaceAll('"', "")) {
						return error(400, "InvalidPart", "One or more of the specified parts are not there");
					}
					bodies.push(part.body);
				}
				const whole = Buffer.concat(bodies);
				if (crc !== null && base64Crc(whole) !== crc) {
					return error(400, "BadDigest", "The CRC64NVME you specified did not match");
				}
				this.multiparts.delete(uploadId ?? "");
				const upload = this.arrive(key, whole, null);
				const result = `<CompleteMultipartUploadResult><Location>${this.s3Url}/staging/x</Location><Bucket>staging</Bucket><Key>${xml(key)}</Key><ETag>&quot;${upload.etag}&quot;</ETag></CompleteMultipartUploadResult>`;
				this.completed.set(uploadId ?? "", result);
				if (this.loses(request)) return;
				return answer(200, result);
			}
			case "abort":
				this.multiparts.delete(uploadId ?? "");
				return answer(204);
		}
	}

	private loses(request: IncomingMessage): boolean {
		if (this.faults.lostAnswers <= 0) return false;
		this.faults.lostAnswers -= 1;
		request.socket.destroy();
		return true;
	}

	/** Whether a request is one that was granted: by a URL signed here, or by lent keys. */
	private refusal(
		request: IncomingMessage,
		url: URL,
		key: string,
	): { status: number; code: string; message: string } | null {
		const denied = { status: 403, code: "AccessDenied", message: "Access Denied" };
		const query = new URLSearchParams(url.search);
		const signature = query.get("X-Amz-Signature") ?? "";
		const credential = query.get("X-Amz-Credential");
		if (credential === null) {
			const grant = this.signed.get(signature);
			query.delete("X-Amz-Signature");
			if (!grant || grant.method !== request.method || grant.query !== query.toString())
				return denied;
			if (decodeURIComponent(grant.path) !== decodeURIComponent(url.pathname)) return denied;
			for (const [name, value] of Object.entries(grant.headers)) {
				if (request.headers[name] !== value) {
					return { status: 403, code: "SignatureDoesNotMatch", message: `${name} was changed` };
				}
			}
			if (grant.expires < Date.now()) return { ...denied, message: "Request has expired" };
			return null;
		}
		const lent = this.lent.get(credential.split("/")[0] ?? "");
		if (!lent) return { ...denied, code: "InvalidAccessKeyId" };
		if (query.get("X-Amz-Security-Token") !== lent.token) {
			return { status: 400, code: "InvalidToken", message: "The token is not valid" };
		}
		if (lent.expires < Date.now()) {
			return { status: 400, code: "ExpiredToken", message: "The provided token has expired." };
		}
		if (lent.key !== key) return denied;
		const makesObject =
			(request.method === "PUT" && !query.has("partNumber")) ||
			(request.method === "POST" && query.has("uploadId"));
		if (makesObject && request.headers["if-none-match"] !== "*") return denied;
		const unsigned = Object.keys(request.headers).find(
			(name) =>
				name.startsWith("x-amz-") &&
				!(query.get("X-Amz-SignedHeaders") ?? "").split(";").includes(name),
		);
		if (unsigned) return { ...denied, message: `${unsigned} is not signed` };
		return signatureOf(request, url, lent.secret) === signature
			? null
			: { status: 403, code: "SignatureDoesNotMatch", message: "The signature does not match" };
	}

	/** A whole object is there: its row is no longer only expected. */
	private arrive(key: string, body: Buffer, sha256: string | null): Kept {
		const at = this.expected.findIndex((upload) => upload.key === key);
		const [row] = at >= 0 ? this.expected.splice(at, 1) : [];
		const value = sha256 ?? base64Crc(body);
		const algorithm = sha256 === null ? "CRC64NVME" : "SHA256";
		const upload = this.add(key, body, {
			...(row ? { id: row.id } : {}),
			checksum: { algorithm, value, kind: "FULL_OBJECT" },
		});
		this.tell(upload);
		this.process(upload);
		return upload;
	}

	private again(upload: Kept): void {
		upload.state = "pending";
		upload.job = false;
		upload.reason = null;
		upload.finished_at = null;
		this.process(upload);
	}

	/** Pending, processing, then archived, or failed where the key says so. */
	private process(upload: Kept): void {
		setTimeout(() => {
			upload.state = "processing";
			upload.started_at = new Date().toISOString();
			upload.attempts += 1;
			this.tell(upload);
			setTimeout(() => {
				const failed = this.faults.failing !== "" && upload.key.endsWith(this.faults.failing);
				upload.finished_at = new Date().toISOString();
				upload.attempts_log.push({
					number: upload.attempts,
					started_at: upload.started_at ?? "",
					ended_at: upload.finished_at,
					outcome: failed ? "permanent" : "succeeded",
					reason: failed ? "the file ends in the middle of a zip entry" : null,
				});
				if (failed) {
					upload.state = "failed";
					upload.reason = "the file ends in the middle of a zip entry";
				} else {
					upload.state = "archived";
					if (this.faults.spoiled !== "" && upload.key.endsWith(this.faults.spoiled)) {
						upload.content = Buffer.from("other bytes");
						upload.checksum = null;
					}
					archive(upload);
				}
				this.tell(upload);
			}, this.processingMs);
		}, this.processingMs);
	}
}

interface Wish {
	method?: string;
	filename?: string;
	key?: string;
	type?: string;
	contentType?: string;
	size?: number;
	sha256?: string;
	crc64nvme?: string;
	uploadId?: string;
	partNumber?: number;
}

const xml = (text: string): string =>
	text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

const base64Sha256 = (body: Buffer): string => createHash("sha256").update(body).digest("base64");

function base64Crc(body: Buffer): string {
	const crc = new Crc64Nvme();
	crc.update(body);
	return Buffer.from(crc.digest()).toString("base64");
}

/** Signature Version 4 of a request signed in its query, as the documentation of S3 describes it. */
function signatureOf(request: IncomingMessage, url: URL, secret: string): string {
	const escaped = (text: string): string =>
		encodeURIComponent(text).replaceAll(
			/[!'()*]/g,
			(found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
		);
	const query = [...url.searchParams]
		.filter(([name]) => name !== "X-Amz-Signature")
		.map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
		.sort()
		.join("&");
	const names = url.searchParams.get("X-Amz-SignedHeaders") ?? "";
	const headers = names
		.split(";")
		.map((name) => `${name}:${String(request.headers[name]).trim()}\n`);
	const path = decodeURIComponent(url.pathname).split("/").map(escaped).join("/");
	const canonical = [request.method, path, query, headers.join(""), names, "UNSIGNED-PAYLOAD"].join(
		"\n",
	);
	const [, ...scope] = (url.searchParams.get("X-Amz-Credential") ?? "").split("/");
	const hash = createHash("sha256").update(canonical).digest("hex");
	const date = url.searchParams.get("X-Amz-Date") ?? "";
	const text = ["AWS4-HMAC-SHA256", date, scope.join("/"), hash].join("\n");
	const key = scope.reduce<Buffer | string>(
		(key, part) => createHmac("sha256", key).update(part).digest(),
		`AWS4${secret}`,
	);
	return createHmac("sha256", key).update(text).digest("hex");
}

function archive(upload: Kept): void {
	upload.archive ??= {
		bucket: "archive",
		key: upload.key,
		version_id: randomBytes(12).toString("hex"),
	};
	upload.media_type ??= guess(upload.key);
	upload.sha256 ??= createHash("sha256").update(upload.content).digest("hex");
	const report: { [name: string]: Json } = { media_type: upload.media_type, size: upload.size };
	upload.report ??= { ...report, sha256: upload.sha256 };
}

function guess(key: string): string {
	const known: Record<string, string> = {
		".csv": "text/csv",
		".jpg": "image/jpeg",
		".json": "application/json",
		".pdf": "application/pdf",
		".png": "image/png",
		".txt": "text/plain",
		".zip": "application/zip",
		".html": "text/html",
		".mp4": "video/mp4",
	};
	return known[extname(key)] ?? "application/octet-stream";
}

async function read(
	stream: IncomingMessage,
	bytesPerS = Number.POSITIVE_INFINITY,
): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of stream as AsyncIterable<Buffer>) {
		chunks.push(chunk);
		if (Number.isFinite(bytesPerS)) {
			await new Promise((resolve) => setTimeout(resolve, (chunk.length / bytesPerS) * 1000));
		}
	}
	return Buffer.concat(chunks);
}

const listen = (server: Server, port: number): Promise<void> =>
	new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(port, "127.0.0.1", resolve);
	});
