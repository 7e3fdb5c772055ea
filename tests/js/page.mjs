// Sends files on the page as a person does, waits until each is archived, downloads each from its detail view, and
// prints the SHA-256 of what was downloaded and everything the browser complained about.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { chromium } from "playwright-core";
import { asked } from "./client.mjs";

const browser = await chromium.launch({ executablePath: asked.chromium, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage({ locale: "en-GB", viewport: { width: 1280, height: 860 } });
  page.setDefaultTimeout(60_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(asked.page);
  await page.setInputFiles("input[type=file]", asked.files);
  const downloads = {};
  for (const file of asked.files) {
    const name = basename(file);
    const row = page.getByRole("row").filter({ has: page.getByRole("button", { name, exact: true }) });
    await row.getByText("Archived", { exact: true }).waitFor();
    await row.getByRole("button", { name, exact: true }).click();
    const link = page.getByRole("link", { name: "Download" });
    const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
    const bytes = await readFile(await download.path());
    downloads[name] = createHash("sha256").update(bytes).digest("hex");
    await page.keyboard.press("Escape");
  }
  const title = await page.title();
  console.log(JSON.stringify({ downloads, complaints, title }));
} finally {
  await browser.close();
}
