// Sends a file in parts on our page while the test kills the server and starts it again; prints which parts went when.
import { basename } from "node:path";
import { ask, say, until, withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";
import { chooseWay, halfSent, inState, integrity, openOurs, partsPut } from "./our_page.mjs";

await withBrowser(async (browser) => {
  const { page, requests } = await openOurs(browser);
  const name = basename(asked.file);
  await chooseWay(page, asked.way);
  const connection = await halfSent(page, requests, asked.file);
  await ask({ half: true });
  const before = partsPut(requests);
  await inState(page, name, "retrying");
  const from = requests.length;
  await connection.fast();
  await ask({ waiting: true });
  await inState(page, name, "archived");
  await until("the server is back on the page", () => page.getByText("Server not reachable.").isHidden());
  say({ done: { before, after: partsPut(requests, from), checked: await integrity(page, name) } });
});
