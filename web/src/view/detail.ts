/** Everything known of one upload, in a panel over the page. */

import {
	type Attempt,
	type AttemptLog,
	content,
	contentUrl,
	isSignedIn,
	type Json,
	type Upload,
	type UploadDetail,
} from "../api.ts";
import { attribute, h, icon, text } from "../dom.ts";
import { bytes, duration, moment, shellQuote } from "../format.ts";
import type { Row } from "../rows.ts";
import { compare } from "../send/digest.ts";
import { codeLine, copyButton } from "./copy.ts";
import { logLines, named } from "./name.ts";
import { progressOf } from "./progress.ts";
import { report } from "./report.ts";
import { actionsOf, isJobs, jobTag, type RowActions, sentence, tookMs } from "./row.ts";
import { label, meaningOf } from "./state.ts";

export class DetailPanel {
	readonly element: HTMLDialogElement;
	private readonly title = h("h2", { id: "detail-title", tabindex: "-1" });
	private readonly chip = h("span", { class: "chip" });
	private readonly job = jobTag();
	private readonly says = h("p", { class: "meaning" });
	/** Beside the body, which is drawn again while it is read. */
	private readonly refusal = h("p", { class: "refusal", role: "alert", hidden: true });
	private readonly body = h("div", { class: "detail-body" });
	private drawn = "";
	id: string | null = null;

	constructor(
		private readonly actions: RowActions,
		closed: (id: string) => void,
	) {
		const close = h("button", { type: "button", class: "quiet icon-only", title: "Close" });
		close.append(icon("cancel"), h("span", { class: "visually-hidden" }, "Close"));
		close.addEventListener("click", () => this.element.close());
		this.element = h(
			"dialog",
			{ class: "detail", "aria-labelledby": "detail-title" },
			h(
				"header",
				{},
				h("div", { class: "heading" }, this.title, close),
				h("div", { class: "standing" }, h("span", {}, this.chip, this.job), this.says),
			),
			this.refusal,
			this.body,
		);
		this.element.addEventListener("click", (event) => {
			// A click on the backdrop is one on the dialog itself, outside its box.
			if (event.target !== this.element) return;
			const box = this.element.getBoundingClientRect();
			if (event.clientX < box.left) this.element.close();
		});
		this.element.addEventListener("close", () => {
			// The event comes late: the panel may be open again, on another upload.
			if (this.element.open) return;
			const id = this.id;
			this.id = null;
			this.drawn = "";
			if (id !== null) closed(id);
		});
	}

	open(id: string): void {
		this.id = id;
		this.drawn = "";
		this.refusal.hidden = true;
		this.title.replaceChildren("…");
		this.body.replaceChildren(h("p", { class: "faint" }, "Loading…"));
		if (!this.element.open) {
			this.element.showModal();
			this.title.focus();
		}
	}

	/** The upload is not known, or its details could not be had. */
	problem(words: string): void {
		this.drawn = "";
		this.body.replaceChildren(h("p", { class: "reason" }, named(sentence(words))));
	}

	/** What the reader asked for here was refused, with these words. */
	refused(words: string): void {
		this.refusal.replaceChildren(named(sentence(words)));
		this.refusal.hidden = false;
	}

	show(row: Row, detail: UploadDetail | null): void {
		text(this.chip, label[row.shown]);
		attribute(this.chip, "data-state", row.shown);
		text(this.says, meaningOf(row));
		this.job.hidden = !row.upload?.job;
		// Drawn again only on a change: the reader may be in the middle of it.
		const facts: unknown[] = [row.shown, row.upload, detail, row.sending?.phase.is === "failed"];
		facts.push(row.sending?.digest ?? null, row.sending?.remark ?? null);
		const drawn = JSON.stringify(facts);
		if (drawn === this.drawn) return;
		this.drawn = drawn;
		this.title.replaceChildren(named(row.name));
		const open = this.body.querySelector("details")?.open ?? false;
		const at = document.activeElement?.getAttribute("data-focus");
		const read = readingOf(this.body);
		redraw(this.body, this.parts(row, detail));
		goOnReading(this.body, read);
		const raw = this.body.querySelector("details");
		if (raw) raw.open = open;
		if (at) (this.body.querySelector<HTMLElement>(`[data-focus="${at}"]`) ?? this.title).focus();
	}

	private parts(row: Row, detail: UploadDetail | null): Node[] {
		const upload = detail ?? row.upload;
		const parts: (Node | null)[] = [this.reason(row, upload?.reason ?? null)];
		if (!upload) {
			parts.push(
				facts([
					["Size", exactly(row.sending?.size ?? 0)],
					["Note", row.sending?.remark ? sentence(row.sending.remark) : null],
					keyFact(row.sending?.key ?? null),
				]),
			);
			return parts.filter((part) => part !== null);
		}
		const arrived = upload.version_id !== null;
		const mayCancel = isJobs(row) && actionsOf(row, this.actions).includes("cancel");
		parts.push(
			arrived
				? h(
						"p",
						{ class: "detail-actions" },
						download(upload.id, row.name, (words) => this.refused(words)),
						mayCancel ? this.canceller(row) : null,
					)
				: null,
			upload.progress ? progressOf(upload.progress, row.name) : null,
			integrity(row, upload),
			facts([
				["Size", upload.size === null ? null : exactly(upload.size)],
				["Media type", upload.media_type === null ? null : named(upload.media_type)],
				kept(upload),
				["SHA-256", upload.sha256 ? copied("SHA-256", upload.sha256) : null],
				["ETag", upload.etag ? mono(upload.etag) : null],
			]),
			upload.report ? section("Report", report(upload.report, shownAbove(upload))) : null,
			section(
				"Times",
				facts([
					["Received", when(upload.received_at)],
					["Started", when(upload.started_at)],
					["Finished", when(upload.finished_at)],
					["Took", upload.finished_at ? duration(tookMs(upload)) : null],
					["Next attempt", when(upload.next_attempt_at)],
				]),
			),
			section(
				"Place",
				facts([
					keyFact(upload.key),
					["Received in", mono(upload.bucket)],
					["Version", upload.version_id ? mono(upload.version_id) : null],
					["Replay of", upload.replay_of ? mono(placeOf(upload.replay_of)) : null],
					["Archive", upload.archive ? mono(upload.archive.bucket) : null],
					[
						"Archive key",
						upload.archive && upload.archive.key !== upload.key ? mono(upload.archive.key) : null,
					],
					["Archive version", upload.archive?.version_id ? mono(upload.archive.version_id) : null],
				]),
				upload.archive
					? codeLine(
							"Get it with the AWS CLI",
							`aws s3 cp ${shellQuote(`s3://${upload.archive.bucket}/${upload.archive.key}`)} .`,
						)
					: null,
			),
			detail && detail.attempts_log.length > 0
				? section("Attempts", attempts(detail.attempts_log, detail.logs))
				: null,
		);
		return parts.filter((part) => part !== null);
	}

	private canceller(row: Row): HTMLElement {
		const cancel = h(
			"button",
			{ type: "button", class: "button", "data-focus": "cancel" },
			icon("cancel"),
			"Cancel job",
		);
		cancel.addEventListener("click", async () => {
			this.refusal.hidden = true;
			await this.actions.cancel(row);
			// The body may have been drawn anew while the reader was asked.
			const again = this.body.querySelector<HTMLElement>('[data-focus="cancel"]');
			if (this.element.open) (again ?? this.title).focus();
		});
		return cancel;
	}

	private reason(row: Row, reason: string | null): HTMLElement | null {
		const phase = row.sending?.phase;
		const why =
			phase?.is === "failed" && row.shown === "failed" && !row.upload ? phase.why : reason;
		const canRetry = actionsOf(row, this.actions).includes("retry");
		if (!why && !canRetry) return null;
		const retry = h(
			"button",
			{ type: "button", class: "button", "data-focus": "retry" },
			icon("retry"),
			"Retry",
		);
		retry.addEventListener("click", () => this.actions.retry(row));
		return h(
			"div",
			{ class: "reason", "data-state": row.shown },
			why ? h("p", {}, named(sentence(why))) : null,
			canRetry ? retry : null,
		);
	}
}

/**
 * Draws the body anew, all but the way to the file where that is as it was: of a click whose button goes down on one link and
 * comes up on another nothing comes.
 */
function redraw(body: HTMLElement, parts: Node[]): void {
	const stays = body.querySelector(":scope > .detail-actions");
	const at = parts.findIndex((part) => part.isEqualNode(stays));
	// What cancels is about the row as it was.
	if (!stays || at < 0 || stays.querySelector('[data-focus="cancel"]')) {
		body.replaceChildren(...parts);
		return;
	}
	for (const part of [...body.childNodes]) if (part !== stays) part.remove();
	stays.before(...parts.slice(0, at));
	stays.after(...parts.slice(at + 1));
}

/** A link, or where a link could not carry the token, a button that fetches what it would. */
function download(id: string, name: string, refused: (words: string) => void): HTMLElement {
	const inside = [icon("download"), "Download"];
	const wanted = { class: "button", "data-focus": "get" };
	if (!isSignedIn()) return h("a", { ...wanted, href: contentUrl(id), download: true }, ...inside);
	const button = h("button", { ...wanted, type: "button" }, ...inside);
	button.addEventListener("click", async () => {
		try {
			const url = URL.createObjectURL(await content(id));
			h("a", { href: url, download: name }).click();
			// Taken over by the download once this turn is over.
			setTimeout(() => URL.revokeObjectURL(url), 60_000);
		} catch (error) {
			refused(error instanceof Error ? error.message : String(error));
		}
	});
	return button;
}

/** The store's own checksum, but for a SHA-256 that stands there already. */
function kept({ checksum, sha256 }: Upload): Fact {
	if (!checksum) return ["", null];
	const whole = checksum.kind === "FULL_OBJECT";
	if (whole && checksum.algorithm === "SHA256" && sha256 !== null) return ["", null];
	const name = whole ? checksum.algorithm : `${checksum.algorithm} of parts`;
	return [name, copied(name, checksum.value)];
}

/** An archived version, in a line. */
const placeOf = (of: { bucket: string; key: string; version_id: string }): string =>
	`${of.bucket}/${of.key} version ${of.version_id}`;

/** Whether the archive has what the browser read, where both are known. */
function integrity(row: Row, upload: Upload): HTMLElement | null {
	const found = compare(row.sending?.digest ?? null, upload);
	if (!found) return null;
	if (found.is === "equal") {
		return h(
			"p",
			{ class: "integrity", "data-is": "equal" },
			icon("equal"),
			h(
				"span",
				{},
				h("strong", {}, "Equal from your browser to the archive"),
				h("span", { class: "faint" }, ` ${found.algorithm} `),
				mono(found.browser),
			),
		);
	}
	return h(
		"div",
		{ class: "integrity", "data-is": "different", role: "alert" },
		icon("away"),
		h(
			"div",
			{},
			h("strong", {}, "The archive does not hold the file your browser read"),
			h("p", {}, "Keep your file, and send it again."),
			facts([
				[`${found.algorithm} here`, mono(found.browser)],
				["In the archive", mono(found.archive)],
			]),
		),
	);
}

/** Entries of a report that repeat a line of the panel. */
const shownAbove = ({ size, media_type, sha256 }: Upload): { [name: string]: Json } => ({
	size,
	media_type,
	sha256,
});

type Fact = [name: string, value: Node | string | null];

function facts(all: Fact[]): HTMLElement {
	const list = h("dl", { class: "facts" });
	for (const [name, value] of all) {
		if (value !== null) list.append(h("dt", {}, name), h("dd", {}, value));
	}
	return list;
}

const section = (title: string, ...content: (Node | null)[]): HTMLElement =>
	h("section", {}, h("h3", {}, title), ...content);

function keyFact(key: string | null): Fact {
	return ["Key", key === null ? null : copied("the key", key)];
}

const mono = (value: string): HTMLElement => named(value, "mono");

const copied = (what: string, value: string): HTMLElement =>
	h(
		"span",
		{ class: "copied" },
		mono(value),
		copyButton(what, () => value),
	);

const exactly = (size: number): string =>
	size < 1000 ? bytes(size) : `${bytes(size)} (${size.toLocaleString("en")} bytes)`;

function when(time: string | null): Node | null {
	return time === null ? null : h("time", { datetime: time }, moment(Date.parse(time)));
}

const outcomes: Record<NonNullable<Attempt["outcome"]>, string> = {
	succeeded: "Succeeded",
	transient: "Failed for now",
	permanent: "Failed for good",
	crashed: "Crashed",
};

function attempts(log: readonly Attempt[], wrote: readonly AttemptLog[]): HTMLElement {
	const items = log.map((attempt) => {
		const lines = wrote.find((one) => one.attempt === attempt.number);
		const outcome = attempt.outcome === null ? "Under way" : outcomes[attempt.outcome];
		const ms = attempt.ended_at
			? Date.parse(attempt.ended_at) - Date.parse(attempt.started_at)
			: null;
		return h(
			"li",
			{ "data-outcome": attempt.outcome ?? "none" },
			h("span", { class: "number" }, `${attempt.number}`),
			h(
				"div",
				{},
				h("p", {}, ms === null ? outcome : `${outcome} after ${duration(ms)}`),
				attempt.reason ? h("p", { class: "why" }, named(sentence(attempt.reason))) : null,
				h("p", { class: "faint" }, when(attempt.started_at)),
				lines ? written(lines) : null,
			),
		);
	});
	return h("ol", { class: "attempts" }, ...items);
}

/** What an attempt wrote, and where something of it was not kept. */
function written({ attempt, dropped_bytes, pieces }: AttemptLog): HTMLElement {
	const shown = pieces.flatMap((piece, n) =>
		n > 0 && dropped_bytes > 0
			? [h("em", {}, `${bytes(dropped_bytes)} were not kept`), ...logLines(piece.text)]
			: logLines(piece.text),
	);
	// Long lines scroll inside, which the keyboard can do only where it can go.
	const name = `What attempt ${attempt} wrote`;
	const props = { class: "log", tabindex: "0", role: "region", "aria-label": name };
	return h("pre", { ...props, "data-focus": `log-${attempt}` }, ...shown);
}

/** Where the reader is in each log. */
type Reading = Map<string, { left: number; top: number; isAtEnd: boolean }>;

const logsIn = (body: HTMLElement): NodeListOf<HTMLElement> => body.querySelectorAll("pre.log");

const keyOf = (log: HTMLElement): string => log.getAttribute("data-focus") ?? "";

function readingOf(body: HTMLElement): Reading {
	const read: Reading = new Map();
	for (const log of logsIn(body)) {
		const { scrollLeft: left, scrollTop: top, scrollHeight, clientHeight } = log;
		const isAtEnd = scrollHeight > clientHeight && top + clientHeight >= scrollHeight - 2;
		read.set(keyOf(log), { left, top, isAtEnd });
	}
	return read;
}

/** The logs stand where they were read; who was at the end of one stays at its end while it grows. */
function goOnReading(body: HTMLElement, read: Reading): void {
	for (const log of logsIn(body)) {
		const before = read.get(keyOf(log));
		if (!before) continue;
		log.scrollLeft = before.left;
		log.scrollTop = before.isAtEnd ? log.scrollHeight : before.top;
	}
}
