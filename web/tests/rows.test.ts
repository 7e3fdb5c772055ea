import assert from "node:assert/strict";
import { test } from "node:test";
import type { Upload } from "../src/api.ts";
import { rows, type Wanted } from "../src/rows.ts";
import type { Phase, Sending } from "../src/send/sending.ts";
import { speedometer } from "../src/send/speed.ts";

const all: Wanted = { filter: "all", q: "" };
const nothing = new Map<string, Upload>();

function upload(id: string, given: Partial<Upload> = {}): Upload {
	return {
		id,
		bucket: "staging",
		key: `k/${id}`,
		version_id: "v",
		state: "archived",
		size: 1,
		etag: '"e"',
		received_at: "2026-11-23T10:00:00.000Z",
		started_at: null,
		finished_at: null,
		attempts: 1,
		progress: null,
		next_attempt_at: null,
		reason: null,
		archive: null,
		media_type: null,
		sha256: null,
		report: null,
		expected: false,
		job: false,
		replay_of: null,
		checksum: null,
		...given,
	};
}

function sending(sequence: number, key: string | null, phase: Phase, addedAt = 0): Sending {
	const name = `file-${sequence}`;
	return {
		id: `here-${sequence}`,
		name,
		folder: "",
		size: 1,
		type: "",
		addedAt,
		sequence,
		key,
		phase,
		remark: null,
		digest: null,
	};
}

test("a file sent from here and the upload of its key are one row that keeps its id", () => {
	const sent = sending(1, "k/a", { is: "sent" });
	const before = rows([], [sent], nothing, all);
	const after = rows([upload("a")], [sent], nothing, all);
	assert.deepEqual([before.length, after.length], [1, 1]);
	assert.equal(before[0]?.id, after[0]?.id);
	assert.deepEqual([before[0]?.shown, after[0]?.shown], ["sent", "archived"]);
});

test("a key minted but not yet filled shows how far the file is, not pending", () => {
	const phase: Phase = { is: "sending", sent: 5, bytesPerS: null };
	const minted = upload("a", { state: "pending" });
	const shown = (phase: Phase): string | undefined =>
		rows([minted], [sending(1, "k/a", phase)], nothing, all)[0]?.shown;
	assert.equal(shown(phase), "sending");
	assert.equal(shown({ is: "sent" }), "pending");
});

test("the server's word stands above this page's failure: the file had arrived", () => {
	const failed = sending(1, "k/a", { is: "failed", why: "the connection was lost" });
	assert.equal(rows([upload("a")], [failed], nothing, all)[0]?.shown, "archived");
});

test("a duplicate stands beside the upload it repeats and does not stand for it", () => {
	const repeat = upload("b", { key: "k/a", state: "duplicate" });
	const listed = [repeat, upload("a")];
	const result = rows(listed, [sending(1, "k/a", { is: "sent" }, 1)], nothing, all);
	assert.deepEqual(result.map((row) => row.shown).toSorted(), ["archived", "duplicate"]);
	assert.equal(result.find((row) => row.sending)?.upload?.id, "a");
});

test("files dropped together keep their order above older uploads", () => {
	const at = Date.parse("2026-11-23T11:00:00.000Z");
	const waiting: Phase = { is: "waiting" };
	const drop = [sending(1, null, waiting, at), sending(2, null, waiting, at)];
	const later = sending(3, null, waiting, at + 1);
	const order = rows([upload("old")], [...drop, later], nothing, all).map((row) => row.id);
	assert.deepEqual(order, ["here-3", "here-1", "here-2", "old"]);
});

test("filters take in what only this page knows", () => {
	const here = [
		sending(1, "k/a", { is: "sent" }),
		sending(2, null, { is: "failed", why: "too large" }),
		sending(3, null, { is: "waiting" }),
	];
	const seen = new Map([["k/a", upload("a", { state: "processing" })]]);
	const ids = (wanted: Wanted): string[] => rows([], here, seen, wanted).map((row) => row.id);
	assert.deepEqual(ids({ filter: "here", q: "" }), ["here-2", "here-3"]);
	assert.deepEqual(ids({ filter: "failed", q: "" }), ["here-2"]);
	assert.deepEqual(ids({ filter: "processing", q: "" }), ["here-1"]);
	assert.deepEqual(ids({ filter: "all", q: "FILE-3" }), ["here-3"]);
	assert.deepEqual(ids({ filter: "all", q: "k/A" }), ["here-1"]);
});

test("speed is of the last seconds and not said too early", () => {
	const speed = speedometer();
	assert.equal(speed(0, 0), null);
	assert.equal(speed(100, 100), null);
	assert.equal(speed(1000, 1000), 1000);
	for (let s = 2; s <= 20; s += 1) speed(1000 + s, s * 1000);
	assert.equal(speed(1021, 21_000), 1);
});
