import assert from "node:assert/strict";
import { test } from "node:test";
import {
	partBytesMax,
	partCount,
	partSize,
	partsMax,
	sizeBytesMax,
} from "../src/send/part-size.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

test("parts are as large as the server and the command line say", () => {
	const table: [size: number, partMib: number][] = [
		[0, 8],
		[1, 8],
		[16 * MIB + 1, 8],
		[8000 * MIB, 8],
		[8000 * MIB + 1, 9],
		[9000 * MIB, 9],
		[9000 * MIB + 1, 10],
		[100 * GIB, 103],
		[1024 * GIB, 1049],
		[5000 * GIB, 5120],
		// Past 5 GiB a part, more than a thousand parts are the lesser evil.
		[5000 * GIB + 1, 513],
		[sizeBytesMax, 4769],
	];
	for (const [size, mib] of table) assert.equal(partSize(size), mib * MIB, `${size} bytes`);
});

test("no file needs more parts, or larger ones, than S3 takes", () => {
	for (let size = 1; size < sizeBytesMax; size = Math.ceil(size * 1.37)) {
		assert.ok(partSize(size) <= partBytesMax, `${size} bytes`);
		assert.ok(partCount(size) <= partsMax, `${size} bytes`);
		assert.equal(partSize(size) % MIB, 0);
	}
});

test("a file beyond fifty terabytes is refused", () => {
	for (const size of [sizeBytesMax + 1, -1, 0.5, Number.NaN]) {
		assert.throws(() => partSize(size), RangeError);
	}
});
