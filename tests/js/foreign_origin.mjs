// A page of another origin tries to use the API and S3 as our own page may; prints what the browser let it do.
import { readFile } from "node:fs/promises";
import { api } from "./api.mjs";
import { openOn, openPage, withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";

const HTML = "<!doctype html><title>Another</title>";

/** Tries one request in the page; "done" if its answer could be read and was a success. */
const attempt = (page, url, how) =>
  page.evaluate(
    async ([url, how]) => {
      try {
        const answer = await fetch(url, how);
        return answer.ok && answer.type !== "opaque" ? "done" : "refused";
      } catch {
        return "refused";
      }
    },
    [url, how],
  );

await withBrowser(async (browser) => {
  const { page } = await openPage(browser);
  const json = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const plain = (body) => ({ method: "POST", mode: "no-cors", body: JSON.stringify(body) });
  const wanted = { key: "foreign.bin", type: "text/plain" };
  await openOn(page, asked.from_, HTML);
  const results = { api: {}, s3: {} };
  for (const path of ["/api/signedurl", "/api/credentials", "/api/form", "/api/s3/sign", "/api/s3/multipart"]) {
    results.api[path] = await attempt(page, asked.web + path, json(wanted));
    results.api[`${path} as plain text`] = await attempt(page, asked.web + path, plain(wanted));
  }
  for (const path of ["/api/server", "/api/uploads", "/api/s3/sts", "/api/events", "/api/s3/params?filename=x"]) {
    results.api[path] = await attempt(page, asked.web + path, {});
  }
  // Even with a URL that is good: the browser asks S3 for this origin, and S3 does not know it.
  const body = (await readFile(asked.file)).toString("latin1");
  const granted = () => api("/api/signedurl", wanted);
  const put = ({ headers }) => ({ method: "PUT", headers, body });
  let grant = await granted();
  results.s3.put = await attempt(page, grant.url, put(grant));
  results.s3.get = await attempt(page, `${new URL(grant.url).origin}/archive?list-type=2`, {});
  await openOn(page, asked.web, HTML);
  grant = await api("/api/signedurl", { ...wanted, key: "own.bin" });
  results.own = await attempt(page, grant.url, put(grant));
  console.log(JSON.stringify(results));
});
