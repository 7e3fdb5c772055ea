/** Changes as they happen: the server's stream of events, read again after every break. */

import * as api from "./api.ts";
import { type Backoff, waitMs } from "./backoff.ts";

const backoff: Backoff = { firstMs: 1000, maxMs: 30_000 };
/** The server says something at least every 15 s; this long without a word is a dead connection. */
const silentMs = 40_000;

export class Events {
	/** Whether changes come by themselves now. */
	isLive = false;
	/** Whether the server has no stream, or gives none. */
	isRefused = false;
	private stop: AbortController | null = null;
	private timer: ReturnType<typeof setTimeout> | undefined;
	private failures = 0;

	constructor(
		private readonly changed: (upload: api.Upload) => void,
		/** Changes may have been missed: the list is to be asked for. */
		private readonly missed: () => void,
	) {
		document.addEventListener("visibilitychange", () => {
			// A browser has few connections to one server: a tab nobody sees gives its own back.
			if (document.visibilityState === "visible") this.start();
			else this.end();
		});
	}

	/** Begins at once, also where the next try was to come later. */
	start(): void {
		clearTimeout(this.timer);
		if (this.stop === null && document.visibilityState === "visible") void this.run();
	}

	private end(): void {
		clearTimeout(this.timer);
		this.stop?.abort();
		this.stop = null;
		this.isLive = false;
	}

	private async run(): Promise<void> {
		const stop = new AbortController();
		this.stop = stop;
		let silence = setTimeout(() => stop.abort(), silentMs);
		try {
			const stream = await api.events(stop.signal);
			this.isLive = true;
			this.isRefused = false;
			this.failures = 0;
			// What happened before the first word of the stream is in the list only.
			this.missed();
			const reader = stream.pipeThrough(new TextDecoderStream() as never).getReader();
			const events = new Lines();
			for (;;) {
				const { done, value } = await (reader as ReadableStreamDefaultReader<string>).read();
				if (done) break;
				clearTimeout(silence);
				silence = setTimeout(() => stop.abort(), silentMs);
				for (const event of events.take(value)) this.tell(event);
			}
		} catch (error) {
			// The list says what is wrong; a server without a stream is asked for the list instead.
			if (error instanceof api.Refused) {
				this.isRefused = true;
				this.failures = Math.max(this.failures, 4);
			}
		}
		clearTimeout(silence);
		// Ended from here, and perhaps begun again.
		if (this.stop !== stop) return;
		const wasLive = this.isLive;
		this.stop = null;
		this.isLive = false;
		if (wasLive) this.missed();
		this.failures += 1;
		this.timer = setTimeout(() => this.start(), waitMs(backoff, this.failures));
	}

	private tell({ event, data }: Event): void {
		if (event === "missed") this.missed();
		if (event !== "upload") return;
		try {
			this.changed(JSON.parse(data) as api.Upload);
		} catch {
			this.missed();
		}
	}
}

interface Event {
	event: string;
	data: string;
}

/** Cuts a stream of text into events, as the HTML standard says; comments are dropped. */
export class Lines {
	private rest = "";
	private event = "";
	private data: string[] = [];

	take(text: string): Event[] {
		const found: Event[] = [];
		const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
		this.rest = lines.pop() ?? "";
		for (const line of lines) {
			if (line === "") {
				if (this.data.length > 0) {
					found.push({ event: this.event || "message", data: this.data.join("\n") });
				}
				this.event = "";
				this.data = [];
				continue;
			}
			const [, name = "", value = ""] = /^([^:]*)(?::\u0020?(.*))?$/s.exec(line) ?? [];
			if (name === "event") this.event = value;
			if (name === "data") this.data.push(value);
		}
		return found;
	}
}
