/** Where files come in: buttons that open a chooser, and the whole window for drops. */

import { children, h, icon, text } from "../dom.ts";
import { bytes, plural, seconds } from "../format.ts";
import { type Chosen, depthMax, dropped, field, open } from "../intake.ts";
import { isOpen, type Sending, sentOf } from "../send/sending.ts";
import { speedometer } from "../send/speed.ts";

export interface Steering {
	pauseAll(): void;
	resumeAll(): void;
	cancelAll(): void;
}

export class DropZone {
	readonly element: HTMLElement;
	readonly overlay: HTMLElement;
	private readonly bar = h("progress", { max: "1", "aria-label": "All files on their way" });
	private readonly line = h("span", { class: "line" });
	private readonly total: HTMLElement;
	private readonly words = h("span", { class: "words" });
	private readonly pause: HTMLButtonElement;
	private readonly resume: HTMLButtonElement;
	private speed = speedometer();

	constructor(
		private readonly take: (files: Chosen[]) => void,
		private readonly refuse: (sentence: string) => void,
		steering: Steering,
		options: HTMLElement,
	) {
		const files = field("files", take);
		const folder = field("folder", take);
		const chooser = (
			words: string,
			from: HTMLInputElement,
			className: string,
		): HTMLButtonElement => {
			const button = h("button", { type: "button", class: className }, words);
			button.addEventListener("click", () => this.hold(open(from, take)));
			return button;
		};
		const area = h(
			"div",
			{ class: "drop-zone" },
			chooser("Choose files", files, "button primary"),
			chooser("Choose a folder", folder, "button"),
			h("span", { class: "or" }, "or drop them anywhere on this page"),
			this.words,
		);
		const action = (word: string, name: "pause" | "resume" | "cancel", act: () => void) => {
			const button = h("button", { type: "button", class: "quiet" }, icon(name), word);
			button.addEventListener("click", act);
			return button;
		};
		this.pause = action("Pause all", "pause", () => steering.pauseAll());
		this.resume = action("Resume all", "resume", () => steering.resumeAll());
		const cancel = action("Cancel all", "cancel", () => steering.cancelAll());
		const actions = h("span", { class: "total-actions" }, this.pause, this.resume, cancel);
		this.total = h("div", { class: "total", hidden: true }, this.line, actions, this.bar);
		this.element = h("section", { "aria-label": "Send files" }, area, files, options, this.total);
		this.overlay = h("div", { class: "drop-overlay", hidden: true }, h("p", {}, "Drop to send"));
		this.acceptDrops();
	}

	/** What happens to a file, in words, once the server has named its buckets and limits. */
	explain(...sentences: string[]): void {
		children(
			this.words,
			sentences.filter(Boolean).map((sentence) => h("span", {}, sentence)),
		);
	}

	/** Sum of all files under way; hidden when there are none. */
	show(sendings: readonly Sending[]): void {
		const left = sendings.filter(isOpen);
		this.total.hidden = left.length === 0;
		if (left.length === 0) {
			this.speed = speedometer();
			return;
		}
		const is = (phase: Sending["phase"]["is"]): number =>
			left.filter((sending) => sending.phase.is === phase).length;
		const stopped = is("paused") + is("wanted");
		const all = [...left, ...sendings.filter(({ phase }) => phase.is === "sent")];
		const size = all.reduce((sum, { size }) => sum + size, 0);
		const sent = all.reduce((sum, sending) => sum + sentOf(sending), 0);
		const moving = is("sending") + is("waiting");
		const speed = is("sending") > 0 ? this.speed(sent, performance.now()) : null;
		const remaining = speed && speed > 0 ? (size - sent) / speed : null;
		this.bar.value = size > 0 ? sent / size : 0;
		const parts = [
			stopped === left.length
				? `${plural(left.length, "file")} waiting for you`
				: moving > 0
					? `Sending ${plural(left.length - stopped, "file")}`
					: `${plural(left.length - stopped, "file")} held up`,
			stopped > 0 && stopped < left.length ? `${stopped} waiting for you` : "",
			`${bytes(sent)} of ${bytes(size)}`,
			speed && speed > 0 ? `${bytes(speed)}/s` : "",
			remaining !== null && remaining >= 1 ? `${seconds(remaining)} left` : "",
		];
		text(this.line, parts.filter(Boolean).join(" · "));
		const hadFocus = document.activeElement;
		this.resume.hidden = is("paused") === 0;
		this.pause.hidden = stopped === left.length;
		// The button that was pressed is gone: its opposite stands in its place.
		if (hadFocus === this.pause && this.pause.hidden) this.resume.focus();
		if (hadFocus === this.resume && this.resume.hidden) this.pause.focus();
	}

	private acceptDrops(): void {
		// Enter and leave are told for every element the pointer crosses.
		let depth = 0;
		const hasFiles = (event: DragEvent): boolean =>
			event.dataTransfer?.types.includes("Files") ?? false;
		const over = (on: boolean): void => {
			if (!on) depth = 0;
			this.overlay.hidden = !on;
		};
		window.addEventListener("dragenter", (event) => {
			if (!hasFiles(event)) return;
			event.preventDefault();
			depth += 1;
			over(true);
		});
		window.addEventListener("dragover", (event) => {
			if (!hasFiles(event)) return;
			event.preventDefault();
			if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
		});
		window.addEventListener("dragleave", () => {
			depth -= 1;
			if (depth <= 0) over(false);
		});
		window.addEventListener("drop", (event) => {
			if (!hasFiles(event)) return;
			event.preventDefault();
			over(false);
			if (event.dataTransfer) this.hold(this.drop(event.dataTransfer));
		});
	}

	private async drop(transfer: DataTransfer): Promise<void> {
		const left: string[] = [];
		this.take(await dropped(transfer, (folder) => left.push(folder)));
		const [first] = left;
		if (first === undefined) return;
		const top = first.slice(0, first.indexOf("/"));
		const folders = plural(left.length, "folder");
		this.refuse(
			`${folders} in ${top} ${left.length === 1 ? "lies" : "lie"} more than ${depthMax} folders deep; what is in there was not added`,
		);
	}

	private hold(reading: Promise<void>): void {
		reading.catch(() =>
			this.refuse("something in there could not be read; nothing of it was added"),
		);
	}
}
