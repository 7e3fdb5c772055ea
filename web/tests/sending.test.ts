/** How files get from the page to the store: both ways, every size, and everything that may go wrong. */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test as anyTest } from "node:test";
import type { Page } from "playwright-core";
import {
	type Chosen,
	choose,
	chromiumPath,
	closeBrowser,
	file,
	inState,
	nothing,
	row,
	until,
	visits,
} from "./browser.ts";
import type { Asked, Mock } from "./mock.ts";

if (!chromiumPath) console.log("skipped: chromium not found");
after(closeBrowser);

const test = visits(anyTest);
const MIB = 1024 * 1024;
/** Parts of a file of this size are 8 MiB, and the last is shorter. */
const partBytes = 8 * MIB;

/** Bytes that are other bytes in each part. */
function some(size: number): Buffer {
	const bytes = Buffer.alloc(size);
	for (let at = 0; at + 4 <= size; at += 4096) bytes.writeUInt32LE(at % 0xffff_ffff, at);
	return bytes;
}

const named = (name: string, bytes: Buffer): Chosen => ({ ...file(name), buffer: bytes });

const parts = (mock: Mock, from = 0): Asked[] =>
	mock.asked.slice(from).filter(({ what, status }) => what === "part" && status === 200);

const numbers = (asked: readonly Asked[]): (number | null)[] => asked.map(({ part }) => part);

const arrivedAs = (mock: Mock, name: string, bytes: Buffer): void => {
	const found = mock.uploads.filter(({ key }) => key.endsWith(`/${name}`));
	assert.equal(found.length, 1, `${name} is there once`);
	assert.ok(found[0]?.content.equals(bytes), `${name} has other bytes`);
};

const chooseWay = async (page: Page, name: string): Promise<void> => {
	await page.getByRole("radio", { name }).check();
};

/** A chooser that is opened by a click on something. */
async function chooseBy(
	page: Page,
	button: string,
	files: Parameters<Page["setInputFiles"]>[1],
): Promise<void> {
	const chooser = page.waitForEvent("filechooser");
	await page.getByRole("button", { name: button }).click();
	await (await chooser).setFiles(files);
}

/** Names of what the page and Uppy have kept in the browser. */
const kept = (page: Page): Promise<number> =>
	page.evaluate(async () => {
		const all = async (base: string, store: string): Promise<unknown[]> => {
			const opened = await new Promise<IDBDatabase>((resolve, reject) => {
				const request = indexedDB.open(base);
				request.onsuccess = () => resolve(request.result);
				request.onerror = () => reject(request.error);
			});
			return new Promise((resolve) => {
				const request = opened.transaction(store).objectStore(store).getAll();
				request.onsuccess = () => {
					opened.close();
					resolve(request.result);
				};
			});
		};
		const ours = await all("two-buckets", "files");
		const blobs = await all("uppy-blobs", "files");
		const metadata = (await all("uppy-blobs", "metadata")) as { metadata: string }[];
		const files = metadata.flatMap((record) =>
			Object.keys(JSON.parse(record.metadata).files ?? {}),
		);
		return ours.length + blobs.length + files.length;
	});

const sizes = [0, 1, 5_000_000, 16 * MIB, 16 * MIB + 1, 40_000_000];

for (const way of ["Signed URLs", "One-file credentials"]) {
	const lent = way !== "Signed URLs";
	test(
		`files of every size arrive whole by ${way.toLowerCase()}`,
		nothing,
		async ({ page, mock }) => {
			await chooseWay(page, way);
			const files = sizes.map((size) => named(`${size}.bin`, some(size)));
			await choose(page, ...files);
			for (const { name, buffer } of files) {
				await inState(page, name, "archived");
				arrivedAs(mock, name, buffer);
				const asked = mock.asked.filter(({ key }) => key.endsWith(`/${name}`));
				assert.ok(
					asked.every((one) => one.lent === lent && one.status === 200),
					name,
				);
				assert.ok(asked.every(({ authorization }) => authorization === null));
				const last = asked.at(-1);
				assert.equal(last?.ifNoneMatch, "*", `${name} could overwrite`);
				if (buffer.length <= 16 * MIB) {
					assert.deepEqual(
						asked.map(({ what }) => what),
						["put"],
					);
					assert.match(
						last?.checksum ?? "",
						/^[A-Za-z0-9+/]{43}=$/,
						`${name} declares its SHA-256`,
					);
				} else {
					const count = Math.ceil(buffer.length / partBytes);
					const wanted = Array.from({ length: count }, (_, i) => i + 1);
					assert.deepEqual(numbers(parts(mock)).slice(-count).length, count);
					const own = asked.filter(({ what }) => what === "part");
					assert.deepEqual(numbers(own), wanted);
					assert.deepEqual(
						own.map(({ size }) => size),
						wanted.map((i) => Math.min(partBytes, buffer.length - (i - 1) * partBytes)),
					);
					assert.deepEqual(
						asked.map(({ what }) => what).filter((what) => what !== "part"),
						["create", "complete"],
					);
					assert.match(
						last?.checksum ?? "",
						/^[A-Za-z0-9+/]{11}=$/,
						`${name} could be made of other parts`,
					);
				}
			}
			// The name is told once, and the key that was made for it is used from then on.
			for (const { name } of files) {
				const own = mock.grantsAsked.filter(({ body }) =>
					`${body.filename ?? body.key}`.endsWith(name),
				);
				assert.equal(own.filter(({ body }) => body.filename === name).length, 1);
				assert.equal(own[0]?.body.filename, name);
			}
			assert.equal(
				mock.grantsAsked.some(({ path }) => path === "/api/credentials"),
				lent,
			);
			if (lent) assert.equal(mock.grantsAsked.length, files.length, "one grant for a whole file");
			await until("nothing of them is kept in the browser", async () => (await kept(page)) === 0);
		},
	);
}

test("the way that was chosen is remembered", nothing, async ({ page }) => {
	const credentials = page.getByRole("radio", { name: "One-file credentials" });
	assert.equal(await credentials.isChecked(), false);
	await credentials.check();
	await page.getByText("write one file and nothing else").waitFor();
	await page.reload();
	assert.equal(await credentials.isChecked(), true);
});

const awkward = [
	"a b+c&d=e.txt",
	"50 % (copy) 'quoted' *!~.txt",
	"größe 日本語 😀.csv",
	"#fragment?query;x=1.txt",
	"%2F..%00.txt",
	'<b>"&amp;.html',
	"-rf",
	".hidden",
	`${"long".repeat(50)}.txt`,
];

for (const way of ["Signed URLs", "One-file credentials"]) {
	test(`awkward names go as they are by ${way.toLowerCase()}`, nothing, async ({ page, mock }) => {
		await chooseWay(page, way);
		const files = awkward.map((name, i) => file(name, `content ${i}`));
		await choose(page, ...files);
		const archived = page.locator("[data-filter=archived] .count");
		await until(
			"all are archived",
			async () => (await archived.textContent()) === String(files.length),
		);
		for (const { name, buffer } of files) arrivedAs(mock, name, buffer);
	});
}

test(
	"fifty files at once arrive, in parts and whole, each once",
	nothing,
	async ({ page, mock }) => {
		const files = Array.from({ length: 50 }, (_, i) =>
			named(`n-${i}.bin`, some(i === 7 || i === 23 ? 17 * MIB : 1000 * i)),
		);
		await choose(page, ...files);
		const archived = page.locator("[data-filter=archived] .count");
		await until("all are archived", async () => (await archived.textContent()) === "50");
		for (const { name, buffer } of files) arrivedAs(mock, name, buffer);
		assert.equal(new Set(mock.uploads.map(({ key }) => key)).size, 50);
	},
);

/** Starts a file of five parts and comes back when two are there. */
async function halfSent(page: Page, mock: Mock, bytes: Buffer, name = "half.bin"): Promise<string> {
	mock.faults.bytesPerS = 12_000_000;
	const folder = await mkdtemp(join(tmpdir(), "two-buckets-half-"));
	after(() => rm(folder, { recursive: true, force: true }));
	const path = join(folder, name);
	await writeFile(path, bytes);
	await page.setInputFiles("input[type=file]", path);
	await until("two parts are there", () => parts(mock).length >= 2);
	return path;
}

test(
	"after a reload in the middle, only the parts that are missing are sent",
	nothing,
	async ({ page, mock }) => {
		const bytes = some(40_000_000);
		const path = await halfSent(page, mock, bytes);
		await page.reload();
		await inState(page, "half.bin", "wanted");
		await row(page, "half.bin").getByText("Choose the file again to go on").waitFor();
		// What had arrived whole before the page was gone.
		const there = numbers(parts(mock));
		const from = mock.asked.length;
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;

		await chooseBy(page, "Choose half.bin again", file("other.bin"));
		await page.getByText("The file chosen is other.bin, not half.bin").waitFor();
		await chooseBy(page, "Choose half.bin again", file("half.bin", "shorter"));
		await page.getByText("has another size than before").waitFor();
		assert.equal(mock.asked.length, from);

		await chooseBy(page, "Choose half.bin again", path);
		await inState(page, "half.bin", "archived");
		arrivedAs(mock, "half.bin", bytes);
		const missing = [1, 2, 3, 4, 5].filter((number) => !there.includes(number));
		assert.ok(there.length >= 2 && missing.length >= 1, `${there} were there`);
		assert.deepEqual(numbers(parts(mock, from)), missing);
		assert.deepEqual(
			mock.asked
				.slice(from)
				.map(({ what }) => what)
				.filter((what) => what !== "part"),
			["list", "complete"],
		);
		assert.equal(mock.asked.filter(({ what }) => what === "create").length, 1);
		await until("nothing of it is kept in the browser", async () => (await kept(page)) === 0);
		await page.reload();
		await inState(page, "half.bin", "archived");
		assert.equal(await page.locator("tbody tr").count(), 1);
	},
);

test(
	"a file that was changed since is not joined to its first half",
	nothing,
	async ({ page, mock }) => {
		const path = await halfSent(page, mock, some(40_000_000));
		await page.reload();
		await inState(page, "half.bin", "wanted");
		await utimes(path, new Date(), new Date(Date.now() - 60_000));
		await chooseBy(page, "Choose half.bin again", path);
		await page.getByText("was changed since it was begun").waitFor();
		await inState(page, "half.bin", "wanted");
		await page.getByRole("button", { name: "Cancel half.bin" }).click();
		await until("its parts are taken back", () => mock.multiparts.size === 0);
		await page.reload();
		await page.getByRole("heading", { name: "Two Buckets" }).waitFor();
		await until("nothing of it is kept", async () => (await kept(page)) === 0);
	},
);

for (const way of ["Signed URLs", "One-file credentials"]) {
	test(
		`a file that was replaced by one that looks the same is sent whole, not joined to the first: ${way.toLowerCase()}`,
		nothing,
		async ({ page, mock }) => {
			await chooseWay(page, way);
			const first = some(40_000_000);
			const path = await halfSent(page, mock, first);
			const { mtimeMs } = await stat(path);
			await page.reload();
			await inState(page, "half.bin", "wanted");
			const second = Buffer.from(first).reverse();
			await writeFile(path, second);
			await utimes(path, mtimeMs / 1000, mtimeMs / 1000);
			const from = mock.asked.length;
			mock.faults.bytesPerS = 30_000_000;
			await chooseBy(page, "Choose half.bin again", path);
			await row(page, "half.bin")
				.getByText("sent anew, for what had arrived is not this file")
				.waitFor();
			mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
			await inState(page, "half.bin", "archived");
			arrivedAs(mock, "half.bin", second);
			assert.equal(mock.multiparts.size, 0, "the mixed parts are taken back");
			assert.deepEqual(numbers(parts(mock, from)).slice(-5), [1, 2, 3, 4, 5]);
			const completions = mock.asked.filter(({ what }) => what === "complete");
			assert.deepEqual(
				completions.map(({ status }) => status),
				[400, 200],
			);
			await page.getByRole("button", { name: "half.bin", exact: true }).click();
			const dialog = page.getByRole("dialog");
			await dialog.getByText("Equal from your browser to the archive").waitFor();
		},
	);
}

test(
	"the same file dropped again after a reload is the one that was begun",
	nothing,
	async ({ page, mock }) => {
		const bytes = some(40_000_000);
		const path = await halfSent(page, mock, bytes);
		await page.reload();
		await inState(page, "half.bin", "wanted");
		await page.setInputFiles("input[type=file]", path);
		await inState(page, "half.bin", "archived");
		arrivedAs(mock, "half.bin", bytes);
		assert.equal(mock.asked.filter(({ what }) => what === "create").length, 1);
	},
);

test(
	"small files go on by themselves after a reload, and a paused one stays paused",
	(mock) => {
		mock.faults.bytesPerS = 100_000;
	},
	async ({ page, mock }) => {
		const files = Array.from({ length: 8 }, (_, i) => named(`s-${i}.bin`, some(2_000_000 + i)));
		await choose(page, ...files);
		await inState(page, "s-0.bin", "sending");
		await page.getByRole("button", { name: "Pause s-7.bin" }).click();
		await inState(page, "s-7.bin", "paused");
		await until("bytes and records are kept", async () => (await kept(page)) >= 24);
		await page.reload();
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		for (const { name } of files.slice(0, 7)) await inState(page, name, "archived");
		await inState(page, "s-7.bin", "paused");
		await page.getByRole("button", { name: "Resume s-7.bin" }).click();
		await inState(page, "s-7.bin", "archived");
		for (const { name, buffer } of files) arrivedAs(mock, name, buffer);
	},
);

/** Files of the browser's own file system, whose handles are like those of a chooser. */
const ownPicker = (page: Page, leave: "granted" | "prompt"): Promise<unknown> =>
	page.addInitScript((leave) => {
		Object.assign(window, {
			showOpenFilePicker: async () => {
				const root = await navigator.storage.getDirectory();
				const handle = await root.getFileHandle("from-disk.bin", { create: true });
				if ((await handle.getFile()).size === 0) {
					const writable = await handle.createWritable();
					await writable.write(new Uint8Array(40_000_000).fill(5));
					await writable.close();
				}
				return [handle];
			},
		});
		let state = leave;
		Object.assign(FileSystemFileHandle.prototype, {
			queryPermission: async () => state,
			requestPermission: async () => {
				state = "granted";
				return state;
			},
		});
	}, leave);

for (const leave of ["granted", "prompt"] as const) {
	test(
		`a file whose handle the browser kept goes on after a reload, with leave ${leave === "granted" ? "given before" : "given by one click"}`,
		(mock) => {
			mock.faults.bytesPerS = 12_000_000;
		},
		async ({ page, mock }) => {
			await ownPicker(page, leave);
			await page.reload();
			await page.getByRole("button", { name: "Choose files" }).click();
			await until("two parts are there", () => parts(mock).length >= 2);
			await page.reload();
			const there = numbers(parts(mock));
			mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
			if (leave === "prompt") {
				await row(page, "from-disk.bin").getByText("Let the browser read the file").waitFor();
				await page.getByText("asks for your leave to read it again").waitFor();
				await page.getByRole("button", { name: "Allow reading", exact: true }).click();
			}
			await inState(page, "from-disk.bin", "archived");
			arrivedAs(mock, "from-disk.bin", Buffer.alloc(40_000_000, 5));
			assert.equal(parts(mock).length, 5, `${there} were sent again`);
		},
	);
}

test(
	"a second tab does not send what the first is sending",
	(mock) => {
		mock.faults.bytesPerS = 12_000_000;
	},
	async ({ page, mock }) => {
		const bytes = some(40_000_000);
		await choose(page, named("one.bin", bytes));
		await until("a part is there", () => parts(mock).length >= 1);
		const second = await page.context().newPage();
		await second.goto(mock.url);
		await second.locator("tbody tr").first().waitFor();
		await second.locator("tr[data-state=expected]").waitFor();
		await second.close();
		await inState(page, "one.bin", "archived");
		assert.deepEqual(numbers(parts(mock)), [1, 2, 3, 4, 5]);
		arrivedAs(mock, "one.bin", bytes);
	},
);

test(
	"what two closed tabs left unfinished goes on in the one that is opened next, and over its reload",
	nothing,
	async ({ page, mock }) => {
		const bytes = some(40_000_000);
		const path = await halfSent(page, mock, bytes);
		await page.getByRole("button", { name: "Pause half.bin" }).click();
		await inState(page, "half.bin", "paused");
		const second = await page.context().newPage();
		await second.goto(mock.url);
		const other = Buffer.from(bytes).reverse();
		const otherPath = await halfSent(second, mock, other, "other.bin");
		await until(
			"a part of it is there",
			() => new Set(parts(mock).map(({ key }) => key)).size === 2,
		);
		await second.getByRole("button", { name: "Pause other.bin" }).click();
		await inState(second, "other.bin", "paused");
		// The next PUT is never answered, so that it is still on its way however long the click takes.
		await until("no PUT is under way", () => mock.parallel === 0);
		mock.faults.hangs = 1;
		await choose(second, named("small.bin", some(2_000_000)));
		await until("it is on its way", () => mock.faults.hangs === 0);
		await second.getByRole("button", { name: "Pause small.bin" }).click();
		await inState(second, "small.bin", "paused");
		await until("its bytes are kept", async () => (await kept(second)) >= 7);
		await page.close();
		await second.close();

		const third = await page.context().newPage();
		for (const visit of ["opened", "reloaded"]) {
			await (visit === "opened" ? third.goto(mock.url) : third.reload());
			await inState(third, "half.bin", "wanted");
			await inState(third, "other.bin", "wanted");
			await inState(third, "small.bin", "paused");
		}
		// A fourth, opened beside it, must not send the same.
		const fourth = await page.context().newPage();
		await fourth.goto(mock.url);
		await fourth.locator("tr[data-state=expected]").first().waitFor();
		assert.equal(await fourth.locator("tr[data-state=wanted]").count(), 0);

		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		await third.setInputFiles("input[type=file]", path);
		await third.setInputFiles("input[type=file]", otherPath);
		await third.getByRole("button", { name: "Resume small.bin" }).click();
		for (const name of ["half.bin", "other.bin", "small.bin"]) {
			await inState(third, name, "archived");
		}
		arrivedAs(mock, "half.bin", bytes);
		arrivedAs(mock, "other.bin", other);
		arrivedAs(mock, "small.bin", some(2_000_000));
		assert.equal(mock.asked.filter(({ what }) => what === "create").length, 2);
		assert.equal(parts(mock).length, 10, "what was there was not sent again");
		await until("nothing is kept in the browser", async () => (await kept(third)) === 0);
	},
);

test(
	"a store that is killed and started again in the middle gets the missing parts only",
	nothing,
	async ({ page, mock }) => {
		const bytes = some(40_000_000);
		await halfSent(page, mock, bytes);
		await mock.goStore();
		await inState(page, "half.bin", "retrying");
		await row(page, "half.bin").getByText("the connection was lost").waitFor();
		const there = numbers(parts(mock));
		const from = mock.asked.length;
		await mock.comeStore();
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		await page.getByRole("button", { name: "Retry half.bin" }).click();
		await inState(page, "half.bin", "archived");
		arrivedAs(mock, "half.bin", bytes);
		const missing = [1, 2, 3, 4, 5].filter((number) => !there.includes(number));
		assert.deepEqual(numbers(parts(mock, from)), missing);
	},
);

test(
	"ten seconds offline in the middle cost nothing but the part under way",
	nothing,
	async ({ page, mock }) => {
		await page.clock.install();
		await page.reload();
		const bytes = some(40_000_000);
		await halfSent(page, mock, bytes);
		await page.context().setOffline(true);
		await inState(page, "half.bin", "retrying");
		await row(page, "half.bin").getByText("You are offline").waitFor();
		const there = parts(mock).length;
		const asked = mock.asked.length;
		await page.clock.runFor(10_000);
		assert.equal(mock.asked.length, asked, "nothing is tried while there is no network");
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		await page.context().setOffline(false);
		await page.clock.runFor(1000);
		await inState(page, "half.bin", "archived");
		arrivedAs(mock, "half.bin", bytes);
		assert.equal(parts(mock).length, 5);
		assert.ok(there >= 2);
		await page.clock.resume();
	},
);

test(
	"a connection that stalls is given up and taken up again",
	(mock) => {
		mock.faults.hangs = 1;
	},
	async ({ page, mock }) => {
		await page.clock.install();
		await page.reload();
		await choose(page, file("stalled.txt"));
		await until("it hangs", () => mock.puts.length === 1);
		await inState(page, "stalled.txt", "sending");
		await page.clock.runFor(50_000);
		await until("it is sent again", async () => {
			await page.clock.runFor(500);
			return mock.puts.length === 2;
		});
		await inState(page, "stalled.txt", "archived");
		await page.clock.resume();
		assert.equal(mock.uploads.length, 1);
	},
);

for (const way of ["Signed URLs", "One-file credentials"]) {
	test(`a grant that expired is renewed: ${way.toLowerCase()}`, nothing, async ({ page, mock }) => {
		await chooseWay(page, way);
		mock.faults.expired = 1;
		await choose(page, file("late.txt"));
		await inState(page, "late.txt", "archived");
		assert.deepEqual(
			mock.asked.map(({ status }) => status >= 400),
			[true, false],
		);
		assert.equal(new Set(mock.puts).size, 1, "to the same key");
		const bytes = some(40_000_000);
		await halfSent(page, mock, bytes);
		mock.expireGrants();
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		await inState(page, "half.bin", "archived");
		arrivedAs(mock, "half.bin", bytes);
		assert.equal(new Set(parts(mock).map(({ part }) => part)).size, 5);
	});
}

test(
	"parts that the store no longer has are sent anew, and the row says so",
	nothing,
	async ({ page, mock }) => {
		const bytes = some(40_000_000);
		await halfSent(page, mock, bytes);
		await page.getByRole("button", { name: "Pause half.bin" }).click();
		await inState(page, "half.bin", "paused");
		mock.multiparts.clear();
		const from = mock.asked.length;
		mock.faults.bytesPerS = 20_000_000;
		await page.getByRole("button", { name: "Resume half.bin" }).click();
		await row(page, "half.bin").getByText("sent anew, for the parts").waitFor();
		await inState(page, "half.bin", "archived");
		arrivedAs(mock, "half.bin", bytes);
		assert.deepEqual(numbers(parts(mock, from)), [1, 2, 3, 4, 5]);
		assert.equal(mock.uploads.length, 1);
	},
);

for (const forgetful of [false, true]) {
	test(
		`a file whose last answer was lost is not sent twice, by a store that ${forgetful ? "forgets" : "remembers"}`,
		(mock) => {
			mock.faults.forgetful = forgetful;
			mock.faults.lostAnswers = 1;
		},
		async ({ page, mock }) => {
			const bytes = some(20_000_000);
			await choose(page, named("once.bin", bytes));
			await inState(page, "once.bin", "archived");
			// The row shows what the server knows; the page may still be at it.
			await until("nothing is on its way", async () => (await page.title()) === "Two Buckets");
			arrivedAs(mock, "once.bin", bytes);
			assert.deepEqual(numbers(parts(mock)), [1, 2, 3]);
		},
	);
}

for (const size of [0, 9]) {
	test(
		`a file of ${size} bytes whose answer was lost with the tab is not sent twice`,
		(mock) => {
			mock.faults.mute = 1;
		},
		async ({ page, mock }) => {
			await choose(page, named("once.txt", some(size)));
			await until("it is there", () => mock.uploads.length === 1);
			await until("its bytes are kept in the browser", async () => (await kept(page)) >= 3);
			await page.reload();
			await until("it was tried again", () => mock.puts.length === 2);
			await until("nothing is kept in the browser", async () => (await kept(page)) === 0);
			assert.equal(mock.uploads.length, 1);
			assert.equal(new Set(mock.puts).size, 1, "to the same key");
			await inState(page, "once.txt", "archived");
		},
	);
}

test("a browser whose storage hangs sends all the same", nothing, async ({ page, mock }) => {
	await page.addInitScript(() => {
		const put = IDBObjectStore.prototype.put;
		IDBObjectStore.prototype.put = function (this: IDBObjectStore, ...given) {
			const request = put.apply(this, given);
			// A transaction that is never let end.
			const busy = (): void => {
				this.count().onsuccess = busy;
			};
			if (this.name === "files" && this.transaction.db.name === "two-buckets") busy();
			return request;
		};
	});
	await page.reload();
	await choose(page, file("all the same.txt"));
	await inState(page, "all the same.txt", "archived");
	assert.equal(mock.uploads.length, 1);
});

for (const [size, kind] of [
	[3_000_000, "whole"],
	[20_000_000, "in parts"],
] as const) {
	test(
		`what another put under the key is not taken for the file, sent ${kind}`,
		(mock) => {
			mock.faults.bytesPerS = 12_000_000;
		},
		async ({ page, mock }) => {
			const bytes = some(size);
			await choose(page, named("mine.bin", bytes));
			await until("it is being sent", () => mock.puts.length > 0);
			const theirs = Buffer.from(bytes).reverse();
			mock.arrivesFromElsewhere(mock.puts[0] ?? "", theirs);
			const mine = (): Buffer[] =>
				mock.uploads.map(({ content }) => content).filter((content) => content.equals(bytes));
			await until("it has arrived", () => mine().length === 1);
			await until("nothing is on its way", async () => (await page.title()) === "Two Buckets");
			assert.equal(mock.uploads.length, 2);
			assert.equal(mine().length, 1);
			assert.equal(new Set(mock.uploads.map(({ key }) => key)).size, 2, "it has its own key");
			assert.equal(mock.multiparts.size, 0, "parts under the other key are taken back");
			assert.ok(mock.asked.some(({ status }) => status === 412));
			await until("nothing is kept in the browser", async () => (await kept(page)) === 0);
		},
	);
}

test(
	"a small file that was replaced by one that looks the same asks for a key of its own",
	nothing,
	async ({ page, mock }) => {
		mock.faults.bytesPerS = 3_000_000;
		const first = some(12_000_000);
		const folder = await mkdtemp(join(tmpdir(), "two-buckets-replaced-"));
		after(() => rm(folder, { recursive: true, force: true }));
		const path = join(folder, "replaced.bin");
		await writeFile(path, first);
		const { mtimeMs } = await stat(path);
		await page.setInputFiles("input[type=file]", path);
		await row(page, "replaced.bin")
			.getByText(/[1-9]\d* %/)
			.waitFor();
		await page.reload();
		await inState(page, "replaced.bin", "wanted");
		const second = Buffer.from(first).reverse();
		await writeFile(path, second);
		await utimes(path, mtimeMs / 1000, mtimeMs / 1000);
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		await chooseBy(page, "Choose replaced.bin again", path);
		await inState(page, "replaced.bin", "archived");
		arrivedAs(mock, "replaced.bin", second);
		const byName = mock.grantsAsked.filter(({ body }) => body.filename !== undefined);
		assert.equal(byName.length, 2);
	},
);

test(
	"a busy store gets its parts later, and a part that fails alone is sent alone",
	nothing,
	async ({ page, mock }) => {
		mock.faults.puts = Array.from({ length: 5 }, () => ({
			status: 503,
			code: "SlowDown",
			message: "Reduce your request rate.",
		}));
		const bytes = some(20_000_000);
		await choose(page, named("busy.bin", bytes));
		await row(page, "busy.bin").getByText("the store is busy").waitFor();
		await inState(page, "busy.bin", "archived");
		arrivedAs(mock, "busy.bin", bytes);
		assert.deepEqual(numbers(parts(mock)), [1, 2, 3]);
	},
);

test(
	"paused files send nothing and let others go, and all go on",
	(mock) => {
		mock.faults.bytesPerS = 2_000_000;
	},
	async ({ page, mock }) => {
		const files = Array.from({ length: 5 }, (_, i) => named(`p-${i}.bin`, some(20_000_000 + i)));
		await choose(page, ...files);
		await until(
			"four are under way",
			() => mock.asked.filter(({ what }) => what === "part").length >= 4,
		);
		assert.equal(await page.locator("tr[data-state=waiting]").count(), 1);
		for (let i = 0; i < 4; i += 1) {
			await page.getByRole("button", { name: `Pause p-${i}.bin` }).click();
		}
		await inState(page, "p-4.bin", "sending");
		await page.getByRole("button", { name: "Pause all" }).click();
		await until(
			"all are paused",
			async () => (await page.locator("tr[data-state=paused]").count()) === 5,
		);
		await page.getByText("5 files waiting for you").waitFor();
		await until("connections are broken off", () => mock.brokenOff >= 5);
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		await page.getByRole("button", { name: "Resume all" }).click();
		for (const { name, buffer } of files) {
			await inState(page, name, "archived");
			arrivedAs(mock, name, buffer);
		}
		assert.equal(mock.asked.filter(({ what }) => what === "create").length, 5);
	},
);

test(
	"a cancelled file takes its parts back, and can be sent after all",
	nothing,
	async ({ page, mock }) => {
		const bytes = some(40_000_000);
		await halfSent(page, mock, bytes);
		await page.getByRole("button", { name: "Cancel half.bin" }).click();
		await inState(page, "half.bin", "cancelled");
		await until("its parts are gone", () => mock.multiparts.size === 0);
		assert.ok(mock.asked.some(({ what }) => what === "abort"));
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		await page.getByRole("button", { name: "Retry half.bin" }).click();
		await inState(page, "half.bin", "archived");
		arrivedAs(mock, "half.bin", bytes);
	},
);

async function tree(): Promise<string> {
	const root = await mkdtemp(join(tmpdir(), "two-buckets-tree-"));
	after(() => rm(root, { recursive: true, force: true }));
	const top = join(root, "survey");
	await mkdir(join(top, "north", "deep"), { recursive: true });
	await writeFile(join(top, "a.txt"), "a");
	await writeFile(join(top, "north", "a.txt"), "north a");
	await writeFile(join(top, "north", "deep", "ü b.csv"), "deep");
	return top;
}

const inTree: [string, string][] = [
	["survey/a.txt", "a"],
	["survey/north/a.txt", "north a"],
	["survey/north/deep/ü b.csv", "deep"],
];

/** Drops real files and folders on the page, as the system would. */
async function drop(page: Page, paths: string[]): Promise<void> {
	const session = await page.context().newCDPSession(page);
	for (const type of ["dragEnter", "dragOver", "drop"] as const) {
		const data = { items: [], files: paths, dragOperationsMask: 1 };
		await session.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
	}
}

test(
	"a dropped folder is sent with everything in it, each file by its path",
	nothing,
	async ({ page, mock }) => {
		await page.getByText("No uploads yet").waitFor();
		const top = await tree();
		const alone = join(top, "..", "alone.txt");
		await writeFile(alone, "alone");
		await drop(page, [top, alone]);
		await until("all are there", () => mock.uploads.length === 4);
		const filenames = mock.grantsAsked.map(({ body }) => body.filename).sort();
		assert.deepEqual(filenames, ["alone.txt", ...inTree.map(([path]) => path)]);
		for (const [path, content] of [...inTree, ["alone.txt", "alone"]] as const) {
			arrivedAs(mock, path, Buffer.from(content));
		}
		await inState(page, "ü b.csv", "archived");

		// The same again: nothing goes until it is wished for.
		await drop(page, [top]);
		await page.getByText("added to this page before, and are not sent twice").waitFor();
		await page.getByRole("button", { name: "Leave it" }).click();
		assert.equal(mock.grantsAsked.length, 4);
		await drop(page, [top]);
		await page.getByRole("button", { name: "Send again" }).click();
		await until("all are there twice", () => mock.uploads.length === 7);
		const again = mock.grantsAsked.slice(4).map(({ body }) => body.filename);
		assert.deepEqual(
			again.sort(),
			inTree.map(([path]) => path),
		);
	},
);

test("a folder that is too deep to be read is told of", nothing, async ({ page, mock }) => {
	await page.getByText("No uploads yet").waitFor();
	const root = await mkdtemp(join(tmpdir(), "two-buckets-deep-"));
	after(() => rm(root, { recursive: true, force: true }));
	const top = join(root, "pit");
	await mkdir(join(top, ...Array.from({ length: 65 }, () => "d")), { recursive: true });
	await writeFile(join(top, "above.txt"), "above");
	await writeFile(join(top, ...Array.from({ length: 65 }, () => "d"), "below.txt"), "below");
	await drop(page, [top]);
	await page.getByText("1 folder in pit lies more than 64 folders deep").waitFor();
	await inState(page, "above.txt", "archived");
	assert.equal(mock.uploads.length, 1);
});

test("files of one choice that look alike are all sent", nothing, async ({ page, mock }) => {
	await page.getByText("No uploads yet").waitFor();
	// Chosen by a script's hand, as in a test of the whole product: of two folders, and the folders are not told.
	await page.evaluate(() => {
		const input = document.querySelector<HTMLInputElement>("input[type=file]");
		const chosen = new DataTransfer();
		for (const content of ["one", "two"]) {
			chosen.items.add(new File([content], "same.txt", { lastModified: 1 }));
		}
		if (!input) throw new Error("no input");
		input.files = chosen.files;
		input.dispatchEvent(new Event("change", { bubbles: true }));
	});
	await until("both are there", () => mock.uploads.length === 2);
});

test("a folder is chosen whole", nothing, async ({ page, mock }) => {
	await chooseBy(page, "Choose a folder", await tree());
	await until("all are there", () => mock.uploads.length === 3);
	for (const [path, content] of inTree) arrivedAs(mock, path, Buffer.from(content));
});

test(
	"limits are told before, and what breaks them is refused before a byte is sent",
	(mock) => {
		mock.limits = { size_bytes_max: 1_000_000, types: ["text/*"] };
	},
	async ({ page, mock }) => {
		await page.getByText("You may send only text/* of at most 1 MB.").waitFor();
		await choose(
			page,
			named("big.txt", some(1_000_001)),
			{ ...file("photo.png"), mimeType: "image/png" },
			file("fits.txt"),
		);
		await row(page, "big.txt").getByText("This file has 1000001 bytes, you may send").waitFor();
		await row(page, "photo.png").getByText("you may send only text/*").waitFor();
		assert.ok(await page.getByRole("radio", { name: "One-file credentials" }).isDisabled());
		await inState(page, "fits.txt", "archived");
		assert.equal(mock.grantsAsked.length, 1);
	},
);

test(
	"the browser's checksum is compared with the archive's, and a difference is loud",
	nothing,
	async ({ page }) => {
		const files = [file("small.txt"), named("large.bin", some(20_000_000)), file("bad.spoiled")];
		await choose(page, ...files);
		const dialog = page.getByRole("dialog");
		for (const name of ["small.txt", "large.bin"]) {
			await inState(page, name, "archived");
			await page.getByRole("button", { name, exact: true }).click();
			await dialog.getByText("Equal from your browser to the archive").waitFor();
			await page.keyboard.press("Escape");
			await dialog.waitFor({ state: "hidden" });
		}
		await row(page, "bad.spoiled").getByText("Differs from the file you sent").waitFor();
		await page.getByRole("button", { name: "bad.spoiled", exact: true }).click();
		await dialog.getByText("The archive does not hold the file your browser read").waitFor();
	},
);

test(
	"rows follow the stream of changes, across a break and after missed ones",
	nothing,
	async ({ page, mock }) => {
		await until("the page listens", () => mock.listeners === 1);
		mock.processingMs = 20;
		await page.getByText("No uploads yet").waitFor();
		const upload = mock.arrivesFromElsewhere("from/another.txt", Buffer.from("x"));
		await inState(page, "another.txt", "archived");
		mock.cutEvents();
		await until("it listens no more", () => mock.listeners === 0);
		upload.state = "failed";
		upload.reason = "what was said while nobody listened";
		await until("it listens again", () => mock.listeners === 1);
		await row(page, "another.txt").getByText("What was said while nobody listened").waitFor();
		upload.reason = "what was lost on the way";
		mock.sayMissed();
		await row(page, "another.txt").getByText("What was lost on the way").waitFor();
	},
);

test(
	"a server that wants a token gets it, the store never does, and it is kept for this tab only",
	(mock) => {
		mock.token = "correct horse";
	},
	async ({ page, mock }) => {
		const dialog = page.getByRole("dialog", { name: "Sign in" });
		await dialog.getByText("This server asks for a token.").waitFor();
		await dialog.getByLabel("Access token").fill("wrong");
		await dialog.getByRole("button", { name: "Sign in" }).click();
		await dialog.getByText("The token is not known here.").waitFor();
		await dialog.getByLabel("Access token").fill("correct horse");
		await page.keyboard.press("Enter");
		await page.getByText("No uploads yet").waitFor();
		await until("it listens", () => mock.listeners === 1);
		const bytes = some(20_000_000);
		await choose(page, named("secret.bin", bytes), file("secret.txt"));
		await inState(page, "secret.bin", "archived");
		await inState(page, "secret.txt", "archived");
		assert.ok(mock.asked.every(({ authorization }) => authorization === null));
		await page.getByRole("button", { name: "secret.txt", exact: true }).click();
		const download = page.waitForEvent("download");
		await page.getByRole("button", { name: "Download" }).click();
		assert.equal((await download).suggestedFilename(), "secret.txt");
		await page.keyboard.press("Escape");

		await page.reload();
		await inState(page, "secret.txt", "archived");
		const other = await page.context().newPage();
		await other.goto(mock.url);
		await other.getByText("This server asks for a token.").waitFor();
		await other.close();
		assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("horse")), false);

		// It is revoked in the middle of a file, which waits for the next one.
		mock.token = "battery staple";
		await choose(page, file("later.txt"));
		await inState(page, "later.txt", "retrying");
		await dialog.getByLabel("Access token").fill("battery staple");
		await page.keyboard.press("Enter");
		await inState(page, "later.txt", "archived");
	},
);
