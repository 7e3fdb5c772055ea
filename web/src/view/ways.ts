/** Which of the two ways files are sent: a small choice under the place they are dropped. */

import { attribute, h, text } from "../dom.ts";
import { canSignHere, chooseWay, chosenWay, type Way, ways } from "../send/way.ts";

const words: Record<Way, { name: string; means: string }> = {
	signed: {
		name: "Signed URLs",
		means: "The server signs each request for one file; the browser holds no keys.",
	},
	credentials: {
		name: "One-file credentials",
		means:
			"The server lends keys that can write one file and nothing else; the browser signs with them.",
	},
};

export class Ways {
	readonly element = h("fieldset", { class: "ways" }, h("legend", {}, "Sent with"));
	private chosen: Way = chosenWay();
	private isLimited = false;
	private readonly lent: HTMLInputElement[] = [];
	private readonly means = h("span", { class: "means", id: "way-means" });

	constructor() {
		const group = h("div", { class: "choices" });
		for (const way of ways) {
			const radio = h("input", {
				type: "radio",
				name: "way",
				value: way,
				checked: way === this.chosen,
				"aria-describedby": "way-means",
			});
			radio.addEventListener("change", () => {
				this.chosen = way;
				chooseWay(way);
				this.show();
			});
			if (way === "credentials") this.lent.push(radio);
			group.append(h("label", {}, radio, h("span", { class: "choice" }, words[way].name)));
		}
		this.element.append(group, this.means);
		this.show();
	}

	/** The way files are sent from now on. */
	get way(): Way {
		return this.isPossible ? this.chosen : "signed";
	}

	/** Credentials are not given to those who may not send every file. */
	limit(isLimited: boolean): void {
		this.isLimited = isLimited;
		this.show();
	}

	private get isPossible(): boolean {
		return canSignHere() && !this.isLimited;
	}

	private show(): void {
		const impossible = !canSignHere()
			? " Credentials need a page over HTTPS or on this machine."
			: this.isLimited
				? " Credentials cannot be bound to what you may send."
				: "";
		text(this.means, words[this.way].means + impossible);
		for (const radio of this.lent) radio.disabled = !this.isPossible;
		for (const radio of this.element.querySelectorAll("input")) {
			radio.checked = radio.value === this.way;
		}
		attribute(this.element, "data-way", this.way);
	}
}
