// Reloads our page in the middle of a multipart upload, gives it the file again, and prints which parts went when.
import { basename } from "node:path";
import { withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";
import { chooseWay, halfSent, inState, integrity, openOurs, partsPut } from "./our_page.mjs";

await withBrowser(async (browser) => {
  const { page, requests, failures } = await openOurs(browser);
  const name = basename(asked.file);
  await chooseWay(page, asked.way);
  page.on("dialog", (dialog) => dialog.accept());
  const connection = await halfSent(page, requests, asked.file);
  await page.reload();
  await inState(page, name, "wanted");
  const before = partsPut(requests);
  const from = requests.length;
  await connection.fast();
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: `Choose ${name} again` }).click();
  await (await chooser).setFiles(asked.file);
  await inState(page, name, "archived");
  const after = partsPut(requests, from);
  const checked = await integrity(page, name);
  const rows = await page.locator("tbody tr").count();
  const created = requests.filter(({ method, query }) => method === "POST" && query.includes("uploads")).length;
  console.log(JSON.stringify({ before, after, checked, rows, created, complaints: failures() }));
});
