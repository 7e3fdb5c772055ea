/** Asks before something that cannot be taken back; what keeps things as they are is chosen first. */

import { h } from "../dom.ts";
import { named } from "./name.ts";

export interface Question {
	/** What would be done, in a few words: `Cancel the job on`. */
	what: string;
	/** To what: a name that somebody gave it. */
	name: string;
	/** What follows from it. */
	follows: string;
	yes: string;
	no: string;
}

export class Confirm {
	private readonly body = h("div", { class: "question" });
	readonly element = h(
		"dialog",
		{
			class: "confirm",
			role: "alertdialog",
			"aria-labelledby": "confirm-title",
			"aria-describedby": "confirm-follows",
		},
		this.body,
	);
	private answer: (yes: boolean) => void = () => {};

	constructor() {
		// Escape closes as well, and says no.
		this.element.addEventListener("close", () => this.settle(false));
		this.element.addEventListener("click", (event) => {
			// A click on the backdrop is one on the dialog itself: its content fills it.
			if (event.target === this.element) this.element.close();
		});
	}

	ask({ what, name, follows, yes, no }: Question): Promise<boolean> {
		this.settle(false);
		const button = (word: string, className: string, answer: boolean): HTMLElement => {
			const made = h("button", { type: "button", class: className }, word);
			made.addEventListener("click", () => {
				this.settle(answer);
				this.element.close();
			});
			return made;
		};
		const keep = button(no, "button", false);
		this.body.replaceChildren(
			h("h2", { id: "confirm-title" }, `${what} `, named(name), "?"),
			h("p", { id: "confirm-follows" }, follows),
			h("div", { class: "answers" }, keep, button(yes, "button bad", true)),
		);
		const answered = new Promise<boolean>((resolve) => {
			this.answer = resolve;
		});
		if (!this.element.open) this.element.showModal();
		keep.focus();
		return answered;
	}

	private settle(yes: boolean): void {
		const answer = this.answer;
		this.answer = () => {};
		answer(yes);
	}
}
