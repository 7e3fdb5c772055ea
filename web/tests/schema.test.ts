/** The types of the API are generated from its description; this fails where they are stale. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";

test("the client's types are those of the API's description: else `npm run generate`", async () => {
	const { stdout } = await promisify(execFile)(
		process.execPath,
		[
			"node_modules/openapi-typescript/bin/cli.js",
			"../crates/uploads/openapi.json",
			"--alphabetize",
		],
		{ maxBuffer: 8 * 1024 * 1024 },
	);
	assert.equal(await readFile("src/schema.ts", "utf8"), stdout);
});
