/** Pausing: a button while files are processed, and a notice with what waits while they are not. */

import type { Listing } from "../api.ts";
import { h, icon, text } from "../dom.ts";
import { moment, plural } from "../format.ts";
import { plain } from "../names.ts";

export class Pausing {
	readonly notice: HTMLElement;
	readonly button = h("button", { type: "button", class: "quiet", hidden: true });
	private readonly resume = h("button", { type: "button", class: "button" }, "Resume processing");
	private readonly why = h("span", {});
	private readonly waits = h("span", {});
	/** Whoever pressed one button is where the other one appears. */
	private follows = false;

	constructor(pause: () => void, resume: () => void) {
		this.button.append(icon("pause"), "Pause processing");
		const act = (button: HTMLButtonElement, then: () => void): void =>
			button.addEventListener("click", () => {
				this.follows = true;
				then();
			});
		act(this.button, pause);
		act(this.resume, resume);
		this.notice = h(
			"div",
			{ class: "notice asks paused", role: "status", hidden: true },
			icon("pause"),
			h("p", {}, h("strong", {}, "Processing is paused."), " ", this.why, " ", this.waits),
			this.resume,
		);
	}

	show(paused: Listing["paused"], waiting: number, maySteer: boolean): void {
		const was = !this.notice.hidden;
		this.notice.hidden = paused === null;
		this.resume.hidden = !maySteer;
		this.button.hidden = paused !== null || !maySteer;
		if (paused) {
			const since = `Since ${moment(Date.parse(paused.since))}`;
			const reason = paused.reason === null ? "." : `: ${plain(paused.reason)}`;
			text(this.why, /[.!?]$/.test(reason) ? since + reason : `${since}${reason}.`);
			const wait = waiting === 1 ? "waits" : "wait";
			text(this.waits, `${plural(waiting, "upload")} ${wait}; more can be sent.`);
		}
		if (was === !this.notice.hidden || !this.follows) return;
		this.follows = false;
		// Unless the reader went on to something else meanwhile; what is hidden loses the focus a moment later.
		const at = document.activeElement;
		const isHere = at === document.body || at === this.resume || at === this.button;
		if (isHere) (paused ? this.resume : this.button).focus();
	}
}
