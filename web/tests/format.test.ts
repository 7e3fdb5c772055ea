import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, bytes, duration, plural, seconds, shellQuote } from "../src/format.ts";

test("sizes have three digits and never read 1000 of a unit", () => {
	const cases: [number, string][] = [
		[0, "0 B"],
		[999, "999 B"],
		[1000, "1.00 kB"],
		[9_994, "9.99 kB"],
		[9_996, "10.0 kB"],
		[99_960, "100 kB"],
		[999_499, "999 kB"],
		[999_500, "1.00 MB"],
		[5_368_709_120, "5.37 GB"],
		[50e12, "50.0 TB"],
		[Number.MAX_SAFE_INTEGER, "9.01 PB"],
	];
	for (const [count, expected] of cases) assert.equal(bytes(count), expected);
});

test("durations show two units at most and never go below zero", () => {
	const cases: [number, string][] = [
		[-5, "0 ms"],
		[14.4, "14 ms"],
		[999, "999 ms"],
		[1000, "1.0 s"],
		[9_949, "9.9 s"],
		[9_999, "10 s"],
		[59_499, "59 s"],
		[60_000, "1 min"],
		[185_000, "3 min 5 s"],
		[7_800_000, "2 h 10 min"],
		[356_400_000, "4 d 3 h"],
	];
	for (const [ms, expected] of cases) assert.equal(duration(ms), expected);
	assert.equal(seconds(59.9), "59 s");
});

test("a moment ahead of this clock is now, one long ago is a date", () => {
	const now = Date.UTC(2026, 10, 23, 12);
	assert.equal(ago(now + 5000, now), "now");
	assert.equal(ago(now - 12_000, now), "12 s ago");
	assert.equal(ago(now - 3_599_000, now), "59 min ago");
	assert.equal(ago(now - 23 * 3_600_000, now), "23 h ago");
	assert.equal(ago(now - 48 * 3_600_000, now, "en-GB"), "21 Nov");
	assert.equal(ago(now - 400 * 86_400_000, now, "en-GB"), "19 Oct 2025");
});

test("one is singular", () => {
	assert.equal(plural(1, "file"), "1 file");
	assert.equal(plural(1204, "file"), "1,204 files");
});

test("a quoted word reaches a shell unchanged", async () => {
	const { execFileSync } = await import("node:child_process");
	for (const word of [
		"a b",
		"$(id)`id`",
		"it's",
		"'; echo '",
		"a\nb",
		"*",
		"~",
		"-n",
		"\\",
		"é",
		"x=1",
	]) {
		const said = execFileSync("/bin/sh", ["-c", `printf %s ${shellQuote(word)}`]);
		assert.equal(said.toString(), word);
	}
});
