/**
 * A stand-in for `two-buckets serve`, for developing the page and for its browser tests:
 * the upload API and the built page on one port, an S3 endpoint that takes PUTs on another.
 *
 * It keeps everything in memory, processes uploads on a timer, and can be told to misbehave.
 */

import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { extname, join, normalize } from "node:path";
import type { Attempt, Json, State, Upload } from "../src/api.ts";

export interface Faults {
	/** The next PUTs get this status and S3 code, one each. */
	puts: { status: number; code: string; message: string }[];
	/** Cut the connection of the next so many PUTs in the middle. */
	cuts: number;
	/** Keep the file of the next so many PUTs, but cut the connection instead of answering. */
	lostAnswers: number;
	/** Refuse the next so many calls for a signed URL with 422 and these words. */
	refusals: string[];
	/** Bytes per second a PUT is read at. */
	bytesPerS: number;
	/** Uploads whose key ends so fail. */
	failing: string;
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
		failing: ".poison",
	};
	/** Every PUT that began, by key. */
	readonly puts: string[] = [];
	/** How many PUTs were under way at once, at most. */
	parallelMax = 0;
	private parallel = 0;
	/** How many PUTs were broken off by the page. */
	brokenOff = 0;
	/** How many calls for the list were answered. */
	listings = 0;
	processingMs = 60;
	private page: Server;
	private s3: Server;
	private readonly sockets = new Set<Socket>();
	private readonly granted = new Map<string, { type: string; size: number }>();
	private port = 0;
	private minted = 0;

	constructor(private readonly dist: string) {
		this.page = createServer((request, response) => void this.answer(request, response));
		this.s3 = createServer((request, response) => void this.store(request, response));
	}

	get url(): string {
		return `http://127.0.0.1:${this.port}`;
	}

	get s3Url(): string {
		return `http://127.0.0.1:${(this.s3.address() as AddressInfo).port}`;
	}

	async start(port = 0, s3Port = 0): Promise<void> {
		await listen(this.s3, s3Port);
		await this.come(port);
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
		await this.go();
		this.s3.closeAllConnections();
		await new Promise((resolve) => this.s3.close(resolve));
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
			etag: `"${createHash("md5").update(content).digest("hex")}"`,
			received_at: new Date().toISOString(),
			started_at: null,
			finished_at: null,
			attempts: attempts.length,
			next_attempt_at: null,
			reason: null,
			archive: null,
			media_type: null,
			sha256: null,
			report: null,
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
		const body = request.method === "POST" ? await read(request) : Buffer.alloc(0);
		const [, , resource, id, action] = url.pathname.split("/");
		const route = `${request.method} ${resource}${id ? "/:id" : ""}${action ? `/${action}` : ""}`;
		const upload = this.uploads.find((upload) => upload.id === decodeURIComponent(id ?? ""));
		if (id && !upload) return problem(404, `there is no upload with the id ${id}`);
		switch (route) {
			case "GET server":
				return json({
					version: "0.1.0",
					page_url: this.url,
					s3: { endpoint: this.s3Url, region: "us-east-1" },
					staging: "staging",
					archive: "archive",
					processor: "describe",
					paused: false,
				});
			case "GET uploads":
				this.listings += 1;
				return json(this.list(url.searchParams));
			case "GET uploads/:id":
				return json({ ...upload, content: undefined });
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
			case "POST retry": {
				const failed = this.uploads.filter(({ state }) => state === "failed");
				for (const upload of failed) this.again(upload);
				return json({ retried: failed.length });
			}
			case "POST signedurl": {
				const refusal = this.faults.refusals.shift();
				if (refusal) return problem(422, refusal);
				const asked = JSON.parse(body.toString()) as {
					filename?: string;
					key?: string;
					type: string;
					size: number;
				};
				this.minted += 1;
				const ulid = `01JD${String(this.minted).padStart(6, "0")}${randomBytes(8).toString("hex").toUpperCase()}`;
				const key = asked.key ?? `2026-11-23/${ulid}/${asked.filename}`;
				this.granted.set(key, { type: asked.type, size: asked.size });
				const path = key.split("/").map(encodeURIComponent).join("/");
				return json({
					url: `${this.s3Url}/staging/${path}?X-Amz-Signature=mock`,
					method: "PUT",
					key,
					headers: {
						"content-length": String(asked.size),
						"content-type": asked.type || "application/octet-stream",
						"if-none-match": "*",
					},
					expires_at: new Date(Date.now() + 900_000).toISOString(),
				});
			}
		}
		problem(404, "there is no such call");
	}

	private list(search: URLSearchParams): unknown {
		const limit = Number(search.get("limit") ?? 100);
		const after = Number(search.get("after") ?? 0);
		const found = this.uploads.filter(
			({ state, key }) =>
				(!search.has("state") || state === search.get("state")) &&
				(!search.has("key") || key === search.get("key")) &&
				key.toLowerCase().includes((search.get("q") ?? "").toLowerCase()),
		);
		const counts: Record<State, number> = {
			pending: 0,
			processing: 0,
			archived: 0,
			failed: 0,
			late: 0,
			duplicate: 0,
		};
		for (const { state } of this.uploads) counts[state] += 1;
		const oldest = this.uploads.findLast(
			({ state }) => state === "pending" || state === "processing",
		);
		return {
			uploads: found
				.slice(after, after + limit)
				.map((upload) => ({ ...upload, content: undefined, attempts_log: undefined })),
			next: found.length > after + limit ? String(after + limit) : null,
			counts,
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

	/** The S3 endpoint: PUT of a granted key, first write wins, CORS for the page's origin only. */
	private async store(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const cors: Record<string, string> =
			request.headers.origin === this.url
				? {
						"access-control-allow-origin": this.url,
						"access-control-allow-methods": "PUT",
						"access-control-allow-headers": "content-type, if-none-match",
						"access-control-expose-headers": "ETag",
					}
				: {};
		// A browser sends a request again by itself where a connection it used before is cut.
		if (request.method === "OPTIONS") {
			return void response.writeHead(204, { ...cors, connection: "close" }).end();
		}
		const url = new URL(request.url ?? "/", this.s3Url);
		const key = decodeURIComponent(url.pathname.replace("/staging/", ""));
		this.puts.push(key);
		const error = (status: number, code: string, message: string): void => {
			response.writeHead(status, { ...cors, "content-type": "application/xml" });
			response.end(`<Error><Code>${code}</Code><Message>${message}</Message></Error>`);
		};
		if (this.faults.cuts > 0) {
			this.faults.cuts -= 1;
			request.once("data", () => request.socket.destroy());
			request.resume();
			return;
		}
		this.parallel += 1;
		this.parallelMax = Math.max(this.parallelMax, this.parallel);
		const body = await read(request, this.faults.bytesPerS).catch(() => null);
		this.parallel -= 1;
		if (!body) {
			this.brokenOff += 1;
			return;
		}
		const fault = this.faults.puts.shift();
		if (fault) return error(fault.status, fault.code, fault.message);
		const grant = this.granted.get(key);
		if (!grant || grant.size !== body.length) return error(403, "AccessDenied", "Access Denied");
		if (
			request.headers["if-none-match"] === "*" &&
			this.uploads.some((upload) => upload.key === key)
		) {
			return error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold");
		}
		const upload = this.add(key, body);
		this.process(upload);
		if (this.faults.lostAnswers > 0) {
			this.faults.lostAnswers -= 1;
			return void request.socket.destroy();
		}
		response.writeHead(200, { ...cors, etag: upload.etag ?? "" }).end();
	}

	private again(upload: Kept): void {
		upload.state = "pending";
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
					archive(upload);
				}
			}, this.processingMs);
		}, this.processingMs);
	}
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
