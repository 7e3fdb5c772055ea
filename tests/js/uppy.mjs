// Sends files with stock Uppy in Chromium, on a page of the server's origin; prints what became of each and every request.
import assert from "node:assert/strict";
import { bundle, openOn, openPage, until, withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";

const HTML = '<!doctype html><meta charset="utf-8"><title>Uppy</title><input type="file" multiple>';

/** Lets the server hear one request and loses its answer: what a cut at the worst moment does. */
async function loseAnswer(page, requests, isThat) {
  let lost = false;
  await page.route(
    (url) => !lost && isThat(url),
    async (route) => {
      if (lost || !["POST"].includes(route.request().method())) return route.continue();
      lost = true;
      const answer = await route.fetch();
      requests.push({ lost: route.request().url().split("?")[0], status: answer.status() });
      await route.abort("connectionreset");
    },
  );
}

await withBrowser(async (browser) => {
  const { page, complaints, requests } = await openPage(browser);
  await openOn(page, asked.web, HTML, await bundle("uppy_page.mjs"));
  if (asked.files) await page.setInputFiles("input", asked.files);
  await page.evaluate(([mode, options]) => window.twoBuckets.start(mode, options), [asked.mode, asked]);
  if (asked.begun) await page.evaluate(([size, upload]) => window.twoBuckets.begun(size, upload), asked.begun);
  const isCompletion = (url) =>
    url.pathname.endsWith("/complete") || (url.searchParams.has("uploadId") && !url.searchParams.has("partNumber"));
  if (asked.loseCompletion) await loseAnswer(page, requests, isCompletion);
  if (asked.pauseAfter) await page.evaluate((number) => window.twoBuckets.pauseAfter(number), asked.pauseAfter);
  const sending = page.evaluate(() => window.twoBuckets.upload());
  if (asked.pauseAfter) {
    const paused = await Promise.race([page.waitForFunction(() => window.paused), sending.then(() => null)]);
    if (!paused) throw new Error(`it ended before it was paused: ${JSON.stringify([await sending, requests])}`);
    const before = requests.filter(({ part, method }) => part && method === "PUT").length;
    assert.equal(before, asked.pauseAfter, "nothing is sent while it is paused");
    await page.evaluate(() => window.twoBuckets.resume());
  }
  let result = await sending;
  if (result.failed.length > 0 && asked.retry) result = await page.evaluate(() => window.twoBuckets.retry());
  await until("every request has ended", () => requests.every((it) => it.lost || it.status !== null || it.failed));
  const parts = await page.evaluate(() => window.parts);
  console.log(JSON.stringify({ ...result, parts, requests, complaints }));
});
