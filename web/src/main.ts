/** Puts the page together: the poll and the uploader on one side, the views on the other. */

import "./style.css";
import * as api from "./api.ts";
import { children, h } from "./dom.ts";
import { Events } from "./events.ts";
import { plural } from "./format.ts";
import { type Chosen, field, open } from "./intake.ts";
import { allowed, isLimited } from "./limits.ts";
import { plain } from "./names.ts";
import { type Link, Poll } from "./poll.ts";
import { fits, isHere, type Row, rows, type Shown } from "./rows.ts";
import { adopted, Memory, ownSlot } from "./send/memory.ts";
import { Transport } from "./send/transport.ts";
import { filesMax, type Place, Uploader } from "./send/uploader.ts";
import { Announcer } from "./view/announce.ts";
import { Confirm } from "./view/confirm.ts";
import { DetailPanel } from "./view/detail.ts";
import { DropZone } from "./view/dropzone.ts";
import { firstLook, nothingFound, nothingYet } from "./view/empty.ts";
import { Filters } from "./view/filters.ts";
import { Header } from "./view/header.ts";
import { Notices } from "./view/notice.ts";
import { Pausing } from "./view/pausing.ts";
import { differs } from "./view/row.ts";
import { keptToken, SignIn } from "./view/signin.ts";
import { Table } from "./view/table.ts";
import { Ways } from "./view/ways.ts";

const pageSize = 100;
/** Rows beyond this are found by search, not by scrolling. */
const pagesMax = 20;
/** The API's own limit for one page. */
const limitMax = 1000;
const pollEveryMs = 1000;
/** Something was sent or asked for from here: its next states are moments away. */
const pollHurriedMs = 250;
/** A server without a stream of events asks its ledger anew for every list, for all who look, and pays for it. */
const pollRefusedEveryMs = 5000;
const pollRefusedHurriedMs = 1500;
/** Changes come by themselves; the list is asked for what they do not say. */
const pollLiveEveryMs = 30_000;
/** After a change the counts are asked for, at most so often. */
const recountMs = 1000;
/** Files sent from here that the list does not reach are asked for by key, so many a round. */
const followedPerRound = 8;
const drawEveryMs = 80;
/** After it was drawn the page rests this many times as long as that took: most of the time is for sending. */
const drawRests = 8;
const drawRestMaxMs = 1000;
/** How often it is asked which faults are on. */
const faultsEveryMs = 3000;

let server: api.Server | null = null;
let listing: api.Listing | null = null;
/** The listing answers these wishes; while it answers others its rows are not shown. */
let listedFor = "";
let pages = 1;
let detail: api.UploadDetail | null = null;
const seen = new Map<string, api.Upload>();
const said = new Map<string, Shown>();

api.signIn(keptToken());

const announcer = new Announcer();
const slot = await ownSlot();
const ways = new Ways();
const placed = (slot: number): Place => ({
	transport: new Transport(slot),
	memory: new Memory(slot),
});
const ownPlace = placed(slot);
const uploader = new Uploader(
	ownPlace,
	async () => (await adopted(ownPlace.memory)).map(placed),
	() => ways.way,
	draw,
	() => {
		if (!events.isLive) poll.hurry();
	},
	askToSignIn,
);
/** How long new files wait for a browser that does not answer. */
const restoreWithinMs = 12_000;
/**
 * Files given before what an earlier visit left is back would be lost to it. When that is not to be had, because the
 * browser's storage is broken or hangs, new files are taken all the same.
 */
const restored = Promise.race([
	uploader.restore().catch(() => {}),
	new Promise<void>((resolve) => setTimeout(resolve, restoreWithinMs)),
]);
const pausing = new Pausing(
	() => void pauseOrResume(api.pause, "Processing is paused."),
	() => void pauseOrResume(api.resume, "Processing goes on."),
);
const header = new Header(pausing.button);
const notices = new Notices(
	() => poll.now(),
	() => void permit(wanting().map(({ id }) => id)),
);
const poll = new Poll(round, pollWaitMs, (link) => linkChanged(link), askToSignIn);
function pollWaitMs(hurried: boolean): number {
	if (hurried) return events.isRefused ? pollRefusedHurriedMs : pollHurriedMs;
	if (events.isLive) return pollLiveEveryMs;
	return (events.isRefused ? pollRefusedEveryMs : pollEveryMs) * Math.min(pages, 5);
}
const events = new Events(follows, () => poll.now());
const signIn = new SignIn((token) => {
	api.signIn(token);
	server = null;
	mayAskForFaults = true;
	poll.now();
	events.start();
	uploader.wakeAll();
});
const dropZone = new DropZone(
	(files) => void restored.then(() => take(files)),
	(sentence) => notices.say(sentence),
	{
		pauseAll: () => each((id) => uploader.pause(id)),
		resumeAll: () => each((id) => uploader.resume(id)),
		cancelAll: () => each((id) => uploader.cancel(id)),
	},
	ways.element,
);
const filters = new Filters(() => {
	pages = 1;
	poll.now();
	draw();
});
const actions = {
	maySteer: () => server?.caller.may_steer ?? true,
	open: (row: Row) => {
		location.hash = encodeURIComponent(row.upload?.id ?? row.id);
	},
	pause: (row: Row) => uploader.pause(row.id),
	resume: (row: Row) => uploader.resume(row.id),
	give: (row: Row) => give(row),
	cancel: (row: Row) => (isHere(row) ? uploader.cancel(row.id) : cancelJob(row)),
	dismiss: (row: Row) => uploader.dismiss(row.id),
	retry: (row: Row) => {
		if (isHere(row)) uploader.retry(row.id);
		else if (row.upload) void retry(row.upload);
	},
};
const confirm = new Confirm();
const table = new Table(actions);
const panel = new DetailPanel(actions, (id) => {
	detail = null;
	// The address may already name the next upload.
	if (addressed() === id) history.pushState(null, "", location.pathname + location.search);
});
const more = h("button", { type: "button", class: "button more", hidden: true }, "Show more");
more.addEventListener("click", () => {
	pages += 1;
	poll.now();
});
const retryAll = h("button", { type: "button", class: "button", hidden: true }, "Retry all failed");
retryAll.addEventListener("click", () => void retryFailed());
const place = h("div", { class: "list" });

const main = h(
	"main",
	{},
	notices.element,
	pausing.notice,
	dropZone.element,
	h("section", { "aria-label": "Uploads" }, filters.element, retryAll, place, more),
);
// What is shown before the first answer would move under the reader's pointer when that is there.
document.documentElement.classList.add("unanswered");
document.body.append(
	header.element,
	main,
	announcer.element,
	dropZone.overlay,
	panel.element,
	confirm.element,
	signIn.element,
);

function take(files: Chosen[], again = false): void {
	if (files.length === 0) return;
	const { added, left, doubles, given } = uploader.add(files, again);
	if (added > 0) announcer.say(`${plural(added, "file")} added.`);
	if (given > 0)
		announcer.say(
			`${plural(given, "file")} found again; ${given === 1 ? "it goes" : "they go"} on.`,
		);
	if (left > 0) {
		notices.say(
			`This page takes ${plural(filesMax, "file")} until it is reloaded; ${plural(left, "file")} not added.`,
		);
	}
	if (doubles.length > 0) {
		const names = doubles.slice(0, 3).map(({ file, folder }) => folder + file.name);
		const more = doubles.length > 3 ? ` and ${doubles.length - 3} more` : "";
		const one = doubles.length === 1;
		notices.ask(
			`${names.join(", ")}${more}: ${one ? "this file was" : "these files were"} added to this page before, and ${one ? "is" : "are"} not sent twice.`,
			"Send again",
			"Leave it",
			() => take(doubles, true),
		);
	}
}

/** Does something to every file on its way. */
function each(act: (id: string) => void): void {
	for (const { id } of [...uploader.all]) act(id);
}

/** Files of an earlier visit that need the browser's leave, which one click gives for all. */
const wanting = () =>
	uploader.all.filter(({ phase }) => phase.is === "wanted" && phase.by === "permission");

async function permit(ids: readonly string[]): Promise<void> {
	const why = await uploader.permit(ids);
	if (why) notices.say(why);
}

/** The row's file again, by leave to read it or chosen anew. */
function give({ id, sending }: Row): void {
	if (sending?.phase.is !== "wanted") return;
	if (sending.phase.by === "permission") return void permit([id]);
	const taken = ([file]: Chosen[]): void => {
		const why = file ? uploader.give(id, file) : null;
		if (why) notices.say(why);
	};
	open(field("file", taken), taken).catch(() => notices.say("the file could not be read"));
}

function askToSignIn(why: string): void {
	signIn.ask(why);
}

let recount: ReturnType<typeof setTimeout> | undefined;

/** One upload changed: its row shows it at once, the counts a moment later. */
function follows(upload: api.Upload): void {
	if (uploader.all.some(({ key }) => key === upload.key)) {
		const known = seen.get(upload.key);
		if (!known || known.id === upload.id || upload.state !== "duplicate") {
			seen.set(upload.key, upload);
		}
	}
	if (listing) {
		const { uploads } = listing;
		const known = uploads.some(({ id }) => id === upload.id);
		const changed = known
			? uploads.map((old) => (old.id === upload.id ? upload : old))
			: [upload, ...uploads];
		const current = changed.filter((one) => one.id !== upload.id || fits(one, filters.wanted));
		listing = { ...listing, uploads: current };
	}
	if (panel.id !== null && (panel.id === upload.id || panelRow()?.upload?.id === upload.id)) {
		void refreshDetail().then(draw, () => {});
	}
	draw();
	if (recount !== undefined) return;
	recount = setTimeout(() => {
		recount = undefined;
		poll.now();
	}, recountMs);
}

/** One round of asking: the list, then what the list does not reach. */
async function round(): Promise<void> {
	server ??= await api.server().then((known) => {
		header.showServer(known);
		dropZone.explain(
			`They land in ${known.staging}, ${known.processor} runs on each, and they are kept in ${known.archive}.`,
			allowed(known.limits),
		);
		uploader.limit(known.limits);
		ways.limit(isLimited(known.limits));
		void lookForFaults();
		return known;
	});
	const wanted = wish();
	const next = await fetchList();
	if (wanted === wish()) {
		listing = next;
		listedFor = wanted;
	}
	await follow(next.uploads);
	await refreshDetail();
	draw();
}

let mayAskForFaults = true;
let hasFaults = false;

/** Says for as long as it is so that the server misbehaves on purpose. */
async function lookForFaults(): Promise<void> {
	if (!mayAskForFaults || server === null || document.visibilityState !== "visible") return;
	let rules: api.FaultRule[] = [];
	try {
		({ rules } = await api.faults());
	} catch (error) {
		// Whether the server is away is the poll's affair.
		if (!(error instanceof api.Refused) || error instanceof api.Unknown) return;
		// Callers with a token of their own are not told, and an older server has none.
		mayAskForFaults = false;
	}
	if (rules.length > 0 !== hasFaults) {
		hasFaults = rules.length > 0;
		announcer.say(
			hasFaults
				? "Faults are switched on: the server misbehaves on purpose."
				: "Faults are switched off.",
		);
	}
	notices.showFaults(rules);
}

const wish = (): string => JSON.stringify(filters.wanted);

async function fetchList(): Promise<api.Listing> {
	const { filter, q } = filters.wanted;
	const state = filter === "all" || filter === "here" ? undefined : filter;
	const unresolved = filter === "all" ? uploader.all.filter(isUnresolved).length : 0;
	let left = Math.max(pages * pageSize, Math.min(unresolved * 2, limitMax));
	const uploads: api.Upload[] = [];
	let after: string | undefined;
	for (;;) {
		const limit = Math.min(left, limitMax);
		const page = await api.list({
			q,
			limit,
			...(state === undefined ? {} : { state }),
			...(after === undefined ? {} : { after }),
		});
		uploads.push(...page.uploads);
		left -= limit;
		if (page.next === null || left <= 0) return { ...page, uploads };
		after = page.next;
	}
}

function isUnresolved({ key, phase }: (typeof uploader.all)[number]): boolean {
	if (key === null || phase.is !== "sent") return false;
	const upload = seen.get(key);
	return !upload || !api.isFinal(upload.state);
}

let followFrom = 0;

/** Learns what became of files sent from here. */
async function follow(listed: readonly api.Upload[]): Promise<void> {
	const ours = new Set(uploader.all.map((sending) => sending.key));
	const reached = new Set<string>();
	for (const upload of listed) {
		if (!ours.has(upload.key)) continue;
		if (reached.has(upload.key) && upload.state === "duplicate") continue;
		reached.add(upload.key);
		seen.set(upload.key, upload);
	}
	const unreached = uploader.all.filter(
		(sending) => isUnresolved(sending) && !reached.has(sending.key ?? ""),
	);
	if (followFrom >= unreached.length) followFrom = 0;
	const asked = unreached.slice(followFrom, followFrom + followedPerRound);
	followFrom += followedPerRound;
	await Promise.all(
		asked.map(async ({ key }) => {
			const answer = await api.list({ key: key ?? "", limit: 10 });
			const upload = answer.uploads.find(({ state }) => state !== "duplicate") ?? answer.uploads[0];
			if (upload) seen.set(upload.key, upload);
		}),
	);
}

/** The row the panel is about, wherever it is known from. */
function panelRow(): Row | null {
	if (panel.id === null) return null;
	const everything = rows(listing?.uploads ?? [], uploader.all, seen, { filter: "all", q: "" });
	const found = everything.find((row) => row.id === panel.id || row.upload?.id === panel.id);
	if (found) return found;
	return detail?.id === panel.id
		? (rows([detail], [], seen, { filter: "all", q: "" })[0] ?? null)
		: null;
}

async function refreshDetail(): Promise<void> {
	const asked = panel.id;
	if (asked === null) return;
	const row = panelRow();
	if (row && !row.upload) return;
	const id = row?.upload?.id ?? asked;
	// What the list shows to be unchanged and at its end is not asked for again.
	const listed = row?.upload && row.upload !== detail ? row.upload : null;
	if (detail?.id === id && listed && same(detail, listed) && api.isFinal(listed.state)) return;
	try {
		const answer = await api.detail(id);
		if (panel.id === asked) detail = answer;
	} catch (error) {
		if (!(error instanceof api.Refused)) throw error;
		if (panel.id === asked && !row) panel.problem(error.message);
	}
}

const same = (a: api.Upload, b: api.Upload): boolean =>
	a.state === b.state && a.attempts === b.attempts && a.finished_at === b.finished_at;

async function retry(upload: api.Upload): Promise<void> {
	await steer(async () => {
		show(await api.retry(upload.id));
		announcer.say(`${plain(upload.key)} is tried again.`);
	});
}

/** Cancels a job once the reader has said that they mean it; settles when they have answered. */
async function cancelJob({ name, upload }: Row): Promise<void> {
	if (!upload) return;
	const begun = upload.state === "processing" ? "It stops at once" : "It will not begin";
	const meant = await confirm.ask({
		what: "Cancel the job on",
		name,
		follows: `${begun}, and the file is set aside as failed. It stays in the staging bucket, and a retry processes it from its beginning.`,
		yes: "Cancel job",
		no: "Leave it",
	});
	if (!meant) return;
	void steer(async () => {
		show(await api.cancel(upload.id));
		announcer.say(`The job on ${plain(upload.key)} is cancelled.`);
	});
}

/** An answer tells of an upload what the list does not know yet. */
function show(now: api.Upload): void {
	if (!listing) return;
	const uploads = listing.uploads.map((old) => (old.id === now.id ? now : old));
	listing = { ...listing, uploads };
}

async function retryFailed(): Promise<void> {
	await steer(async () => {
		const { retried } = await api.retryAll();
		announcer.say(`${plural(retried, "upload")} tried again.`);
	});
}

/** Pauses or resumes, and shows at once what the answer says. */
async function pauseOrResume(ask: () => Promise<api.Processing>, done: string): Promise<void> {
	await steer(async () => {
		const { paused, counts } = await ask();
		if (listing) listing = { ...listing, paused, counts };
		announcer.say(done);
	});
}

/** Does something the reader asked for, and says so when it was not possible. */
async function steer(action: () => Promise<void>): Promise<void> {
	try {
		await action();
	} catch (error) {
		const words =
			error instanceof api.Refused ? error.message : "the server is not reachable; try again";
		// The panel covers the notices.
		if (panel.id === null) notices.say(words);
		else panel.refused(words);
	}
	poll.hurry();
	draw();
}

function linkChanged(link: Link): void {
	if (link.is === "up") {
		announcer.say("The server is back.");
		// It may be another version, with other buckets.
		server = null;
		mayAskForFaults = true;
		uploader.wakeAll();
		events.start();
	} else if (link.since === link.nextAt || Date.now() - link.since < 50) {
		announcer.say("The server is not reachable; retrying.");
	}
	draw();
}

let drawing = false;
let restsUntil = 0;

function draw(): void {
	if (drawing) return;
	drawing = true;
	const inMs = Math.max(drawEveryMs, restsUntil - performance.now());
	setTimeout(() => {
		drawing = false;
		const began = performance.now();
		drawNow();
		const ended = performance.now();
		restsUntil = ended + Math.min(drawRests * (ended - began), drawRestMaxMs);
	}, inMs);
}

function drawNow(): void {
	const now = Date.now();
	const sendings = uploader.all;
	const current = listedFor === wish();
	const known = listing?.uploads ?? [];
	// Until the answer to a new wish is there, what is known and fits is better than nothing.
	const listed = current ? known : known.filter((upload) => fits(upload, filters.wanted));
	const here = filters.wanted.filter === "here";
	const all = rows(here ? [] : listed, sendings, seen, filters.wanted);
	const shown = all.slice(0, pages * pageSize);
	announce(rows(listing?.uploads ?? [], sendings, seen, { filter: "all", q: "" }));

	notices.showLink(poll.link, now);
	notices.showWanted(wanting().length);
	dropZone.show(sendings);
	const hereCount = rows([], sendings, seen, { filter: "here", q: "" }).length;
	filters.show(listing?.counts ?? null, hereCount);
	header.showOldest(listing?.oldest_unfinished ?? null);
	const steersAll = server?.caller.may_steer === true && server.caller.prefix === null;
	pausing.show(listing?.paused ?? null, listing?.counts.pending ?? 0, steersAll);
	retryAll.hidden =
		!actions.maySteer() ||
		filters.wanted.filter !== "failed" ||
		(listing?.counts.failed ?? 0) === 0;

	table.show(shown, now);
	if (shown.length > 0) children(place, [table.element]);
	else if (listing === null || !current) children(place, [listing === null ? look : table.element]);
	else if (filters.wanted.filter === "all" && filters.wanted.q === "") {
		if (!place.querySelector(".steps") || emptyFor !== server) {
			emptyFor = server;
			place.replaceChildren(nothingYet(server));
		}
	} else if (!place.querySelector(".button")) {
		place.replaceChildren(nothingFound(() => filters.clear()));
	}
	document.documentElement.classList.toggle("fresh", listing !== null && shown.length === 0);
	if (listing !== null || poll.link.is === "away") {
		document.documentElement.classList.remove("unanswered");
	}
	const rest = all.length > shown.length || (current && listing?.next != null);
	more.hidden = !rest || pages >= pagesMax;

	const row = panelRow();
	if (row) panel.show(row, detail && detail.id === row.upload?.id ? detail : null);

	const open = uploader.unfinished;
	document.title = open > 0 ? `(${open}) Two Buckets` : "Two Buckets";
}

const look = firstLook();
let emptyFor: api.Server | null = null;

/** Says what became of files sent from here, and every failure. */
function announce(everything: readonly Row[]): void {
	for (const row of everything) {
		const before = said.get(row.id);
		if (before === row.shown) continue;
		said.set(row.id, row.shown);
		// Rows met for the first time are the past, not news.
		if (before === undefined) continue;
		const ends: Partial<Record<Shown, string>> = {
			archived: differs(row) ? "is not in the archive as you sent it" : "archived",
			failed: row.upload?.state === "failed" ? "failed" : "was not sent",
			retrying: "is interrupted and goes on by itself",
			wanted: "needs its file to go on",
			late: "is kept as a late version",
			duplicate: "is a duplicate",
		};
		const end = ends[row.shown];
		if (end && (row.sending || row.shown === "failed")) announcer.say(`${plain(row.name)} ${end}.`);
	}
}

/** The id after the `#` of the address; empty where there is none. */
function addressed(): string {
	const given = location.hash.slice(1);
	try {
		return decodeURIComponent(given);
	} catch {
		return given;
	}
}

function openFromAddress(): void {
	const id = addressed();
	if (id === "") {
		if (panel.element.open) panel.element.close();
		return;
	}
	detail = null;
	panel.open(id);
	draw();
	poll.now();
}

window.addEventListener("hashchange", openFromAddress);
window.addEventListener("beforeunload", (event) => {
	// What the browser can go on with by itself needs no warning.
	if (uploader.losable > 0) event.preventDefault();
});
window.addEventListener("offline", () => {
	announcer.say("You are offline.");
	draw();
});
window.addEventListener("online", () => {
	poll.now();
	events.start();
	draw();
});
setInterval(() => void lookForFaults(), faultsEveryMs);
// Ages and countdowns move on between polls.
setInterval(() => {
	if (document.visibilityState === "visible") draw();
}, 1000);

draw();
poll.now();
events.start();
openFromAddress();
