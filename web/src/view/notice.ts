/** What the reader should know now: the server is away, or something was refused. */

import { h, icon, text } from "../dom.ts";
import { plain } from "../names.ts";
import type { Link } from "../poll.ts";
import { sentence } from "./row.ts";

const noticeForMs = 12_000;

export class Notices {
	readonly element: HTMLElement;
	private readonly away: HTMLElement;
	private readonly what = h("strong", {});
	private readonly when = h("span", { class: "when" });
	private readonly said = h("div", { class: "notice", role: "alert", hidden: true });
	private timer: ReturnType<typeof setTimeout> | undefined;

	constructor(tryNow: () => void) {
		const again = h("button", { type: "button", class: "quiet" }, icon("retry"), "Try now");
		again.addEventListener("click", tryNow);
		this.away = h(
			"div",
			{ class: "notice away", hidden: true },
			icon("away"),
			h("p", {}, this.what, " ", this.when),
			again,
		);
		this.element = h("div", { class: "notices" }, this.away, this.said);
	}

	showLink(link: Link, now: number): void {
		this.away.hidden = link.is === "up";
		if (link.is === "up") return;
		text(
			this.what,
			link.said === null
				? "Server not reachable."
				: `The server has a problem: ${plain(link.said)}.`,
		);
		const s = Math.ceil((link.nextAt - now) / 1000);
		const next = link.trying || s <= 0 ? "Trying now." : `Retrying in ${s} s.`;
		text(this.when, `${next} Files on their way wait and go on by themselves.`);
	}

	/** Shows a sentence for a while. */
	say(words: string): void {
		const close = h("button", { type: "button", class: "quiet" }, icon("cancel"), "Dismiss");
		const hide = (): void => {
			this.said.hidden = true;
		};
		close.addEventListener("click", hide);
		this.said.replaceChildren(icon("away"), h("p", {}, plain(sentence(words))), close);
		this.said.hidden = false;
		clearTimeout(this.timer);
		this.timer = setTimeout(hide, noticeForMs);
	}
}
