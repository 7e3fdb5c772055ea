/** Screenshots of every designed state, in both themes and at phone width, for people to judge. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import {
	type Chosen,
	choose,
	chromiumPath,
	closeBrowser,
	inState,
	shot,
	shotsFolder,
	visit,
} from "./browser.ts";
import { fill, fillHostile } from "./scene.ts";

const skip = chromiumPath ? false : "chromium not found";
if (skip) console.log(`skipped: ${skip}`);

after(async () => {
	await closeBrowser();
	if (shotsFolder()) console.log(`screenshots are in ${shotsFolder()}`);
});

/** The least contrast of text to what is behind it: WCAG 2.2, level AA. */
const contrastMin = 4.5;

/** Text has contrast, nothing is wider than the window, and every control has a name. */
async function judge(page: Page): Promise<void> {
	const found = await page.evaluate((contrastMin) => {
		const problems: string[] = [];
		const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
		if (!canvas) throw new Error("no canvas to mix colours on");
		/** The colour that results from painting these, one over the other. */
		const mix = (colours: string[]): number[] => {
			canvas.clearRect(0, 0, 1, 1);
			for (const colour of colours) {
				canvas.fillStyle = colour;
				canvas.fillRect(0, 0, 1, 1);
			}
			return [...canvas.getImageData(0, 0, 1, 1).data];
		};
		const luminance = (colour: number[]): number => {
			const [r = 0, g = 0, b = 0] = colour.map((value) => {
				const share = value / 255;
				return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
			});
			return 0.2126 * r + 0.7152 * g + 0.0722 * b;
		};
		const top = [...document.querySelectorAll("dialog[open]")].pop() ?? document.body;
		for (const element of top.querySelectorAll<HTMLElement>("*")) {
			const own = [...element.childNodes].some(
				(node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim(),
			);
			if (
				!own ||
				!element.checkVisibility() ||
				element.closest(".visually-hidden, dialog:not([open])")
			)
				continue;
			const behind: string[] = [];
			for (let at: Element | null = element; at; at = at.parentElement) {
				behind.unshift(getComputedStyle(at).backgroundColor);
			}
			const back = luminance(mix(behind));
			const front = luminance(mix([...behind, getComputedStyle(element).color]));
			const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
			if (contrast < contrastMin) {
				problems.push(
					`contrast ${contrast.toFixed(2)}: ${element.className} ${element.textContent}`,
				);
			}
		}
		for (const control of top.querySelectorAll("button, a[href]")) {
			if (!control.textContent?.trim() && !control.getAttribute("aria-label")) {
				problems.push(`no name: ${control.outerHTML}`);
			}
		}
		for (const box of [document.documentElement, ...document.querySelectorAll("dialog[open]")]) {
			if (box.scrollWidth > box.clientWidth) {
				problems.push(`${box.tagName} is ${box.scrollWidth} wide in ${box.clientWidth}`);
			}
		}
		return problems;
	}, contrastMin);
	assert.deepEqual(found, []);
}

/** A record as the page keeps it of a file with a handle that wants leave to be read. */
async function rememberHandle(): Promise<void> {
	const root = await navigator.storage.getDirectory();
	const handle = await root.getFileHandle("interview-long-version.wav", { create: true });
	const base = await new Promise<IDBDatabase>((resolve) => {
		const request = indexedDB.open("two-buckets", 1);
		request.onsuccess = () => resolve(request.result);
	});
	const record = {
		id: "here-earlier",
		slot: 0,
		name: handle.name,
		folder: "interviews/",
		size: 734_003_200,
		type: "audio/wav",
		lastModified: 1,
		addedAt: Date.now() - 90_000,
		sequence: 90,
		uppyId: null,
		key: null,
		handle,
		isPaused: false,
	};
	const writing = base.transaction("files", "readwrite");
	writing.objectStore("files").put(record);
	// A reload ends what is not written yet.
	await new Promise<void>((resolve) => {
		writing.oncomplete = () => resolve();
	});
	base.close();
}

/** One file chosen twice, which no two choices of a test's own would be. */
async function sameTwice(page: Page, { name, buffer }: Chosen): Promise<void> {
	await page.evaluate(
		async ({ name, text }) => {
			for (let times = 0; times < 2; times += 1) {
				const transfer = new DataTransfer();
				transfer.items.add(new File([text], name, { lastModified: 1 }));
				const input = document.querySelector<HTMLInputElement>("input[type=file]");
				if (!input) return;
				input.files = transfer.files;
				input.dispatchEvent(new Event("change"));
			}
		},
		{ name, text: buffer.toString() },
	);
}

const desktop = { width: 1280, height: 860 };
const phone = { width: 390, height: 844 };

for (const colorScheme of ["light", "dark"] as const) {
	for (const [size, viewport] of Object.entries({ desktop, phone })) {
		const options = { colorScheme, viewport };
		const name = (state: string): string => `${state}-${size}-${colorScheme}`;

		test(`every state can be read and fits the window: ${size}, ${colorScheme}`, {
			skip,
		}, async () => {
			await visit(
				() => {},
				async ({ page }) => {
					await page.getByText("No uploads yet").waitFor();
					await judge(page);
					await shot(page, name("empty"));
				},
				options,
			);
			await visit(
				fill,
				async ({ page, mock }) => {
					await page.getByText("harbour.jpg").waitFor();
					mock.faults.bytesPerS = 2_500_000;
					await choose(
						page,
						{ name: "quarry.mp4", mimeType: "video/mp4", buffer: Buffer.alloc(48_000_000) },
						{ name: "plan.pdf", mimeType: "application/pdf", buffer: Buffer.alloc(14_000_000) },
						...["a", "b", "c"].map((letter) => ({
							name: `sheet-${letter}.csv`,
							mimeType: "text/csv",
							buffer: Buffer.alloc(12_000_000),
						})),
					);
					const moving = page.locator("tr[data-state=sending] .note", { hasText: "left" });
					await moving.first().waitFor();
					await page.locator(".total .line", { hasText: "left" }).waitFor();
					await judge(page);
					await shot(page, name("list"));
					await page.getByRole("button", { name: "Pause quarry.mp4" }).click();
					await page.getByRole("button", { name: "Cancel plan.pdf" }).click();
					await inState(page, "quarry.mp4", "paused");
					await judge(page);
					await shot(page, name("paused"));
					await page.context().setOffline(true);
					await page.locator("tr .note", { hasText: "You are offline" }).first().waitFor();
					await page.locator(".away", { hasText: "You are offline." }).waitFor();
					await judge(page);
					await shot(page, name("offline"));
					await page.context().setOffline(false);
					await page.locator(".away", { hasText: "You are offline." }).waitFor({ state: "hidden" });
					await page.getByRole("button", { name: "Cancel all" }).click();
					await page.getByRole("radio", { name: "One-file credentials" }).check();
					await page.getByRole("button", { name: "harbour.jpg", exact: true }).click();
					await page.getByText("Attempts").waitFor();
					await judge(page);
					await shot(page, name("detail"));
					await page.keyboard.press("Escape");
					await page.getByRole("button", { name: "backup-nov.zip", exact: true }).click();
					await page.getByText("ran longer").waitFor();
					await judge(page);
					await shot(page, name("failed"));
					await page.keyboard.press("Escape");
					await page.getByRole("button", { name: "orders-2026-11.csv", exact: true }).focus();
					await judge(page);
					await shot(page, name("jobs"));
					await page.getByRole("button", { name: "orders-2026-11.csv", exact: true }).click();
					await page.getByText("the delimiter is a semicolon").waitFor();
					await judge(page);
					await shot(page, name("job"));
					await page.getByRole("button", { name: "Cancel job", exact: true }).click();
					await page.getByRole("alertdialog").getByText("It stops at once").waitFor();
					await judge(page);
					await shot(page, name("job-asked"));
					await page.keyboard.press("Escape");
					await page.keyboard.press("Escape");
					await mock.go();
					await page.getByText("Server not reachable").waitFor();
					await page.getByText(/Retrying in/).waitFor();
					await judge(page);
					await shot(page, name("away"));
					await mock.come();
				},
				options,
			);
			await visit(
				(mock) => {
					fill(mock);
					mock.limits = { size_bytes_max: 5e9, types: ["text/*", "image/*", "application/pdf"] };
				},
				async ({ page }) => {
					await page.getByText("You may send only").waitFor();
					const pdf = { name: "minutes.pdf", mimeType: "application/pdf" };
					const chosen = { ...pdf, buffer: Buffer.from("minutes of the meeting") };
					await choose(page, chosen, { ...chosen, name: "draft.spoiled", mimeType: "text/plain" });
					await choose(page, { ...chosen, name: "film.mkv", mimeType: "video/x-matroska" });
					await inState(page, "minutes.pdf", "archived");
					await page.getByText("Differs from the file you sent").waitFor();
					await judge(page);
					await shot(page, name("told"));
					await page.getByRole("button", { name: "minutes.pdf", exact: true }).click();
					await page.getByText("Equal from your browser to the archive").waitFor();
					await page.getByText("Attempts").waitFor();
					await judge(page);
					await shot(page, name("equal"));
					await page.keyboard.press("Escape");
					await page.getByRole("button", { name: "draft.spoiled", exact: true }).click();
					await page.getByText("The archive does not hold the file").waitFor();
					await judge(page);
					await shot(page, name("different"));
					await page.keyboard.press("Escape");
				},
				options,
			);
			await visit(
				fill,
				async ({ page, mock }) => {
					await page.addInitScript(() => {
						Object.assign(FileSystemFileHandle.prototype, {
							queryPermission: async () => "prompt",
						});
					});
					await page.getByText("harbour.jpg").waitFor();
					mock.faults.bytesPerS = 14_000_000;
					await choose(page, {
						name: "quarry.mp4",
						mimeType: "video/mp4",
						buffer: Buffer.alloc(48_000_000),
					});
					await page.locator("tr .note", { hasText: /^[3-9]\d %/ }).waitFor();
					await page.evaluate(rememberHandle);
					await page.reload();
					await page.getByText("Choose the file again to go on").waitFor();
					await page.getByText("Let the browser read the file").waitFor();
					await page.getByText("asks for your leave").waitFor();
					await judge(page);
					await shot(page, name("wanted"));
					await page.getByRole("button", { name: "Cancel all" }).click();
					const letter = Buffer.from("the same letter");
					const twice = { name: "letter.txt", mimeType: "text/plain", buffer: letter };
					await sameTwice(page, twice);
					await page.getByText("is not sent twice").waitFor();
					await judge(page);
					await shot(page, name("twice"));
				},
				options,
			);
			await visit(
				(mock) => {
					mock.token = "secret";
				},
				async ({ page }) => {
					await page.getByText("This server asks for a token.").waitFor();
					await page.getByLabel("Access token").fill("something");
					await judge(page);
					await shot(page, name("sign-in"));
				},
				options,
			);
			await visit(
				fillHostile,
				async ({ page }) => {
					await page.getByText("__proto__").first().waitFor();
					await judge(page);
					await shot(page, name("hostile"));
					await page.getByText("two buckets").last().click();
					await page.getByText("Attempts").waitFor();
					await judge(page);
					await shot(page, name("hostile-detail"));
				},
				options,
			);
		});
	}
}
