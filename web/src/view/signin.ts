/** Asks for the token that the server wants to see, and keeps it as long as the tab. */

import { h, text } from "../dom.ts";
import { plain } from "../names.ts";
import { keep, kept } from "../storage.ts";
import { sentence } from "./row.ts";

const place = "two-buckets-token";

export const keptToken = (): string | null => kept("session", place);

export class SignIn {
	readonly element: HTMLDialogElement;
	private readonly why = h("p", { class: "why", id: "sign-in-why" });
	private readonly token = h("input", {
		type: "password",
		id: "token",
		name: "token",
		required: true,
		autocomplete: "off",
		spellcheck: "false",
		maxlength: "8192",
		"aria-describedby": "sign-in-why",
	});

	constructor(given: (token: string) => void) {
		const form = h(
			"form",
			{ method: "dialog" },
			h("h2", { id: "sign-in-title" }, "Sign in"),
			this.why,
			h("label", { for: "token" }, "Access token"),
			this.token,
			h(
				"p",
				{ class: "faint" },
				"Kept until this tab is closed, and sent to this server only. Files on their way wait.",
			),
			h("button", { type: "submit", class: "button primary" }, "Sign in"),
		);
		form.addEventListener("submit", (event) => {
			event.preventDefault();
			// A header holds no line breaks, and a copied token often ends with one.
			const token = this.token.value.trim();
			if (token === "") return;
			keep("session", place, token);
			this.token.value = "";
			this.element.close();
			given(token);
		});
		this.element = h("dialog", { class: "sign-in", "aria-labelledby": "sign-in-title" }, form);
		// There is nothing behind it to go back to.
		this.element.addEventListener("cancel", (event) => event.preventDefault());
	}

	ask(words: string): void {
		text(this.why, plain(`${sentence(words)}.`.replace(/([.!?])\.$/, "$1")));
		if (this.element.open) return;
		keep("session", place, null);
		this.element.showModal();
		this.token.focus();
	}
}
