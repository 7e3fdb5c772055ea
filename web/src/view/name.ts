/** A file name or key as an element: set apart from the direction of the text around it. */

import { h } from "../dom.ts";
import { pieces } from "../names.ts";

export function named(name: string, className = ""): HTMLElement {
	const isolated = h("bdi", { dir: "auto", class: className || undefined });
	for (const piece of pieces(name)) {
		isolated.append(
			piece.hidden
				? h(
						"span",
						{ class: "hidden-character", title: "a character that is not shown" },
						piece.text,
					)
				: piece.text,
		);
	}
	return isolated;
}

/** Lines of a log: line breaks and tabs are meant, everything else that would act on the page is shown. */
export function logLines(text: string): Node[] {
	return text.split("\n").flatMap((line, at) => {
		const parts = line.replace(/\r$/, "").split("\t");
		const shown = parts.flatMap((part, tab) => [
			...(tab === 0 ? [] : [document.createTextNode("\t")]),
			...(part === "" ? [] : [named(part)]),
		]);
		return at === 0 ? shown : [document.createTextNode("\n"), ...shown];
	});
}

/** Text of several lines, whose own line breaks are meant. */
export function lines(text: string): Node[] {
	return text
		.split("\n")
		.flatMap((line, at) =>
			at === 0 ? [named(line)] : [document.createTextNode("\n"), named(line)],
		);
}
