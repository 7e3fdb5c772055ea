/** What a person can do on the page, in a real browser, against a server that may misbehave. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test as anyTest } from "node:test";
import {
	choose,
	chromiumPath,
	closeBrowser,
	file,
	inState,
	nothing,
	row,
	until,
	visit,
	visits,
} from "./browser.ts";
import { fill, fillHostile, hostileNames } from "./scene.ts";

const skip = chromiumPath ? false : "chromium not found";
if (skip) console.log(`skipped: ${skip}`);
after(closeBrowser);

const test = visits(anyTest);

test(
	"a chosen file is one row, and the same one, from its first byte until it is archived",
	(mock) => {
		mock.faults.bytesPerS = 4_000_000;
	},
	async ({ page, mock }) => {
		const content = Buffer.alloc(6_000_000, "two buckets ");
		await choose(page, file("orders.csv", content));
		await inState(page, "orders.csv", "sending");
		const element = await row(page, "orders.csv").elementHandle();
		const bar = row(page, "orders.csv").getByRole("progressbar");
		await until("the bar moves", async () => {
			const value = await bar.evaluate((bar: HTMLProgressElement) => bar.value).catch(() => 1);
			return value > 0;
		});
		await inState(page, "orders.csv", "archived");
		assert.equal(await page.locator("tbody tr").count(), 1);
		assert.ok(await element?.evaluate((element) => element.isConnected), "the row was replaced");
		assert.equal(mock.uploads.length, 1);
		assert.ok(mock.uploads[0]?.content.equals(content), "other bytes arrived");
		assert.match((await row(page, "orders.csv").textContent()) ?? "", /6\.00 MB.*text\/csv/);
		await until("it is said", async () =>
			((await page.getByRole("status").textContent()) ?? "").includes("orders.csv archived."),
		);
	},
);

for (const [listed, token] of [
	["nothing", null],
	["many uploads", null],
	["nothing", "correct horse"],
] as const) {
	test(
		`no control moves once the server answers with ${listed}${token ? ", after a sign-in" : ""}`,
		(mock) => {
			mock.faults.answersAfterMs = 400;
			mock.token = token;
			if (listed !== "nothing") fill(mock);
		},
		async ({ page }) => {
			if (token) {
				await page.getByLabel("Access token").fill(token);
				await page.getByRole("button", { name: "Sign in" }).click();
			}
			const answer = page.locator(listed === "nothing" ? ".steps" : "tbody");
			await answer.waitFor();
			await page.getByText("They land in").waitFor();
			const moved = await page.evaluate(
				() =>
					new Promise<string[]>((resolve) => {
						const controls: string[] = [];
						new PerformanceObserver((list) => {
							for (const entry of list.getEntries()) {
								const { sources = [] } = entry as { sources?: { node: Node | null }[] };
								for (const { node } of sources) {
									const element = node instanceof Element ? node : node?.parentElement;
									if (element?.closest(".drop-zone, .ways, .filters")) {
										controls.push(element.outerHTML);
									}
								}
							}
						}).observe({ type: "layout-shift", buffered: true });
						// What is drawn now is reported after the frame.
						setTimeout(() => resolve(controls), 300);
					}),
			);
			assert.deepEqual(moved, []);
		},
	);
}

test(
	"many files go four at a time and every one arrives",
	(mock) => {
		mock.faults.bytesPerS = 400_000;
	},
	async ({ page, mock }) => {
		const files = Array.from({ length: 120 }, (_, i) => file(`f-${i}.txt`, `${i} `.repeat(4000)));
		await choose(page, ...files);
		const archived = page.locator("[data-filter=archived] .count");
		await until("all are archived", async () => (await archived.textContent()) === "120");
		assert.equal(mock.parallelMax, 4);
		assert.equal(new Set(mock.puts).size, 120);
		for (const { name, buffer } of files) {
			assert.ok(mock.find(`/${name}`)?.content.equals(buffer), `${name} differs`);
		}
		// The list shows a hundred rows; those it does not reach are followed by key.
		await page.getByRole("button", { name: "Show more" }).click();
		await until(
			"every row says so",
			async () => (await page.locator("tbody tr[data-state=archived]").count()) === 120,
		);
		await page.locator("[data-filter=here]").waitFor({ state: "hidden" });
	},
);

test(
	"a file is dropped anywhere on the window, and the window says that it may be",
	nothing,
	async ({ page, mock }) => {
		await page.getByText("No uploads yet").waitFor();
		const transfer = await page.evaluateHandle(() => {
			const transfer = new DataTransfer();
			transfer.items.add(new File(["dropped"], "dropped.txt"));
			return transfer;
		});
		await page.dispatchEvent("h1", "dragenter", { dataTransfer: transfer });
		await page.getByText("Drop to send").waitFor();
		await page.dispatchEvent("h1", "drop", { dataTransfer: transfer });
		await page.getByText("Drop to send").waitFor({ state: "hidden" });
		await inState(page, "dropped.txt", "archived");
		assert.equal(mock.find("dropped.txt")?.content.toString(), "dropped");
	},
);

test(
	"a connection cut in the middle is tried again, to the same key",
	(mock) => {
		// Uppy itself tries four times within two seconds, of which nothing is seen.
		mock.faults.cuts = 5;
	},
	async ({ page, mock }) => {
		await choose(page, file("cut.bin", Buffer.alloc(3_000_000)));
		await inState(page, "cut.bin", "retrying");
		await row(page, "cut.bin").getByText("the connection was lost").waitFor();
		await inState(page, "cut.bin", "archived");
		assert.equal(mock.puts.length, 6);
		assert.equal(new Set(mock.puts).size, 1);
	},
);

test(
	"a file that was kept although its answer was lost is not kept twice",
	(mock) => {
		mock.faults.lostAnswers = 1;
		mock.processingMs = 1200;
	},
	async ({ page, mock }) => {
		await choose(page, file("once.txt"));
		await until("it is sent again", () => mock.puts.length === 2);
		// Not what the server lists, but what became of the second try.
		await inState(page, "once.txt", "pending");
		await inState(page, "once.txt", "archived");
		assert.equal(mock.uploads.length, 1);
		assert.equal(await page.locator("tbody tr").count(), 1);
	},
);

test(
	"a busy store is tried again, a refusal is not and is told in words",
	(mock) => {
		const busy = { status: 503, code: "SlowDown", message: "Reduce your request rate." };
		mock.faults.puts = Array.from({ length: 5 }, () => busy);
	},
	async ({ page, mock }) => {
		await choose(page, file("busy.txt"));
		await row(page, "busy.txt").getByText("the store is busy").waitFor();
		await inState(page, "busy.txt", "archived");
		mock.faults.puts = [{ status: 403, code: "AccessDenied", message: "Access Denied" }];
		await choose(page, file("denied.txt"));
		await inState(page, "denied.txt", "failed");
		await row(page, "denied.txt").getByText("The store refused this upload").waitFor();
		assert.equal(mock.puts.filter((key) => key.endsWith("denied.txt")).length, 1);
	},
);

test(
	"a file the server will not take says why, and can be tried again or dismissed",
	(mock) => {
		mock.faults.refusals = ["files end at 5 GB here", "files end at 5 GB here"];
	},
	async ({ page, mock }) => {
		await choose(page, file("large.iso"), file("larger.iso"));
		await row(page, "large.iso").getByText("Files end at 5 GB here").waitFor();
		await page.getByRole("button", { name: "Dismiss larger.iso" }).click();
		await row(page, "larger.iso").waitFor({ state: "detached" });
		await page.getByRole("button", { name: "Retry large.iso" }).click();
		await inState(page, "large.iso", "archived");
		assert.equal(mock.uploads.length, 1);
	},
);

test(
	"a cancelled file is not kept, and can still be sent after all",
	(mock) => {
		mock.faults.bytesPerS = 500_000;
	},
	async ({ page, mock }) => {
		await choose(page, file("second-thoughts.bin", Buffer.alloc(5_000_000)));
		await inState(page, "second-thoughts.bin", "sending");
		await until("bytes are under way", () => mock.puts.length === 1);
		await page.getByRole("button", { name: "Cancel second-thoughts.bin" }).click();
		await inState(page, "second-thoughts.bin", "cancelled");
		await until("the connection is broken off", () => mock.brokenOff === 1);
		assert.equal(mock.uploads.length, 0);
		mock.faults.bytesPerS = Number.POSITIVE_INFINITY;
		await page.getByRole("button", { name: "Retry second-thoughts.bin" }).click();
		await inState(page, "second-thoughts.bin", "archived");
		assert.equal(mock.uploads.length, 1);
	},
);

test(
	"a server that goes away is waited for, and files chosen meanwhile are sent when it is back",
	fill,
	async ({ page, mock }) => {
		await row(page, "harbour.jpg").waitFor();
		await mock.go();
		await page.getByText("Server not reachable.").waitFor();
		await page.getByText(/Retrying in \d+ s\./).waitFor();
		await row(page, "harbour.jpg").waitFor();
		await choose(page, file("patience.txt"));
		await inState(page, "patience.txt", "retrying");
		await mock.come();
		// It may have come back by itself a moment before.
		await page.locator("button", { hasText: "Try now" }).dispatchEvent("click");
		await page.getByText("Server not reachable.").waitFor({ state: "hidden" });
		await inState(page, "patience.txt", "archived");
		assert.equal(mock.uploads.filter(({ key }) => key.endsWith("patience.txt")).length, 1);
	},
);

test(
	"a file chosen while the network is cut goes once it is back",
	nothing,
	async ({ page, mock }) => {
		await page.getByText("No uploads yet").waitFor();
		await page.context().setOffline(true);
		await choose(page, file("train.bin"));
		await inState(page, "train.bin", "retrying");
		await row(page, "train.bin").getByText("You are offline").waitFor();
		assert.equal(mock.puts.length, 0);
		await page.context().setOffline(false);
		await inState(page, "train.bin", "archived");
		await page.getByText("Server not reachable.").waitFor({ state: "hidden" });
	},
);

test(
	"a hidden page asks nothing, and asks at once when it is seen again",
	(mock) => {
		mock.faults.noEvents = true;
	},
	async ({ page, mock }) => {
		await page.clock.install();
		await page.reload();
		await page.getByText("No uploads yet").waitFor();
		const show = (state: string): Promise<void> =>
			page.evaluate((state) => {
				Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
				document.dispatchEvent(new Event("visibilitychange"));
			}, state);
		const before = mock.listings;
		await page.clock.runFor(3000);
		await until("a page in sight asks", () => mock.listings > before);
		// Hidden while an answer is on its way, which is when a next call would be set up.
		const held: (() => void)[] = [];
		await page.route("**/api/uploads?*", async (route) => {
			await new Promise<void>((resolve) => held.push(resolve));
			await route.continue();
		});
		await until("a call is held", async () => {
			await page.clock.runFor(1000);
			return held.length === 1;
		});
		await show("hidden");
		const asked = mock.listings;
		held[0]?.();
		await until("it is answered", () => mock.listings === asked + 1);
		await page.clock.runFor(60_000);
		assert.equal(held.length, 1);
		assert.equal(mock.listings, asked + 1);
		await page.unroute("**/api/uploads?*");
		const hidden = mock.listings;
		await show("visible");
		await until("it asks again", () => mock.listings > hidden);
	},
);

test("everything can be done from the keyboard", fill, async ({ page, mock }) => {
	await row(page, "harbour.jpg").waitFor();
	// Choosers are caught from here on, not only once the key is on its way.
	page.on("filechooser", () => {});
	const focused = (): Promise<string> =>
		page.evaluate(() => {
			const at = document.activeElement;
			if (at === document.body) return "";
			return at?.getAttribute("aria-label") ?? at?.getAttribute("title") ?? at?.textContent ?? "";
		});
	const tabTo = async (wanted: RegExp): Promise<void> => {
		for (let presses = 0; presses < 30; presses += 1) {
			await page.keyboard.press("Tab");
			if (wanted.test(await focused())) return;
		}
		assert.fail(`Tab never came to ${wanted}`);
	};
	await page.locator("body").focus();

	await tabTo(/Choose files/);
	const chooser = page.waitForEvent("filechooser");
	await page.keyboard.press("Enter");
	await (await chooser).setFiles([file("typed.txt")]);
	await inState(page, "typed.txt", "archived");

	await tabTo(/^Failed/);
	await page.keyboard.press("Space");
	await row(page, "harbour.jpg").waitFor({ state: "detached" });
	await tabTo(/Find uploads/);
	await page.keyboard.type("nov.zip");
	await page.waitForResponse((response) => response.url().includes("q=nov.zip"));
	await tabTo(/backup-nov\.zip/);
	mock.faults.failing = "";
	await page.keyboard.press("Enter");
	const dialog = page.getByRole("dialog");
	await dialog.getByText("ran longer than 2 s").waitFor();
	assert.ok(await dialog.evaluate((dialog) => dialog.contains(document.activeElement)));
	await tabTo(/Retry/);
	await page.keyboard.press("Enter");
	await dialog.locator(".chip[data-state=archived]").waitFor();
	await page.keyboard.press("Escape");
	await dialog.waitFor({ state: "hidden" });

	await tabTo(/Find uploads/);
	await page.keyboard.press("Control+A");
	await page.keyboard.press("Delete");
	await page.keyboard.press("Shift+Tab");
	for (let presses = 0; !/^All/.test(await focused()) && presses < 12; presses += 1) {
		await page.keyboard.press("Shift+Tab");
	}
	await page.keyboard.press("Enter");
	await row(page, "harbour.jpg").waitFor();
	await tabTo(/backup-nov\.zip|typed\.txt/);
	await page.keyboard.press("Home");
	assert.match(await focused(), /typed\.txt/);
	await page.keyboard.press("ArrowDown");
	const second = await focused();
	assert.doesNotMatch(second, /typed\.txt/);
	await page.keyboard.press("Enter");
	await dialog.waitFor();
	await page.keyboard.press("Escape");
	await dialog.waitFor({ state: "hidden" });
	assert.equal(await focused(), second, "focus comes back to the row");
	await page.keyboard.press("End");
	assert.match(await focused(), /events-2026-11-21/);
	await page.keyboard.press("Home");
	assert.match(await focused(), /typed\.txt/);
});

test(
	"a failed upload shows its reason and attempts, and is retried in one step",
	fill,
	async ({ page, mock }) => {
		mock.faults.failing = "";
		await page.getByRole("button", { name: "backup-nov.zip", exact: true }).click();
		const dialog = page.getByRole("dialog");
		await dialog.getByText("Failed for good after 1.4 s").waitFor();
		await dialog.locator(".reason").getByText("1,198 were found").waitFor();
		await dialog.getByRole("button", { name: "Retry" }).click();
		await dialog.locator(".chip[data-state=archived]").waitFor();
		await dialog.getByText("Succeeded after").waitFor();
		assert.equal(await dialog.locator(".reason").count(), 0);
		await dialog.getByText("aws s3 cp s3://archive/").waitFor();
	},
);

test(
	"a job shows how far it is, in the list and in its panel, as it goes on",
	fill,
	async ({ page, mock }) => {
		const job = mock.find("orders-2026-11.csv") ?? assert.fail();
		const line = row(page, "orders-2026-11.csv");
		await line.getByText("33 % · 1,204,000 of 3,600,000 rows checked").waitFor();
		await line.getByText("Job", { exact: true }).waitFor();
		await row(page, "site-visit.mp4").getByText("Job", { exact: true }).waitFor();
		const other = row(page, "harbour.jpg").getByText("Job", { exact: true });
		assert.equal(await other.isVisible(), false);
		const bar = line.getByRole("progressbar", { name: "Processed of orders-2026-11.csv" });
		const value = (): Promise<number> => bar.evaluate((bar: HTMLProgressElement) => bar.value);
		assert.equal(Math.floor((await value()) * 100), 33);

		await page.getByRole("button", { name: "orders-2026-11.csv", exact: true }).click();
		const dialog = page.getByRole("dialog");
		await dialog.getByText("A job of its own is at work on it").waitFor();
		await dialog.getByText("33 % · 1,204,000 of 3,600,000 rows checked").waitFor();
		const progress = { done: 3_600_000, total: 3_600_000, words: "rows checked" };
		mock.change(job, { progress });
		await dialog.getByText("100 % · 3,600,000 of 3,600,000 rows checked").waitFor();
		mock.change(job, { progress: { done: 7, total: null, words: "passes" } });
		await dialog.getByText("7 passes").waitFor();
		assert.equal(await dialog.getByRole("progressbar").count(), 0, "the whole is not known");
		await page.keyboard.press("Escape");
		await line.getByText("7 passes").waitFor();
		await bar.waitFor({ state: "hidden" });
	},
);

test(
	"a job is cancelled only once the reader has said that they mean it",
	fill,
	async ({ page, mock }) => {
		const job = mock.find("orders-2026-11.csv") ?? assert.fail();
		const cancel = page.getByRole("button", { name: "Cancel the job on orders-2026-11.csv" });
		const asked = page.getByRole("alertdialog", { name: "Cancel the job on orders-2026-11.csv?" });
		const isFocused = (button: typeof cancel): Promise<boolean> =>
			button.evaluate((button) => button === document.activeElement);
		for (const no of ["Enter", "Escape"]) {
			await cancel.click();
			await asked.getByText("It stops at once").waitFor();
			assert.ok(await isFocused(asked.getByRole("button", { name: "Leave it" })));
			await page.keyboard.press(no);
			await asked.waitFor({ state: "hidden" });
			await until("focus is back", () => isFocused(cancel));
		}
		assert.equal(job.state, "processing");

		await page.getByRole("button", { name: "orders-2026-11.csv", exact: true }).click();
		const panel = page.getByRole("dialog", { name: "orders-2026-11.csv" });
		await panel.getByRole("button", { name: "Cancel job" }).click();
		await asked.waitFor();
		// What changes meanwhile draws the panel anew.
		mock.change(job, { progress: { done: 2_000_000, total: 3_600_000, words: "rows checked" } });
		await panel.getByText("55 %").waitFor();
		await page.keyboard.press("Escape");
		await until("focus is back", () =>
			isFocused(panel.getByRole("button", { name: "Cancel job" })),
		);
		assert.ok(await panel.isVisible(), "the panel stays");
		await panel.getByRole("button", { name: "Cancel job" }).click();
		await asked.getByRole("button", { name: "Cancel job" }).click();
		await panel.locator(".reason").getByText("Its job was cancelled").waitFor();
		await panel.getByText("Failed for good after").waitFor();
		assert.equal(await panel.getByRole("button", { name: "Cancel job" }).count(), 0);
		assert.equal(job.state, "failed");
		await panel.getByRole("button", { name: "Retry" }).click();
		await panel.locator(".chip[data-state=archived]").waitFor();
	},
);

test(
	"a job that cannot be cancelled any more says so, where the reader looks",
	fill,
	async ({ page, mock }) => {
		const orders = mock.find("orders-2026-11.csv") ?? assert.fail();
		const visitJob = mock.find("site-visit.mp4") ?? assert.fail();
		const yes = page.getByRole("alertdialog").getByRole("button", { name: "Cancel job" });
		// They end without anybody being told, as between two changes of the list.
		await page.getByRole("button", { name: "Cancel the job on site-visit.mp4" }).click();
		await page.getByRole("alertdialog").getByText("It will not begin").waitFor();
		visitJob.state = "late";
		await yes.click();
		await page.getByRole("alert").getByText("It has ended and is late").waitFor();

		await page.getByRole("button", { name: "orders-2026-11.csv", exact: true }).click();
		const panel = page.getByRole("dialog", { name: "orders-2026-11.csv" });
		await panel.getByRole("button", { name: "Cancel job" }).click();
		mock.change(orders, { state: "archived", progress: null });
		await yes.click();
		await panel.getByRole("alert").getByText("It has ended and is archived").waitFor();
		await panel.locator(".chip[data-state=archived]").waitFor();
		assert.equal(await panel.getByRole("button", { name: "Cancel job" }).count(), 0);
	},
);

test(
	"who may not steer sees a job and no way to cancel it",
	(mock) => {
		fill(mock);
		mock.maySteer = false;
	},
	async ({ page }) => {
		await row(page, "orders-2026-11.csv").getByText("Job", { exact: true }).waitFor();
		await page.getByRole("button", { name: "orders-2026-11.csv", exact: true }).click();
		const panel = page.getByRole("dialog", { name: "orders-2026-11.csv" });
		await panel.getByText("the delimiter is a semicolon").waitFor();
		assert.equal(await page.getByRole("button", { name: /Cancel/ }).count(), 0);
	},
);

test(
	"a pause is seen with what waits and why, by whoever made it, and ends with one click",
	fill,
	async ({ page, mock }) => {
		await row(page, "harbour.jpg").waitFor();
		const notice = page.getByRole("status").filter({ hasText: "Processing is paused. Since" });
		const pause = page.getByRole("button", { name: "Pause processing" });
		const resume = page.getByRole("button", { name: "Resume processing" });
		await pause.press("Enter");
		await notice.getByText("2 uploads wait; more can be sent.").waitFor();
		assert.equal(await pause.count(), 0);
		await until("the keyboard is at its end", () =>
			resume.evaluate((button) => button === document.activeElement),
		);
		// Somebody else gives a reason: what it says is text.
		mock.paused = { since: "2026-11-26T07:50:00Z", reason: "the database <b>moves</b>" };
		mock.sayMissed();
		await notice.getByText("the database <b>moves</b>.").waitFor();
		await resume.press("Enter");
		await notice.waitFor({ state: "hidden" });
		await until("the keyboard is where it began", () =>
			pause.evaluate((button) => button === document.activeElement),
		);
		assert.equal(mock.paused, null);
	},
);

test(
	"who may not steer sees a pause and no way to end it",
	(mock) => {
		fill(mock);
		mock.maySteer = false;
		mock.paused = { since: "2026-11-26T07:50:00Z", reason: null };
	},
	async ({ page }) => {
		await page.getByText("Processing is paused.").waitFor();
		await row(page, "harbour.jpg").waitFor();
		assert.equal(await page.getByRole("button", { name: /processing/ }).count(), 0);
	},
);

test(
	"a replay says which archived version it was made of",
	(mock) => {
		fill(mock);
		const replay_of = { bucket: "archive", key: "old.csv", version_id: "3f2a", upload: null };
		Object.assign(mock.find("stations.csv") ?? assert.fail(), { replay_of });
	},
	async ({ page }) => {
		await page.getByRole("button", { name: "stations.csv", exact: true }).click();
		await page.getByRole("dialog").getByText("archive/old.csv version 3f2a").waitFor();
		await page.goto(new URL("#", page.url()).href);
		await page.getByRole("button", { name: "harbour.jpg", exact: true }).click();
		await page.getByRole("dialog", { name: "harbour.jpg" }).waitFor();
		assert.equal(await page.getByText("Replay of").count(), 0);
	},
);

test(
	"what each attempt wrote stands with it, what was dropped is said, and none of it acts on the page",
	(mock) => {
		fill(mock);
		const upload = mock.find("backup-nov.zip") ?? assert.fail();
		mock.writes(upload, 1, "opening\tbackup-nov.zip\r\n", 81_920, "entry 1,198\n");
		mock.writes(upload, 2, "<b>bold</b> \u001b[31mred\u202egpj.exe\nlast line");
	},
	async ({ page }) => {
		await page.getByRole("button", { name: "backup-nov.zip", exact: true }).click();
		const panel = page.getByRole("dialog");
		const log = (attempt: number) =>
			panel.getByRole("region", { name: `What attempt ${attempt} wrote` });
		await log(1).waitFor();
		assert.equal(
			await log(1).textContent(),
			"opening\tbackup-nov.zip\n81.9 kB were not keptentry 1,198\n",
		);
		assert.equal(await log(2).textContent(), "<b>bold</b> U+001B[31mredU+202Egpj.exe\nlast line");
		assert.equal(await log(2).locator("b").count(), 0);
		const attempts = panel.locator(".attempts > li");
		assert.match((await attempts.nth(0).textContent()) ?? "", /ran longer than 2 s.*opening/s);
		assert.match((await attempts.nth(1).textContent()) ?? "", /1,198 were found.*last line/s);
	},
);

test(
	"the log of a running job grows under the reader's eyes and keeps their place",
	(mock) => {
		fill(mock);
		const job = mock.find("orders-2026-11.csv") ?? assert.fail();
		mock.writes(job, 1, lined(200));
	},
	async ({ page, mock }) => {
		const job = mock.find("orders-2026-11.csv") ?? assert.fail();
		await page.goto(`${mock.url}/#${job.id}`);
		const log = page.getByRole("region", { name: "What attempt 1 wrote" });
		await log.getByText("line 200", { exact: true }).waitFor();
		const place = (): Promise<{ top: number; fromEnd: number }> =>
			log.evaluate(({ scrollTop, scrollHeight, clientHeight }) => ({
				top: scrollTop,
				fromEnd: scrollHeight - clientHeight - scrollTop,
			}));
		const grow = async (count: number): Promise<void> => {
			mock.writes(job, 1, lined(count));
			mock.change(job, { progress: { done: count, total: null, words: "lines" } });
			await log.getByText(`line ${count}`, { exact: true }).waitFor({ state: "attached" });
		};
		// Reading in the middle.
		await log.evaluate((log) => {
			log.scrollTop = 700;
		});
		await log.focus();
		await grow(260);
		assert.equal((await place()).top, 700);
		assert.ok(await log.evaluate((log) => log === document.activeElement), "focus stays");
		await page.keyboard.press("ArrowDown");
		await until("the keyboard scrolls on", async () => (await place()).top > 700);
		// Following its end.
		await page.keyboard.press("End");
		await until("its end is there", async () => (await place()).fromEnd < 2);
		await grow(320);
		assert.ok((await place()).fromEnd < 2, "its end is still in sight");
	},
);

const lined = (count: number): string =>
	Array.from({ length: count }, (_, n) => `line ${n + 1}\n`).join("");

test(
	"a report is readable, whole in its raw form, and the panel has an address of its own",
	fill,
	async ({ page, mock }) => {
		const { id } = mock.find("stations.csv") ?? assert.fail();
		await page.goto(`${mock.url}/#${id}`);
		const dialog = page.getByRole("dialog");
		await dialog.getByText("station_id").first().waitFor();
		await dialog.getByText("Raw JSON", { exact: true }).click();
		const raw = await dialog.locator(".report pre").textContent();
		assert.match(raw ?? "", /"delimiter": ","/);
		await page.keyboard.press("Escape");
		await until("its address is gone", () => new URL(page.url()).hash === "");
		await page.goto(`${mock.url}/#no-such-upload`);
		await dialog.getByText("There is no upload with the id").waitFor();
	},
);

test("an uploaded page is saved as a file and never shown", nothing, async ({ page, mock }) => {
	const html = "<script>window.opener.pwned = 1</script>";
	await choose(page, { ...file("evil.html", html), mimeType: "text/html" });
	await inState(page, "evil.html", "archived");
	await page.getByRole("button", { name: "evil.html", exact: true }).click();
	const download = page.waitForEvent("download");
	await page.getByRole("link", { name: "Download" }).click();
	assert.equal(await readFile(await (await download).path(), "utf8"), html);
	assert.equal(new URL(page.url()).origin, mock.url);
});

test(
	"a click on the way to the file is not lost while the panel is drawn anew",
	(mock) => {
		mock.add("a.txt", Buffer.from("whole"), { state: "processing" });
	},
	async ({ page, mock }) => {
		await page.getByRole("button", { name: "a.txt", exact: true }).click();
		const link = page.getByRole("link", { name: "Download" });
		await link.hover();
		await page.mouse.down();
		const upload = mock.find("a.txt") ?? assert.fail();
		mock.change(upload, { state: "archived", media_type: "text/x-other" });
		await page.getByRole("dialog").getByText("text/x-other").waitFor();
		const download = page.waitForEvent("download");
		await page.mouse.up();
		assert.equal(await readFile(await (await download).path(), "utf8"), "whole");
	},
);

test(
	"the list is filtered by state, searched, and shown a hundred at a time",
	(mock) => {
		for (let i = 0; i < 250; i += 1) {
			const state = i % 50 === 0 ? "failed" : "archived";
			mock.add(`set/${i}.txt`, Buffer.from("x"), {
				state,
				received_at: new Date(Date.now() - i * 1000).toISOString(),
			});
		}
	},
	async ({ page }) => {
		const count = (wanted: number): Promise<void> =>
			until(`${wanted} rows`, async () => (await page.locator("tbody tr").count()) === wanted);
		await count(100);
		const more = page.getByRole("button", { name: "Show more" });
		await more.click();
		await count(200);
		await more.click();
		await count(250);
		await more.waitFor({ state: "hidden" });
		await page.getByRole("button", { name: /^Failed/ }).click();
		await count(5);
		assert.equal(await page.locator("[data-filter=failed] .count").textContent(), "5");
		await page.getByLabel(/Find uploads/).fill("set/10");
		await count(1);
		await page.getByLabel(/Find uploads/).fill("nowhere");
		await page.getByText("Nothing matches").waitFor();
		await page.getByRole("button", { name: "Show all uploads" }).click();
		await count(100);
	},
);

test(
	"names that mean harm are text wherever they are shown",
	fillHostile,
	async ({ page, mock }) => {
		await page.getByText("__proto__").first().waitFor();
		const dialog = page.getByRole("dialog");
		assert.equal(mock.uploads.length, hostileNames.length);
		for (const { id } of mock.uploads) {
			await page.evaluate((id) => {
				location.hash = id;
			}, id);
			await dialog.getByText("Attempts").waitFor();
			await dialog.getByText("Raw JSON", { exact: true }).click();
			const raw = /[\u202a-\u202e\u2066-\u2069\u200f]/;
			const shown = (await page.locator("body").textContent()) ?? "";
			assert.doesNotMatch(shown, raw, "a character that moves others is in the page");
			await page.keyboard.press("Escape");
			await dialog.waitFor({ state: "hidden" });
		}
		for (const name of hostileNames) await choose(page, file(name.replaceAll(/[/\0]/g, "_")));
		await until("all are kept", () => mock.uploads.length === 2 * hostileNames.length);
		await until(
			"and shown",
			async () => (await page.locator("tbody tr").count()) === 2 * hostileNames.length,
		);
		assert.equal(await page.evaluate(() => "pwned" in window), false);
		assert.equal(await page.locator("img, iframe, object, embed, [onerror], [style]").count(), 0);
		assert.equal(await page.locator("script").count(), 1);
	},
);

anyTest("the policy the page is served with stops a script that got in", { skip }, () =>
	visit(nothing, async ({ page, complaints }) => {
		await page.evaluate(() => {
			const script = document.createElement("script");
			script.textContent = "window.pwned = 1";
			document.body.append(script);
		});
		await until("it is reported", () => complaints.some((words) => words.includes("script-src")));
		assert.equal(await page.evaluate(() => "pwned" in window), false);
		const sent = page.evaluate(() => fetch("http://127.0.0.1:1/").then(String, () => "stopped"));
		assert.equal(await sent, "stopped");
		await until("so is this", () => complaints.some((words) => words.includes("connect-src")));
	}),
);

const busy = {
	name: "busy <b>",
	fault: "SlowDown",
	took_effect: false,
	operations: ["PutObject"],
	words: "503 SlowDown to PutObject, every 3rd time",
	matched: 10,
	struck: 3,
};

test(
	"while faults are on the page says which, and how often each has struck, and stops when they are off",
	(mock) => {
		mock.faultRules = [busy];
	},
	async ({ page, mock }) => {
		const bar = page.getByRole("region", { name: "Faults" });
		await bar.waitFor();
		assert.match((await bar.textContent()) ?? "", /Faults are switched on/);
		await bar.getByText("1 rule, struck 3 times").click();
		await bar
			.getByText("busy <b>: 503 SlowDown to PutObject, every 3rd time. Struck 3 times of 10.")
			.waitFor();
		await until("it is said", async () =>
			((await page.getByRole("status").first().textContent()) ?? "").includes("on purpose"),
		);
		mock.faultRules = [
			{ ...busy, matched: 12, struck: 4 },
			{ ...busy, name: "second" },
		];
		await bar.getByText("2 rules, struck 7 times").waitFor();
		// What was opened stays open, and the rule's line is the same one.
		await bar.getByText("Struck 4 times of 12").waitFor();
		mock.faultRules = [];
		await bar.waitFor({ state: "hidden" });
	},
);

test(
	"a page whose reader is not told of faults asks once and shows nothing",
	(mock) => {
		mock.faultRules = null;
		// Without a stream the list is asked for every second.
		mock.faults.noEvents = true;
	},
	async ({ page, mock }) => {
		await page.getByText("No uploads yet").waitFor();
		await until("it has asked", async () => mock.faultsAsked === 1);
		assert.equal(await page.getByRole("region", { name: "Faults" }).count(), 0);
		const listings = mock.listings;
		await until("a while has passed", async () => mock.listings > listings + 4);
		assert.equal(mock.faultsAsked, 1);
	},
);
