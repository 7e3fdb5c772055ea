import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Upload } from "../src/api.ts";
import { Crc64Nvme } from "../src/send/crc64nvme.ts";
import { base64, compare, type Digest, hex, unhex } from "../src/send/digest.ts";

const crc = (bytes: Uint8Array, cuts: number[] = []): string => {
	const sum = new Crc64Nvme();
	let from = 0;
	for (const cut of [...cuts, bytes.length]) {
		sum.update(bytes.subarray(from, cut));
		from = cut;
	}
	return hex(sum.digest());
};

test("CRC-64/NVME gives the published values", () => {
	assert.equal(crc(Buffer.from("123456789")), "ae8b14860a799888");
	assert.equal(crc(Buffer.alloc(0)), "0000000000000000");
	// From the NVM Express specification: 4 KiB of zeros, of ones, and counting up.
	assert.equal(crc(Buffer.alloc(4096)), "6482d367eb22b64e");
	assert.equal(crc(Buffer.alloc(4096, 0xff)), "c0ddba7302eca3ac");
	assert.equal(
		crc(Buffer.from(Array.from({ length: 4096 }, (_, i) => i & 255))),
		"3e729f5f6750449c",
	);
});

test("it is the same however the bytes are cut, and at any place in memory", () => {
	const bytes = Buffer.from(Array.from({ length: 1003 }, (_, i) => (i * 31) & 255));
	const whole = crc(bytes);
	for (const cuts of [[1], [7, 8, 9], [500, 501], [3, 1000]]) assert.equal(crc(bytes, cuts), whole);
	assert.equal(crc(new Uint8Array([0, ...bytes]).subarray(1)), whole);
});

const content = Buffer.from("two buckets");
const digest: Digest = {
	sha256: createHash("sha256").update(content).digest("hex"),
	crc64nvme: base64(unhex(crc(content))),
};

const archived = (given: Partial<Upload>): Upload =>
	({ state: "archived", sha256: null, checksum: null, ...given }) as Upload;

const full = (
	algorithm: NonNullable<Upload["checksum"]>["algorithm"],
	value: string,
): Partial<Upload> => ({
	checksum: { algorithm, value, kind: "FULL_OBJECT" },
});

test("what the browser read is compared by whatever the archive has, and one difference counts", () => {
	const sha = base64(unhex(digest.sha256));
	const table: [Partial<Upload>, string | undefined][] = [
		[full("CRC64NVME", digest.crc64nvme), "equal"],
		[full("CRC64NVME", "AAAAAAAAAAA="), "different"],
		[full("SHA256", sha), "equal"],
		[full("SHA256", base64(unhex("00"))), "different"],
		[{ sha256: digest.sha256 }, "equal"],
		[{ sha256: digest.sha256.toUpperCase() }, "equal"],
		[{ sha256: "00" }, "different"],
		[{ ...full("CRC64NVME", digest.crc64nvme), sha256: "00" }, "different"],
		[{ ...full("CRC64NVME", "AAAAAAAAAAA="), sha256: digest.sha256 }, "different"],
		// Nothing that can be compared.
		[{}, undefined],
		[full("CRC32C", "AAAAAA=="), undefined],
		[{ checksum: { algorithm: "SHA256", value: `${sha}-3`, kind: "COMPOSITE" } }, undefined],
		[{ ...full("CRC64NVME", "AAAAAAAAAAA="), state: "processing" }, undefined],
	];
	for (const [given, wanted] of table) {
		assert.equal(compare(digest, archived(given))?.is, wanted, JSON.stringify(given));
	}
	assert.equal(compare(null, archived({ sha256: "00" })), null);
});
