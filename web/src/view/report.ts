/** A function's report, whatever its shape, as names and values a person can read. */

import type { Json } from "../api.ts";
import { h } from "../dom.ts";
import { lines, named } from "./name.ts";

/** Reports come from user code over hostile files: what is drawn is bounded, the raw JSON is not cut below this. */
const depthMax = 4;
const entriesMax = 100;
const textMax = 2000;
const rawMax = 200_000;

/** Draws a report, without the entries that say again what `known` says; its raw form is whole. */
export function report(
	value: { [name: string]: Json },
	known: { [name: string]: Json },
): HTMLElement {
	const news = Object.entries(value).filter(
		([name, inner]) => inner !== (known[name] ?? undefined),
	);
	const raw = JSON.stringify(value, null, 2);
	const shown = raw.length > rawMax ? `${raw.slice(0, rawMax)}\n… cut` : raw;
	return h(
		"div",
		{ class: "report" },
		news.length > 0 ? draw(Object.fromEntries(news), 0) : null,
		h(
			"details",
			{},
			h("summary", {}, "Raw JSON"),
			h("pre", { tabindex: "0", "aria-label": "The report as JSON" }, ...lines(shown)),
		),
	);
}

function draw(value: Json, depth: number): Node {
	if (value === null) return h("span", { class: "faint" }, "none");
	if (typeof value === "boolean") return document.createTextNode(value ? "yes" : "no");
	if (typeof value === "number") {
		return h(
			"span",
			{ class: "number" },
			Number.isInteger(value) ? value.toLocaleString("en") : `${value}`,
		);
	}
	if (typeof value === "string") {
		if (value === "") return h("span", { class: "faint" }, "empty");
		return named(value.length > textMax ? `${value.slice(0, textMax)}…` : value);
	}
	if (depth >= depthMax) return h("span", { class: "faint" }, "see the raw JSON");
	return Array.isArray(value) ? list(value, depth) : table(value, depth);
}

function list(values: Json[], depth: number): Node {
	if (values.length === 0) return h("span", { class: "faint" }, "none");
	const items = values.slice(0, entriesMax).map((value) => h("li", {}, draw(value, depth + 1)));
	return h("ol", {}, ...items, cut(values.length, "li"));
}

function table(value: { [name: string]: Json }, depth: number): Node {
	const entries = Object.entries(value);
	if (entries.length === 0) return h("span", { class: "faint" }, "none");
	const list = h("dl", { class: "facts" });
	for (const [name, inner] of entries.slice(0, entriesMax)) {
		list.append(h("dt", {}, named(words(name))), h("dd", {}, draw(inner, depth + 1)));
	}
	const rest = cut(entries.length, "dd");
	if (rest) list.append(h("dt", {}, ""), rest);
	return list;
}

function cut(count: number, tag: "li" | "dd"): HTMLElement | null {
	const more = count - entriesMax;
	return more > 0 ? h(tag, { class: "faint" }, `and ${more} more, in the raw JSON`) : null;
}

/** `line_count` reads as `line count`. */
export const words = (name: string): string => name.replaceAll("_", " ");
