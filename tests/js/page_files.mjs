// Sends files on our page in one of its ways and waits until each is archived; prints every request, and for the files
// asked for what the page says of their checksums.
import { basename } from "node:path";
import { until, withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";
import { choose, chooseWay, inState, integrity, openOurs } from "./our_page.mjs";

await withBrowser(async (browser) => {
  const { page, requests, failures } = await openOurs(browser);
  await chooseWay(page, asked.way);
  await choose(page, asked.files);
  const names = asked.names ?? asked.files.map((file) => basename(file));
  for (const name of names) await inState(page, name, "archived");
  const checked = {};
  for (const name of asked.check ?? []) checked[name] = await integrity(page, name);
  await until("every answer is there", () => requests.every((it) => it.status || it.failed || it.path === "/api/events"));
  const rows = await page.locator("tbody tr").count();
  console.log(JSON.stringify({ requests, checked, rows, complaints: failures() }));
});
