import assert from "node:assert/strict";
import { test } from "node:test";
import { waitMs } from "../src/backoff.ts";

const backoff = { firstMs: 1000, maxMs: 30_000 };

test("waits double up to the longest and are shortened by a quarter at most", () => {
	const longest = [1, 2, 3, 6, 9999].map((failures) => waitMs(backoff, failures, () => 0));
	assert.deepEqual(longest, [1000, 2000, 4000, 30_000, 30_000]);
	const shortest = [1, 2, 3, 6, 9999].map((failures) => waitMs(backoff, failures, () => 1));
	assert.deepEqual(shortest, [750, 1500, 3000, 22_500, 22_500]);
});
