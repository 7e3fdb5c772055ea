/** How far an attempt said it is, in a unit of its function's own. */

import type { Upload } from "../api.ts";
import { attribute, h } from "../dom.ts";
import { plain } from "../names.ts";
import { named } from "./name.ts";

export type Progress = NonNullable<Upload["progress"]>;

/** The part that is done, 0 to 1; nothing where the whole is not known. */
export const share = ({ done, total }: Progress): number | null =>
	total === null || total === 0 ? null : Math.min(done / total, 1);

/** `3 of 12 pages read`. */
export function howFar({ done, total, words }: Progress): string {
	const count = (n: number): string => n.toLocaleString("en");
	const counted = total === null ? count(done) : `${count(done)} of ${count(total)}`;
	return `${counted} ${words}`.trim();
}

/** The same with the share, which is what a glance looks for: `25 % · 3 of 12 pages read`. */
export function glance(progress: Progress): string {
	const part = share(progress);
	return part === null ? howFar(progress) : `${Math.floor(part * 100)} % · ${howFar(progress)}`;
}

/** Shows in a bar how far it is. */
export function fillBar(bar: HTMLProgressElement, part: number, what: string, name: string): void {
	bar.value = part;
	attribute(bar, "aria-label", `${what} of ${plain(name)}`);
}

/** The words, below a bar where the whole is known. */
export function progressOf(progress: Progress, name: string): HTMLElement {
	const part = share(progress);
	const bar = h("progress", { max: "1" });
	if (part !== null) fillBar(bar, part, "Processed", name);
	return h(
		"div",
		{ class: "how-far" },
		part === null ? null : bar,
		h("p", {}, named(glance(progress))),
	);
}
