import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines } from "../src/events.ts";

const whole =
	': hello\n\nevent: upload\ndata: {"a":\ndata: 1}\n\nevent:missed\r\ndata: {}\r\n\r\nid: 5\ndata: x\n\n';
const wanted = [
	{ event: "upload", data: '{"a":\n1}' },
	{ event: "missed", data: "{}" },
	{ event: "message", data: "x" },
];

test("events are the same wherever the network cuts the stream", () => {
	for (let step = 1; step <= whole.length; step += 1) {
		const lines = new Lines();
		const found = [];
		for (let at = 0; at < whole.length; at += step) {
			found.push(...lines.take(whole.slice(at, at + step)));
		}
		assert.deepEqual(found, wanted, `${step} characters at once`);
	}
});

test("an event whose end has not come is not told", () => {
	assert.deepEqual(new Lines().take("event: upload\ndata: {}\n"), []);
});
