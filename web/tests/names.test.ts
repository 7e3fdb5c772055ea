import assert from "node:assert/strict";
import { test } from "node:test";
import { pieces, plain, split } from "../src/names.ts";

test("characters that move or hide others are told apart", () => {
	assert.deepEqual(pieces("invoice\u202efdp.exe"), [
		{ text: "invoice", hidden: false },
		{ text: "U+202E", hidden: true },
		{ text: "fdp.exe", hidden: false },
	]);
	assert.equal(plain("a\nb\0c\u200bd\u{e0041}"), "a⟨newline⟩b⟨NUL⟩c⟨U+200B⟩d⟨U+E0041⟩");
	assert.equal(plain("half \ud83e of a pair"), "half ⟨U+D83E⟩ of a pair");
});

test("letters of every script stay as they are", () => {
	for (const name of ["שלום.pdf", "日本語.txt", "e\u0301.txt", "👩‍🚀.png", "नमस्ते", ""]) {
		assert.equal(plain(name), name);
	}
});

test("nothing of a key is lost when it is split", () => {
	const cases: [string, string, string][] = [
		["a.txt", "", "a.txt"],
		["2026/x/a b.txt", "2026/x/", "a b.txt"],
		["folder/", "", "folder/"],
		["a/folder//", "a/", "folder//"],
		["/", "", "/"],
		["///", "", "///"],
		["/lead", "/", "lead"],
	];
	for (const [key, folder, name] of cases) assert.deepEqual(split(key), { folder, name }, key);
});
