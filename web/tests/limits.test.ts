import assert from "node:assert/strict";
import { test } from "node:test";
import type { Limits } from "../src/limits.ts";
import { allowed, refusal } from "../src/limits.ts";

const none: Limits = { size_bytes_max: null, types: [] };

test("what may be sent is said in words", () => {
	assert.equal(allowed(none), "");
	assert.equal(
		allowed({ size_bytes_max: 5_000_000, types: ["image/*", "text/csv"] }),
		"You may send only image/*, text/csv of at most 5 MB.",
	);
	assert.equal(allowed({ ...none, size_bytes_max: 12 }), "You may send files of at most 12 bytes.");
});

test("what the server would refuse is known before, in its words", () => {
	const limits = { size_bytes_max: 1_000_000, types: ["image/*", "text/csv"] };
	const table: [size: number, type: string, limits: Limits, string | null][] = [
		[1_000_000, "image/png", limits, null],
		[1, "TEXT/CSV", limits, null],
		[
			6_240_000_000,
			"image/png",
			limits,
			"this file has 6.2 GB, you may send files of at most 1 MB",
		],
		[
			1_000_001,
			"image/png",
			limits,
			"this file has 1000001 bytes, you may send files of at most 1000000 bytes",
		],
		[1, "text/plain", limits, "this file is text/plain, you may send only image/*, text/csv"],
		[1, "", limits, "this file is of unknown type, you may send only image/*, text/csv"],
		[1, "", { ...limits, types: ["*/*"] }, null],
		[50e12 + 1, "", none, "this file is larger than 50 TB, the most S3 takes"],
		[50e12, "", none, null],
	];
	for (const [size, type, limits, wanted] of table) {
		assert.equal(refusal({ size, type }, limits), wanted);
	}
});
