/** Screenshots of every designed state, in both themes and at phone width, for people to judge. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import { choose, chromiumPath, closeBrowser, shot, shotsFolder, visit } from "./browser.ts";
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
		const top = document.querySelector("dialog[open]") ?? document.body;
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
					mock.faults.bytesPerS = 8_000_000;
					await choose(
						page,
						{ name: "quarry.mp4", mimeType: "video/mp4", buffer: Buffer.alloc(24_000_000) },
						{ name: "plan.pdf", mimeType: "application/pdf", buffer: Buffer.alloc(8_000_000) },
						...["a", "b", "c"].map((letter) => ({
							name: `sheet-${letter}.csv`,
							mimeType: "text/csv",
							buffer: Buffer.alloc(6_000_000),
						})),
					);
					const moving = page.locator("tr[data-state=sending] .note", { hasText: "%" });
					await moving.first().waitFor();
					await judge(page);
					await shot(page, name("list"));
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
