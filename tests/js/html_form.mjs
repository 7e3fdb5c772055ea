// Sends a file with a plain HTML form, without a line of script on the page; prints what the browser was answered.
import { openOn, openPage, withBrowser } from "./browser.mjs";
import { api } from "./api.mjs";
import { asked } from "./client.mjs";

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

await withBrowser(async (browser) => {
  const { page } = await openPage(browser);
  const answers = [];
  for (const file of asked.files) {
    const { url, fields, key } = await api("/api/form", file.wanted);
    const inputs = Object.entries(fields)
      .map(([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`)
      .join("");
    const html = `<!doctype html><meta charset="utf-8"><form method="post" enctype="multipart/form-data" action="${escape(url)}">${inputs}<input type="file" name="file"><button>Send</button></form>`;
    await openOn(page, asked.web, html);
    await page.setInputFiles("input[type=file]", file.path);
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === "POST"),
      page.click("button"),
    ]);
    answers.push({ key, status: answer.status() });
  }
  console.log(JSON.stringify(answers));
});
