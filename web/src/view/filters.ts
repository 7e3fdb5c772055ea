/** What of the list is shown: by state, with counts, and by a part of the key. */

import type { Listing } from "../api.ts";
import { attribute, h, icon, text } from "../dom.ts";
import { type Filter, filters, type Wanted } from "../rows.ts";
import { label } from "./state.ts";

const typingMs = 200;

export class Filters {
	readonly element: HTMLElement;
	readonly wanted: Wanted = { filter: "all", q: "" };
	readonly search: HTMLInputElement;
	private readonly tabs = new Map<Filter, { button: HTMLButtonElement; count: HTMLElement }>();

	constructor(private readonly changed: () => void) {
		const group = h("div", { class: "tabs", role: "group", "aria-label": "Show uploads by state" });
		for (const filter of filters) {
			const name = filter === "all" ? "All" : filter === "here" ? "Sending" : label[filter];
			const count = h("span", { class: "count" });
			const button = h("button", { type: "button", "data-filter": filter }, name, " ", count);
			button.addEventListener("click", () => this.choose(filter));
			this.tabs.set(filter, { button, count });
			group.append(button);
		}
		this.search = h("input", {
			type: "search",
			placeholder: "Find by key",
			"aria-label": "Find uploads by a part of their key",
			autocomplete: "off",
			spellcheck: "false",
			maxlength: "1024",
		});
		let timer: ReturnType<typeof setTimeout> | undefined;
		this.search.addEventListener("input", () => {
			clearTimeout(timer);
			timer = setTimeout(() => {
				this.wanted.q = this.search.value;
				this.changed();
			}, typingMs);
		});
		const box = h("label", { class: "search" }, icon("search"), this.search);
		this.element = h("div", { class: "filters" }, group, box);
		this.show(null, 0);
	}

	choose(filter: Filter): void {
		this.wanted.filter = filter;
		this.changed();
	}

	clear(): void {
		this.search.value = "";
		this.wanted.q = "";
		this.choose("all");
	}

	show(counts: Listing["counts"] | null, here: number): void {
		const total = counts ? Object.values(counts).reduce((sum, count) => sum + count, here) : here;
		for (const [filter, { button, count }] of this.tabs) {
			const number = filter === "all" ? total : filter === "here" ? here : (counts?.[filter] ?? 0);
			text(count, number.toLocaleString("en"));
			const pressed = this.wanted.filter === filter;
			attribute(button, "aria-pressed", String(pressed));
			attribute(button, "data-some", number > 0);
			// States that are rare are shown once they are there.
			const rare = filter === "here" || filter === "late" || filter === "duplicate";
			button.hidden = rare && number === 0 && !pressed;
		}
	}
}
