/** What stands in place of the table while there is nothing to list. */

import type { Server } from "../api.ts";
import { h } from "../dom.ts";
import { codeLine } from "./copy.ts";

export function nothingYet(server: Server | null): HTMLElement {
	const staging = server?.staging ?? "staging";
	const archive = server?.archive ?? "archive";
	const processor = server?.processor ?? "the function";
	const step = (title: string, words: string): HTMLElement =>
		h("li", {}, h("strong", {}, title), h("span", {}, words));
	return h(
		"div",
		{ class: "empty" },
		h("h2", {}, "No uploads yet"),
		h(
			"ol",
			{ class: "steps" },
			step(staging, "A file lands here. Once it is acknowledged it is on disk."),
			step(processor, "This function runs on it and reports what it found."),
			step(archive, "It is kept here, byte for byte, with its report."),
		),
		h("p", {}, "Send one from this page, or with any S3 client:"),
		codeLine(
			"Commands that send a file",
			`eval "$(two-buckets env)"\naws s3 cp FILE s3://${staging}/`,
		),
	);
}

export function nothingFound(clear: () => void): HTMLElement {
	const button = h("button", { type: "button", class: "button" }, "Show all uploads");
	button.addEventListener("click", clear);
	return h("div", { class: "empty" }, h("h2", {}, "Nothing matches"), button);
}

export const firstLook = (): HTMLElement =>
	h("div", { class: "empty" }, h("p", { class: "faint" }, "Asking the server…"));
