// Chooses the files of a list on the page and stays there, as a person does, until standard input is closed.
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { asked } from "./client.mjs";

const files = JSON.parse(await readFile(asked.list, "utf8"));
const browser = await chromium.launch({ executablePath: asked.chromium, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage({ locale: "en-GB", viewport: { width: 1280, height: 860 } });
  page.setDefaultTimeout(180_000);
  await page.goto(asked.page);
  await page.setInputFiles("input[type=file]", files);
  for await (const _ of process.stdin) {
    // Nothing is said on it; its end is the sign.
  }
} finally {
  await browser.close();
}
