/** A line of code or a value with a button that copies it. */

import { h, icon, text } from "../dom.ts";
import { lines } from "./name.ts";

const saidForMs = 1500;

export function copyButton(what: string, value: () => string): HTMLButtonElement {
	const label = h("span", { class: "visually-hidden" }, `Copy ${what}`);
	const button = h("button", { type: "button", class: "quiet icon-only", title: `Copy ${what}` });
	button.append(icon("copy"), label);
	button.addEventListener("click", async () => {
		const copied = await navigator.clipboard.writeText(value()).then(
			() => true,
			() => false,
		);
		text(label, copied ? "Copied" : "The browser did not allow copying");
		button.classList.toggle("done", copied);
		setTimeout(() => {
			text(label, `Copy ${what}`);
			button.classList.remove("done");
		}, saidForMs);
	});
	return button;
}

export function codeLine(what: string, code: string): HTMLElement {
	return h(
		"div",
		{ class: "code-line" },
		h("pre", { tabindex: "0", "aria-label": what }, h("code", {}, ...lines(code))),
		copyButton(what, () => code),
	);
}
