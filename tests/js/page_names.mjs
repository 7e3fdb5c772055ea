// Sends files with awkward names on our page and waits until it counts them all as archived.
import { until, withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";
import { choose, chooseWay, counted, openOurs } from "./our_page.mjs";

await withBrowser(async (browser) => {
  const { page, failures } = await openOurs(browser);
  await chooseWay(page, asked.way);
  await choose(page, asked.files);
  await until("all are archived", async () => (await counted(page, "archived")) === asked.files.length);
  console.log(JSON.stringify({ complaints: failures() }));
});
