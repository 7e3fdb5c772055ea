/** One row of the table, updated in place so that focus and selection survive every poll. */

import { isFinal, type Upload } from "../api.ts";
import { attribute, children, h, type Icon, icon, text } from "../dom.ts";
import { ago, bytes, duration, moment, seconds } from "../format.ts";
import { plain } from "../names.ts";
import type { Row } from "../rows.ts";
import { compare } from "../send/digest.ts";
import { singleBytesMax } from "../send/part-size.ts";
import { type Sending, sentOf } from "../send/sending.ts";
import { named } from "./name.ts";
import { fillBar, glance, share } from "./progress.ts";
import { label, meaningOf } from "./state.ts";

export interface RowActions {
	/** Whether the reader may have the server try uploads again and cancel jobs. */
	maySteer(): boolean;
	open(row: Row): void;
	/** Ends the sending, or after asking the job; settles once the reader has answered. */
	cancel(row: Row): void | Promise<void>;
	pause(row: Row): void;
	resume(row: Row): void;
	retry(row: Row): void;
	/** The reader gives the file again, or leave to read it. */
	give(row: Row): void;
	dismiss(row: Row): void;
}

type Action = "pause" | "resume" | "give" | "cancel" | "retry" | "dismiss";

const verbs: Record<Exclude<Action, "give">, { word: string; icon: Icon }> = {
	pause: { word: "Pause", icon: "pause" },
	resume: { word: "Resume", icon: "resume" },
	cancel: { word: "Cancel", icon: "cancel" },
	retry: { word: "Retry", icon: "retry" },
	dismiss: { word: "Dismiss", icon: "cancel" },
};

export class RowView {
	readonly element: HTMLTableRowElement;
	readonly opener: HTMLButtonElement;
	private readonly folder = h("span", { class: "folder" });
	private readonly chip = h("span", { class: "chip" });
	private readonly job = jobTag();
	private readonly bar = h("progress", { max: "1" });
	private readonly note = h("span", { class: "note" });
	private readonly size = cell("size", "Size");
	private readonly type = cell("type", "Type");
	private readonly took = cell("took", "Took");
	private readonly received = cell("received", "Received");
	private readonly sha = cell("sha", "SHA-256");
	private readonly buttons = h("div", { class: "buttons" });
	private readonly state: HTMLTableCellElement;
	private folderShown = "";
	private actionsShown = "";

	constructor(
		private row: Row,
		private readonly actions: RowActions,
	) {
		this.opener = h(
			"button",
			{ type: "button", class: "opener", "aria-haspopup": "dialog", tabindex: "-1" },
			named(row.name, "name"),
		);
		this.state = h(
			"td",
			{ role: "cell", class: "state" },
			h("div", { class: "state-line" }, h("span", {}, this.chip, this.job), this.note),
			this.bar,
		);
		const name = h(
			"th",
			{ role: "rowheader", scope: "row", class: "file" },
			this.opener,
			this.folder,
		);
		const tools = h("td", { role: "cell", class: "actions" }, this.buttons);
		this.element = h(
			"tr",
			{ role: "row" },
			...[name, this.state, this.size, this.type, this.took, this.received, this.sha, tools],
		);
		this.element.addEventListener("click", (event) => {
			// A click that ends a selection of text is no wish to open.
			if (String(window.getSelection()) !== "") return;
			const button = (event.target as Element).closest("button");
			if (!button || button === this.opener) this.actions.open(this.row);
		});
	}

	update(row: Row, now: number): void {
		this.row = row;
		const { sending, upload, shown } = row;
		attribute(this.element, "data-state", shown);
		attribute(this.opener, "title", plain(upload?.key ?? sending?.key ?? row.name));
		if (row.folder !== this.folderShown) {
			this.folderShown = row.folder;
			this.folder.replaceChildren(named(row.folder));
		}
		text(this.chip, label[shown]);
		attribute(this.chip, "data-state", shown);
		attribute(this.chip, "title", meaningOf(row));
		this.job.hidden = !upload?.job;

		const phase = shown === sending?.phase.is ? sending.phase : null;
		const moving = phase !== null && "sent" in phase;
		const begun = sending && moving ? sentOf(sending) : 0;
		const progress = shown === "processing" ? (upload?.progress ?? null) : null;
		const processed = progress && share(progress);
		attribute(this.element, "data-progress", progress !== null);
		this.bar.hidden = moving ? phase.is !== "sending" && begun === 0 : processed === null;
		if (sending && moving) {
			fillBar(this.bar, sending.size > 0 ? begun / sending.size : 0, "Sent", row.name);
		} else if (processed !== null) {
			fillBar(this.bar, processed, "Processed", row.name);
		}
		const different = differs(row);
		attribute(this.element, "data-differs", different);
		const note = plain(
			different
				? "Differs from the file you sent"
				: phase && sending
					? noteOfSending(sending, now)
					: noteOf(upload, now),
		);
		text(this.note, note);
		attribute(this.note, "title", note.length > 40 || progress ? note : undefined);

		// Of what was not sent from here and has not arrived, nobody knows the size.
		const size = upload && !upload.expected ? upload.size : sending?.size;
		text(this.size, size == null ? "" : bytes(size));
		const type = plain(upload?.media_type ?? "");
		text(this.type, type);
		attribute(this.type, "title", type || undefined);
		text(this.took, upload?.finished_at ? duration(tookMs(upload)) : "");
		const at = upload ? Date.parse(upload.received_at) : row.at;
		text(this.received, ago(at, now));
		attribute(this.received, "title", moment(at));
		text(this.sha, upload?.sha256?.slice(0, 10) ?? "");
		attribute(this.sha, "title", upload?.sha256 ?? undefined);
		this.showActions(actionsOf(row, this.actions));
	}

	private showActions(wanted: Action[]): void {
		const phase = this.row.sending?.phase;
		const signature = `${wanted} ${phase?.is === "wanted" ? phase.by : ""}`;
		if (signature === this.actionsShown) return;
		this.actionsShown = signature;
		const hadFocus = this.buttons.contains(document.activeElement);
		children(
			this.buttons,
			wanted.map((action) => {
				const button = action === "give" ? this.giver() : this.tool(action);
				button.addEventListener("click", () => void this.act(action, button));
				return button;
			}),
		);
		if (hadFocus) this.opener.focus();
	}

	private async act(action: Action, button: HTMLElement): Promise<void> {
		await this.actions[action](this.row);
		// Who was asked comes back to where they were; what they pressed may be gone by then.
		if (document.activeElement !== document.body) return;
		if (button.isConnected) button.focus();
		else this.opener.focus();
	}

	private tool(action: Exclude<Action, "give">): HTMLButtonElement {
		const { word: verb, icon: drawing } = verbs[action];
		const word = action === "cancel" && isJobs(this.row) ? `${verb} job` : verb;
		const name = `${word === verb ? verb : `${verb} the job on`} ${plain(this.row.name)}`;
		return h(
			"button",
			{ type: "button", class: "quiet", title: word, "aria-label": name },
			icon(drawing),
			h("span", { class: "word" }, word),
		);
	}

	/** What the row waits for, as a word: a drawing would have to be guessed. */
	private giver(): HTMLButtonElement {
		const phase = this.row.sending?.phase;
		const asks = phase?.is === "wanted" && phase.by === "permission";
		const name = plain(this.row.name);
		return h(
			"button",
			{
				type: "button",
				class: "button small",
				"aria-label": asks ? `Allow reading ${name}` : `Choose ${name} again`,
			},
			asks ? "Allow" : "Choose",
		);
	}
}

/** Marks what a job has or had; hidden until it does. */
export const jobTag = (): HTMLElement =>
	h("span", { class: "tag", title: "A process of its own works on it", hidden: true }, "Job");

function cell(name: string, heading: string): HTMLTableCellElement {
	return h("td", { role: "cell", class: name, "data-label": heading });
}

export function actionsOf(row: Row, { maySteer }: RowActions): Action[] {
	if (row.sending && row.shown === row.sending.phase.is) {
		switch (row.sending.phase.is) {
			case "waiting":
			case "sending":
				return ["pause", "cancel"];
			case "retrying":
				return ["retry", "pause", "cancel"];
			case "paused":
				return ["resume", "cancel"];
			case "wanted":
				return ["give", "cancel"];
			case "failed":
			case "cancelled":
				return ["retry", "dismiss"];
			case "sent":
				return [];
		}
	}
	if (!maySteer()) return [];
	if (row.shown === "failed") return ["retry"];
	return isJobs(row) ? ["cancel"] : [];
}

/** Whether a job has it, or will: what a worker has nobody can cancel. */
export const isJobs = ({ sending, shown, upload }: Row): boolean =>
	upload?.job === true && !isFinal(upload.state) && shown !== sending?.phase.is;

/** From acknowledged to its end. */
export function tookMs(upload: Upload): number {
	const end = upload.finished_at ?? upload.received_at;
	return Date.parse(end) - Date.parse(upload.received_at);
}

/** Whether the archive holds other bytes than this page sent: what must never be, so said loudly. */
export const differs = ({ sending, upload }: Row): boolean =>
	upload !== null && compare(sending?.digest ?? null, upload)?.is === "different";

function noteOfSending(sending: Sending, now: number): string {
	const { phase, size, remark } = sending;
	const there = (sent: number): string =>
		sent > 0 && sent < size ? `${bytes(sent)} of ${bytes(size)}` : "";
	switch (phase.is) {
		case "sending": {
			if (phase.sent >= size && size > 0) {
				return sending.digest === null ? "reading it for its checksum" : "finishing";
			}
			if (sending.digest === null && size > 0 && size <= singleBytesMax) return "reading";
			const share = size > 0 ? Math.floor((phase.sent / size) * 100) : 0;
			const parts = [`${share} %`];
			if (phase.bytesPerS !== null && phase.bytesPerS > 0) {
				parts.push(`${bytes(phase.bytesPerS)}/s`);
				const left = (size - phase.sent) / phase.bytesPerS;
				if (Number.isFinite(left) && left >= 1) parts.push(`${seconds(left)} left`);
			}
			if (remark) parts.push(remark);
			return parts.join(" · ");
		}
		case "retrying": {
			if (phase.until === null) return sentence(phase.why);
			const s = Math.ceil((phase.until - now) / 1000);
			return `${s > 0 ? `Again in ${s} s` : "Trying now"}: ${phase.why}`;
		}
		case "paused":
			return there(phase.sent);
		case "wanted":
			return phase.by === "permission"
				? "Let the browser read the file to go on"
				: "Choose the file again to go on";
		case "failed":
			return sentence(phase.why);
		default:
			return "";
	}
}

function noteOf(upload: Upload | null, now: number): string {
	if (!upload) return "";
	if (upload.state === "processing") {
		const parts = [
			upload.progress ? glance(upload.progress) : "",
			upload.attempts > 1 ? `attempt ${upload.attempts}` : "",
		];
		return parts.filter((part) => part !== "").join(" · ");
	}
	if (upload.state === "pending" && upload.next_attempt_at) {
		const s = Math.ceil((Date.parse(upload.next_attempt_at) - now) / 1000);
		const when = s > 0 ? `Again in ${seconds(s)}` : "Due now";
		return upload.reason ? `${when}: ${upload.reason}` : when;
	}
	return upload.state === "archived" || !upload.reason ? "" : sentence(upload.reason);
}

/** The first letter large: reasons are written to stand after a colon. */
export const sentence = (words: string): string => {
	const [first = ""] = words;
	return first.toUpperCase() + words.slice(first.length);
};
