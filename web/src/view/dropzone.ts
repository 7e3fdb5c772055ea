/** Where files come in: a button that opens the chooser, and the whole window for drops. */

import { h, icon, text } from "../dom.ts";
import { bytes, plural, seconds } from "../format.ts";
import { plain } from "../names.ts";
import { type Sending, speedometer } from "../uploader.ts";

export class DropZone {
	readonly element: HTMLElement;
	readonly overlay: HTMLElement;
	private readonly button: HTMLButtonElement;
	private readonly bar = h("progress", { max: "1", "aria-label": "All files on their way" });
	private readonly line = h("span", { class: "line" });
	private readonly total: HTMLElement;
	private readonly words = h("span", { class: "words" });
	private speed = speedometer();

	constructor(
		private readonly take: (files: File[]) => void,
		private readonly refuse: (sentence: string) => void,
		cancelAll: () => void,
	) {
		const chooser = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1" });
		chooser.addEventListener("change", () => {
			this.take([...(chooser.files ?? [])]);
			// The same file may be chosen again.
			chooser.value = "";
		});
		this.button = h(
			"button",
			{ type: "button", class: "drop-zone" },
			h("span", { class: "title" }, "Choose files"),
			h("span", { class: "or" }, "or drop them anywhere on this page"),
			this.words,
		);
		this.button.addEventListener("click", () => chooser.click());
		const cancel = h("button", { type: "button", class: "quiet" }, icon("cancel"), "Cancel all");
		cancel.addEventListener("click", cancelAll);
		this.total = h("div", { class: "total", hidden: true }, this.line, cancel, this.bar);
		this.element = h("section", { "aria-label": "Send files" }, this.button, chooser, this.total);
		this.overlay = h("div", { class: "drop-overlay", hidden: true }, h("p", {}, "Drop to send"));
		this.acceptDrops();
	}

	focus(): void {
		this.button.focus();
	}

	/** What happens to a file, in words, once the server has named its buckets. */
	explain(sentence: string): void {
		text(this.words, sentence);
	}

	/** Sum of all files under way; hidden when there are none. */
	show(sendings: readonly Sending[]): void {
		const open = sendings.filter(({ phase }) =>
			["waiting", "sending", "paused"].includes(phase.is),
		);
		this.total.hidden = open.length === 0;
		if (open.length === 0) {
			this.speed = speedometer();
			return;
		}
		const done = sendings.filter(({ phase }) => phase.is === "sent");
		const all = [...open, ...done];
		const size = all.reduce((sum, { size }) => sum + size, 0);
		const sent = all.reduce(
			(sum, { phase, size }) =>
				sum + (phase.is === "sent" ? size : phase.is === "sending" ? phase.sent : 0),
			0,
		);
		const speed = this.speed(sent, performance.now());
		const left = speed && speed > 0 ? (size - sent) / speed : null;
		this.bar.value = size > 0 ? sent / size : 0;
		const parts = [
			`Sending ${plural(open.length, "file")}`,
			`${bytes(sent)} of ${bytes(size)}`,
			speed && speed > 0 ? `${bytes(speed)}/s` : "",
			left !== null && left >= 1 ? `${seconds(left)} left` : "",
		];
		text(this.line, parts.filter(Boolean).join(" · "));
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
			this.drop([...(event.dataTransfer?.items ?? [])]);
		});
	}

	private drop(items: readonly DataTransferItem[]): void {
		const files: File[] = [];
		const folders: string[] = [];
		for (const item of items) {
			// A folder looks like a file that cannot be read.
			const entry = item.webkitGetAsEntry?.();
			const file = item.getAsFile();
			if (entry?.isDirectory) folders.push(entry.name);
			else if (file) files.push(file);
		}
		if (folders.length > 0) {
			const names = folders.slice(0, 3).map(plain).join(", ");
			const more = folders.length > 3 ? ` and ${folders.length - 3} more` : "";
			this.refuse(
				`Folders cannot be sent from this page: ${names}${more}. Open the folder and drop the files in it.`,
			);
		}
		if (files.length > 0) this.take(files);
	}
}
