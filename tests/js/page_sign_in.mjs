// Signs in on our page with a wrong token and then the right one, sends files, and looks where the token went.
import { basename } from "node:path";
import { withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";
import { choose, inState, openOurs } from "./our_page.mjs";

await withBrowser(async (browser) => {
  const sentToS3 = [];
  const { page, context, failures } = await openOurs(browser, { ignoreHTTPSErrors: asked.insecure });
  context.on("request", (request) => {
    const isOurs = new URL(request.url()).origin === new URL(asked.page).origin;
    if (!isOurs && "authorization" in request.headers()) sentToS3.push(request.method());
  });
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  const signIn = async (token) => {
    await dialog.getByLabel("Access token").fill(token);
    await dialog.getByRole("button", { name: "Sign in" }).click();
  };
  await dialog.waitFor();
  await Promise.all([page.waitForResponse((response) => response.status() === 401), signIn(asked.wrong)]);
  await dialog.waitFor();
  await signIn(asked.token);
  await dialog.waitFor({ state: "hidden" });
  await choose(page, asked.files);
  for (const file of asked.files) await inState(page, basename(file), "archived");
  const kept = await page.evaluate((token) => JSON.stringify({ ...localStorage }).includes(token), asked.token);
  console.log(JSON.stringify({ sentToS3: kept ? ["kept for ever"] : sentToS3, complaints: failures() }));
});
