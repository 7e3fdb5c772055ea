/** The top of the page: where files go, and the one number to watch. */

import type { Listing, Server } from "../api.ts";
import { h, icon, text } from "../dom.ts";
import { seconds } from "../format.ts";
import { plain } from "../names.ts";
import { copyButton } from "./copy.ts";

/** An unfinished upload older than this is worth a word. */
const noticeableS = 5;

export class Header {
	readonly element: HTMLElement;
	private readonly path = h("p", { class: "path" });
	private readonly endpoint = h("code", {});
	private readonly s3: HTMLElement;
	private readonly oldest = h("p", { class: "oldest", hidden: true });

	constructor(pause: HTMLElement) {
		this.s3 = h(
			"p",
			{ class: "endpoint", hidden: true },
			h("span", { class: "faint" }, "S3 "),
			this.endpoint,
			copyButton("the S3 endpoint", () => this.endpoint.textContent ?? ""),
		);
		this.element = h(
			"header",
			{ class: "top" },
			h("h1", {}, icon("mark"), "Two Buckets"),
			this.path,
			pause,
			this.oldest,
			this.s3,
		);
	}

	showServer(server: Server): void {
		this.path.replaceChildren(
			h("span", {}, server.staging),
			icon("arrow"),
			h("span", {}, server.processor),
			icon("arrow"),
			h("span", {}, server.archive),
		);
		text(this.endpoint, server.s3.endpoint);
		this.s3.hidden = false;
	}

	showOldest(oldest: Listing["oldest_unfinished"]): void {
		this.oldest.hidden = !oldest || oldest.age_s < noticeableS;
		if (!oldest) return;
		text(this.oldest, `Oldest unfinished: ${seconds(oldest.age_s)}`);
		this.oldest.title = plain(oldest.key);
	}
}
