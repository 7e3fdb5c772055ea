// Our own page as a person uses it: what to press, and what it shows.
import { openPage, until } from "./browser.mjs";
import { asked } from "./client.mjs";

/** Opens the page of the server. What the browser itself says of failed requests is no complaint of the page. */
export async function openOurs(browser, options) {
  const opened = await openPage(browser, options);
  // Its chooser cannot be answered from outside; without it the page opens the plain one, as in other browsers.
  await opened.page.addInitScript(() => Reflect.deleteProperty(window, "showOpenFilePicker"));
  await opened.page.goto(asked.page);
  await opened.page.getByRole("heading", { name: "Two Buckets" }).waitFor();
  return { ...opened, failures: () => opened.complaints.filter((it) => !it.startsWith("Failed to load resource")) };
}

/** The two ways that files are sent, by the words on the page. */
export const WAYS = { signed: "Signed URLs", credentials: "One-file credentials" };

export const chooseWay = (page, way) => page.getByRole("radio", { name: WAYS[way] }).check();

export const choose = (page, files) => page.setInputFiles("input[type=file]", files);

export const row = (page, name) =>
  page.locator("tbody tr").filter({ has: page.getByRole("button", { name, exact: true }) });

export const inState = (page, name, state, how) =>
  row(page, name).and(page.locator(`[data-state=${state}]`)).first().waitFor(how);

/** How many uploads the page counts in a state. */
export async function counted(page, state) {
  const text = await page.locator(`[data-filter=${state}] .count`).textContent({ timeout: 5_000 }).catch(() => "0");
  return Number(text.replace(/\D/g, "")) || 0;
}

/** What the page says of the file's checksum, here and in the archive. */
export async function integrity(page, name) {
  await row(page, name).getByRole("button", { name, exact: true }).click();
  const dialog = page.getByRole("dialog");
  const shown = dialog.locator(".integrity");
  await shown.waitFor();
  const found = { is: await shown.getAttribute("data-is"), text: await shown.textContent() };
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  return found;
}

/** The parts that were put and answered for, in the order they were sent, from the request at `from` on. */
export const partsPut = (requests, from = 0) =>
  requests.slice(from).filter(({ method, part, status }) => method === "PUT" && part && status === 200).map((it) => it.part);

/** Makes the browser's connection slow enough that there is a middle. */
export async function slow(page, bytesPerS) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  const rate = (uploadThroughput) =>
    session.send("Network.emulateNetworkConditions", {
      offline: false,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput,
    });
  await rate(bytesPerS);
  return { fast: () => rate(-1) };
}

/** Chooses a file and comes back when some of its parts are there, with others to come. */
export async function halfSent(page, requests, file, parts = 2) {
  const connection = await slow(page, 10_000_000);
  await choose(page, file);
  await until(`${parts} parts are there`, () => partsPut(requests).length >= parts);
  return connection;
}
