// What the programs that drive Chromium share: the browser, a page of our own on the server's origin, what the browser
// sent, and a conversation in lines of JSON with the test that started the program.
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { asked } from "./client.mjs";

/** Runs `steps` with a browser, which is closed however they end. */
export async function withBrowser(steps) {
  const browser = await chromium.launch({ executablePath: asked.chromium, args: ["--no-sandbox"] });
  try {
    await steps(browser);
  } finally {
    await browser.close();
    lines.close();
  }
}

/** A page, everything it complained of, and every request that it made to S3 or the API. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(asked.withinMs ?? 60_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // A browser looks for an icon of its own accord.
    const isIcon = message.location().url.endsWith("/favicon.ico");
    if (message.type() === "error" && !isIcon) complaints.push(`${message.text()} ${message.location().url}`);
  });
  return { context, page, complaints, requests: requestsOf(context) };
}

/** Every request to S3 or the API, in the order they began: method, path, parameters, and how each ended. */
export function requestsOf(context) {
  const requests = [];
  const byRequest = new Map();
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (!url.protocol.startsWith("http")) return;
    const entry = {
      method: request.method(),
      origin: url.origin,
      path: decodeURIComponent(url.pathname),
      part: Number(url.searchParams.get("partNumber")) || null,
      query: [...url.searchParams.keys()],
      status: null,
    };
    byRequest.set(request, entry);
    requests.push(entry);
  });
  context.on("response", (response) => {
    const entry = byRequest.get(response.request());
    if (entry) entry.status = response.status();
  });
  context.on("requestfailed", (request) => {
    const entry = byRequest.get(request);
    if (entry) entry.failed = request.failure()?.errorText ?? "failed";
  });
  return requests;
}

/**
 * Opens a page of our own on an origin, so that the origin's rules hold for it. It is written over something that the
 * server itself answered with: a page made up by the browser's tools would count as a public one, which a browser keeps
 * away from this machine's ports before anybody's rules are asked.
 */
export async function openOn(page, origin, html, script) {
  await page.goto(`${origin}/api/openapi.json`);
  await page.evaluate(() => history.replaceState(null, "", "/made-by-the-test"));
  await page.setContent(html);
  if (script) await page.addScriptTag({ content: script });
}

/** A module of this folder with all it imports, as one script for a browser. */
export async function bundle(name) {
  const built = await build({
    entryPoints: [new URL(name, import.meta.url).pathname],
    bundle: true,
    format: "iife",
    platform: "browser",
    target: "es2022",
    write: false,
    logLevel: "error",
  });
  return built.outputFiles[0].text;
}

/** Waits for a condition, never for a time. */
export async function until(what, holds, withinMs = 60_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const seen = await holds();
    if (seen) return seen;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const lines = createInterface({ input: process.stdin });
const heard = lines[Symbol.asyncIterator]();

/** Says something to the test. */
export const say = (what) => console.log(JSON.stringify(what));

/** Says something to the test and waits until it answers. */
export async function ask(what) {
  say(what);
  const { value, done } = await heard.next();
  if (done) throw new Error("the test went away");
  return JSON.parse(value);
}
