/** Says changes of state to screen readers, gathered so that a hundred files are one sentence. */

import { h, text } from "../dom.ts";

const gatherMs = 700;

export class Announcer {
	readonly element = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });
	private readonly waiting: string[] = [];
	private timer: ReturnType<typeof setTimeout> | undefined;

	say(sentence: string): void {
		this.waiting.push(sentence);
		this.timer ??= setTimeout(() => {
			this.timer = undefined;
			const shown = this.waiting.splice(0);
			const more = shown.length - 4;
			text(
				this.element,
				shown.slice(0, 4).join(" ") + (more > 0 ? ` And ${more} more changes.` : ""),
			);
		}, gatherMs);
	}
}
