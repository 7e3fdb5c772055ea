/** What the reader should know now: the server is away, misbehaves on purpose, or something was refused. */

import type { FaultRule } from "../api.ts";
import { children, h, icon, text } from "../dom.ts";
import { plural } from "../format.ts";
import { plain } from "../names.ts";
import type { Link } from "../poll.ts";
import { sentence } from "./row.ts";

const noticeForMs = 12_000;

export class Notices {
	readonly element: HTMLElement;
	private readonly away: HTMLElement;
	private readonly again = h("button", { type: "button", class: "quiet" });
	private readonly what = h("strong", {});
	private readonly when = h("span", { class: "when" });
	private readonly said = h("div", { class: "notice", role: "alert", hidden: true });
	private readonly asked = h("div", { class: "notice asks", role: "alert", hidden: true });
	private readonly faults: HTMLElement;
	private readonly struck = h("span", {});
	private readonly rules = h("ul", {});
	private readonly wanted: HTMLElement;
	private readonly wants = h("p", {});
	private timer: ReturnType<typeof setTimeout> | undefined;

	constructor(tryNow: () => void, permit: () => void) {
		this.again.append(icon("retry"), "Try now");
		this.again.addEventListener("click", tryNow);
		this.away = h(
			"div",
			{ class: "notice away", hidden: true },
			icon("away"),
			h("p", {}, this.what, " ", this.when),
			this.again,
		);
		const allow = h("button", { type: "button", class: "button" }, "Allow reading");
		allow.addEventListener("click", permit);
		this.wanted = h(
			"div",
			{ class: "notice asks", role: "status", hidden: true },
			icon("file"),
			this.wants,
			allow,
		);
		this.faults = h(
			"section",
			{ class: "notice faults", "aria-label": "Faults", hidden: true },
			icon("away"),
			h(
				"div",
				{},
				h("strong", {}, "Faults are switched on."),
				" S3 and its events misbehave here on purpose, until ",
				h("code", {}, "two-buckets faults off"),
				".",
				h("details", {}, h("summary", {}, this.struck), this.rules),
			),
		);
		const all = [this.away, this.faults, this.wanted, this.asked, this.said];
		this.element = h("div", { class: "notices" }, ...all);
	}

	/** Files of an earlier visit that go on with one click. */
	showWanted(count: number): void {
		this.wanted.hidden = count === 0;
		const were =
			count === 1
				? "was on its way when this page was closed"
				: "were on their way when this page was closed";
		text(
			this.wants,
			`${plural(count, "file")} ${were}. The browser asks for your leave to read ${count === 1 ? "it" : "them"} again.`,
		);
	}

	/** The rules by which the server misbehaves; none while it does not. Stays for as long as there are some. */
	showFaults(rules: readonly FaultRule[]): void {
		this.faults.hidden = rules.length === 0;
		const struck = rules.reduce((sum, rule) => sum + rule.struck, 0);
		text(this.struck, `${plural(rules.length, "rule")}, struck ${plural(struck, "time")}`);
		const items = rules.map((rule, index) => {
			const item = this.rules.children[index] ?? h("li", {});
			text(
				item,
				`${plain(rule.name)}: ${plain(rule.words)}. Struck ${plural(rule.struck, "time")} of ${rule.matched}.`,
			);
			return item;
		});
		children(this.rules, items);
	}

	/** Asks something that can wait; without an answer nothing is done. */
	ask(words: string, yes: string, no: string, act: () => void): void {
		const button = (word: string, className: string, then: () => void): HTMLElement => {
			const made = h("button", { type: "button", class: className }, word);
			made.addEventListener("click", () => {
				this.asked.hidden = true;
				then();
			});
			return made;
		};
		this.asked.replaceChildren(
			icon("file"),
			h("p", {}, plain(words)),
			button(yes, "button", act),
			button(no, "quiet", () => {}),
		);
		this.asked.hidden = false;
	}

	showLink(link: Link, now: number): void {
		const { onLine } = navigator;
		this.away.hidden = onLine && link.is === "up";
		this.again.hidden = !onLine;
		if (!onLine) {
			text(this.what, "You are offline.");
			text(this.when, "Files on their way wait and go on by themselves.");
			return;
		}
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
