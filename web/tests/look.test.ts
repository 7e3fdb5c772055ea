/** Screenshots of every designed state, in both themes and at phone width, for people to judge. */

import { after, test } from "node:test";
import { chromiumPath, closeBrowser, shot, shotsFolder, visit } from "./browser.ts";
import { fill, fillHostile } from "./scene.ts";

const skip = chromiumPath ? false : "chromium not found";
if (skip) console.log(`skipped: ${skip}`);

after(async () => {
	await closeBrowser();
	if (shotsFolder()) console.log(`screenshots are in ${shotsFolder()}`);
});

const desktop = { width: 1280, height: 860 };
const phone = { width: 390, height: 844 };

for (const colorScheme of ["light", "dark"] as const) {
	for (const [size, viewport] of Object.entries({ desktop, phone })) {
		const options = { colorScheme, viewport };
		const name = (state: string): string => `${state}-${size}-${colorScheme}`;

		test(`the page has no complaints when looked at: ${size}, ${colorScheme}`, {
			skip,
		}, async () => {
			await visit(
				() => {},
				async ({ page }) => {
					await page.getByText("No uploads yet").waitFor();
					await shot(page, name("empty"));
				},
				options,
			);
			await visit(
				fill,
				async ({ page, mock }) => {
					await page.getByText("harbour.jpg").waitFor();
					mock.faults.bytesPerS = 1_500_000;
					await page.setInputFiles("input[type=file]", [
						{ name: "quarry.mp4", mimeType: "video/mp4", buffer: Buffer.alloc(4_000_000) },
						{ name: "plan.pdf", mimeType: "application/pdf", buffer: Buffer.alloc(6_000_000) },
						...["a", "b", "c"].map((letter) => ({
							name: `sheet-${letter}.csv`,
							mimeType: "text/csv",
							buffer: Buffer.alloc(3_000_000),
						})),
					]);
					await page.waitForTimeout(1500);
					await shot(page, name("list"));
					await page.getByRole("button", { name: "harbour.jpg", exact: true }).click();
					await page.getByText("Attempts").waitFor();
					await shot(page, name("detail"));
					await page.keyboard.press("Escape");
					await page.getByRole("button", { name: "backup-nov.zip", exact: true }).click();
					await page.getByText("ran longer").waitFor();
					await shot(page, name("failed"));
					await page.keyboard.press("Escape");
					await mock.go();
					await page.getByText("Server not reachable").waitFor();
					await page.waitForTimeout(1500);
					await shot(page, name("away"));
					await mock.come();
				},
				options,
			);
			await visit(
				fillHostile,
				async ({ page }) => {
					await page.getByText("__proto__").first().waitFor();
					await shot(page, name("hostile"));
					await page.getByText("two buckets").last().click();
					await page.getByText("Attempts").waitFor();
					await shot(page, name("hostile-detail"));
				},
				options,
			);
		});
	}
}
