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
	readonly element: HTMLElement;
	way: Way = chosenWay();
	private readonly means = h("span", { class: "means", id: "way-means" });

	constructor() {
		const group = h("div", { class: "choices" });
		for (const way of ways) {
			const radio = h("input", {
				type: "radio",
				name: "way",
				value: way,
				checked: way === this.way,
				disabled: way === "credentials" && !canSignHere(),
				"aria-describedby": "way-means",
			});
			radio.addEventListener("change", () => {
				this.way = way;
				chooseWay(way);
				this.show();
			});
			group.append(h("label", {}, radio, h("span", {}, words[way].name)));
		}
		this.element = h(
			"fieldset",
			{ class: "ways" },
			h("legend", {}, "Sent with"),
			group,
			this.means,
		);
		this.show();
	}

	private show(): void {
		const impossible = canSignHere()
			? ""
			: " Credentials need a page over HTTPS or on this machine.";
		text(this.means, words[this.way].means + impossible);
		attribute(this.element, "data-way", this.way);
	}
}
