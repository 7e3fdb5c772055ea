// Sends each file in both of the tutorial's ways from a page like the tutorial's; prints what S3 answered.
import { bundle, openOn, openPage, withBrowser } from "./browser.mjs";
import { asked } from "./client.mjs";

const HTML = '<!doctype html><meta charset="utf-8"><title>Tutorial</title><input type="file" id="chosen">';

await withBrowser(async (browser) => {
  const { page, complaints, requests } = await openPage(browser);
  await openOn(page, asked.web, HTML, await bundle("tutorial_page.mjs"));
  const statuses = {};
  for (const [way, files] of Object.entries(asked.files)) {
    for (const file of files) {
      await page.setInputFiles("#chosen", file);
      statuses[file] = await page.evaluate((way) => window[way](), way);
    }
  }
  console.log(JSON.stringify({ statuses, complaints, requests }));
});
