// Cuts the network of our page for ten seconds in the middle of an upload in parts; prints which parts went when.
import { basename } from "node:path";
import { until, withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";
import { chooseWay, halfSent, inState, integrity, openOurs, partsPut, row } from "./our_page.mjs";

await withBrowser(async (browser) => {
  const { page, context, requests } = await openOurs(browser);
  const name = basename(asked.file);
  await chooseWay(page, asked.way);
  const connection = await halfSent(page, requests, asked.file);
  const cut = Date.now();
  await context.setOffline(true);
  await inState(page, name, "retrying");
  await row(page, name).getByText("You are offline").waitFor();
  const before = partsPut(requests);
  const from = requests.length;
  await until("ten seconds have passed", () => Date.now() - cut >= 10_000);
  const meanwhile = partsPut(requests, from);
  await context.setOffline(false);
  await connection.fast();
  await inState(page, name, "archived");
  const after = partsPut(requests, from);
  console.log(JSON.stringify({ before, meanwhile, after, checked: await integrity(page, name) }));
});
