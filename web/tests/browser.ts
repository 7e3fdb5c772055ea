/** Opens the built page in Chromium against a stand-in server of its own. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
	type Browser,
	type BrowserContextOptions,
	chromium,
	type Locator,
	type Page,
} from "playwright-core";
import { Mock } from "./mock.ts";

const candidates = [
	process.env.CHROMIUM,
	"/usr/bin/chromium",
	"/usr/bin/chromium-browser",
	"/usr/bin/google-chrome",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** Where Chromium is; `CHROMIUM` in the environment comes first. */
export const chromiumPath = candidates.find((path) => path && existsSync(path));

export interface Visit {
	mock: Mock;
	page: Page;
	/** Everything the page should never do: errors, console errors, breaches of its policy. */
	complaints: string[];
}

let browser: Browser | undefined;

export async function visit(
	prepare: (mock: Mock) => void,
	test: (visit: Visit) => Promise<void>,
	options: BrowserContextOptions = {},
): Promise<void> {
	browser ??= await chromium.launch({
		executablePath: chromiumPath ?? "",
		args: ["--no-sandbox"],
	});
	const mock = new Mock(resolve("dist"));
	await mock.start();
	prepare(mock);
	const context = await browser.newContext({
		viewport: { width: 1280, height: 860 },
		locale: "en-GB",
		...options,
	});
	const page = await context.newPage();
	page.setDefaultTimeout(20_000);
	const complaints: string[] = [];
	page.on("pageerror", (error) => complaints.push(String(error)));
	page.on("console", (message) => {
		// The network failures that tests bring about are logged by the browser itself.
		if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
			complaints.push(message.text());
		}
	});
	await page.addInitScript(() => {
		// A window of the system's that no test can answer; where it is meant, a test brings its own.
		Reflect.deleteProperty(window, "showOpenFilePicker");
		document.addEventListener("securitypolicyviolation", (event) => {
			console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
		});
	});
	try {
		await page.goto(mock.url);
		await test({ mock, page, complaints });
	} finally {
		await context.close();
		await mock.stop();
	}
}

export async function closeBrowser(): Promise<void> {
	await browser?.close();
	browser = undefined;
	if (folder) await rm(folder, { recursive: true });
	folder = undefined;
}

export interface Chosen {
	name: string;
	mimeType: string;
	buffer: Buffer;
}

/** Chooses files on the page, as from a folder: large ones would crawl through the browser's debugger. */
export async function choose(page: Page, ...files: Chosen[]): Promise<void> {
	if (files.reduce((sum, { buffer }) => sum + buffer.length, 0) < 10_000) {
		return page.setInputFiles("input[type=file]", files);
	}
	folder ??= await mkdtemp(join(tmpdir(), "two-buckets-page-files-"));
	const inner = await mkdtemp(join(folder, "chosen-"));
	for (const { name, buffer } of files) await writeFile(join(inner, name), buffer);
	return page.setInputFiles(
		"input[type=file]",
		files.map(({ name }) => join(inner, name)),
	);
}

let folder: string | undefined;

let shots: string | undefined;

/** Saves a screenshot to look at, in `SHOTS` or a folder of the system's temporary one. */
export async function shot(page: Page, name: string): Promise<void> {
	shots ??= process.env.SHOTS ?? (await mkdtemp(join(tmpdir(), "two-buckets-page-")));
	await page.screenshot({ path: join(shots, `${name}.png`) });
}

export const shotsFolder = (): string | undefined => shots;

/** Tests that are visits after which the page must have nothing to complain of. */
export function visits(
	test: typeof import("node:test").test,
): (
	claim: string,
	prepare: (mock: Mock) => void,
	steps: (visit: Visit) => Promise<void>,
	options?: BrowserContextOptions,
) => void {
	const skip = chromiumPath ? false : "chromium not found";
	return (claim, prepare, steps, options) =>
		void test(claim, { skip, timeout: 180_000 }, () =>
			visit(
				prepare,
				async (visit) => {
					await steps(visit);
					assert.deepEqual(visit.complaints, []);
				},
				options,
			),
		);
}

export const nothing = (): void => {};

export const file = (name: string, content: Buffer | string = "content"): Chosen => ({
	name,
	mimeType: "text/plain",
	buffer: Buffer.from(content),
});

/** The row of the file with this name. */
export const row = (page: Page, name: string): Locator =>
	page.locator("tbody tr").filter({ has: page.getByRole("button", { name, exact: true }) });

export const inState = (page: Page, name: string, state: string): Promise<void> =>
	row(page, name)
		.and(page.locator(`[data-state=${state}]`))
		.waitFor();

/** Waits until a condition holds that no element shows. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
	const deadline = Date.now() + 30_000;
	while (!(await holds())) {
		assert.ok(Date.now() < deadline, `never came true: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}
