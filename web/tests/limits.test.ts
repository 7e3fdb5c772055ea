import assert from "node:assert/strict";
import { test } from "node:test";
import { allowed, refusal } from "../src/limits.ts";

const none = { size_bytes_max: null, types: [] };

test("what the server takes is said in words", () => {
	assert.equal(allowed(none), "");
	assert.equal(
		allowed({ size_bytes_max: 5_000_000, types: ["image/*", "text/csv"] }),
		"Taken here: up to 5.00 MB each; image/*, text/csv.",
	);
});

test("what it would refuse is known before", () => {
	const limits = { size_bytes_max: 10, types: ["image/*", "text/csv"] };
	assert.equal(refusal({ size: 10, type: "image/png" }, limits), null);
	assert.equal(refusal({ size: 10, type: "TEXT/CSV" }, limits), null);
	assert.match(refusal({ size: 11, type: "image/png" }, limits) ?? "", /up to 10 B/);
	assert.match(refusal({ size: 1, type: "text/plain" }, limits) ?? "", /text\/plain/);
	assert.match(refusal({ size: 1, type: "" }, limits) ?? "", /of unknown type/);
	assert.equal(refusal({ size: 1, type: "" }, { ...limits, types: ["*/*"] }), null);
	assert.match(refusal({ size: 50e12 + 1, type: "" }, none) ?? "", /50 TB/);
	assert.equal(refusal({ size: 50e12, type: "" }, none), null);
});
