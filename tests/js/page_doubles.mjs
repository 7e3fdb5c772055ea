// Gives our page the same files twice, as a second drop does, and sends one of them again on purpose.
import { basename } from "node:path";
import { until, withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";
import { choose, counted, inState, openOurs } from "./our_page.mjs";

await withBrowser(async (browser) => {
  const { page, failures } = await openOurs(browser);
  await choose(page, asked.files);
  for (const file of asked.files) await inState(page, basename(file), "archived");
  await choose(page, asked.files);
  const notice = page.getByText("not sent twice");
  await notice.waitFor();
  const said = await notice.textContent();
  await page.getByRole("button", { name: "Leave it" }).click();
  await until("both are counted", async () => (await counted(page, "archived")) === asked.files.length);
  await choose(page, [asked.files[0]]);
  await page.getByRole("button", { name: "Send again" }).click();
  await until("it is archived again", async () => (await counted(page, "archived")) === asked.files.length + 1);
  console.log(JSON.stringify({ said, complaints: failures() }));
});
