/** Elements from code: text is only ever text, and no attribute can carry script or style. */

type Child = Node | string | null | undefined | false;

interface Props {
	[attribute: string]: string | boolean | undefined | Listeners;
	on?: Listeners;
}
type Listeners = { [event: string]: (event: Event) => void };

export function h<K extends keyof HTMLElementTagNameMap>(
	tag: K,
	props: Props = {},
	...children: Child[]
): HTMLElementTagNameMap[K] {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(props)) {
		if (typeof value === "object") {
			for (const [event, listener] of Object.entries(value)) {
				element.addEventListener(event, listener);
			}
		} else attribute(element, name, value);
	}
	element.append(...children.filter((child): child is Node | string => !!child || child === ""));
	return element;
}

export function attribute(
	element: Element,
	name: string,
	value: string | boolean | undefined,
): void {
	if (name === "style" || name.startsWith("on")) throw new Error(`${name} is set from code only`);
	if (value === undefined || value === false) {
		if (element.hasAttribute(name)) element.removeAttribute(name);
	} else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
		element.setAttribute(name, value === true ? "" : value);
	}
}

/** Sets text only where it differs, so that a selection in it and screen readers are left alone. */
export function text(element: Node, value: string): void {
	if (element.textContent !== value) element.textContent = value;
}

/** Makes `children` the children of `parent`, moving and removing as few as it can. */
export function children(parent: Element, wanted: readonly Element[]): void {
	const keep = new Set(wanted);
	for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
	let at = parent.firstElementChild;
	for (const child of wanted) {
		if (child === at) at = at.nextElementSibling;
		else parent.insertBefore(child, at);
	}
}

const paths = {
	cancel: "M4 4l8 8M12 4l-8 8",
	pause: "M5.5 3.5v9M10.5 3.5v9",
	resume: "M5 3.2 12.5 8 5 12.8z",
	file: "M9 1.8H4v12.4h8V4.8zM9 1.8v3h3",
	folder: "M1.8 13V3.5h4.4l1.5 2h6.5V13z",
	equal: "M3 8.5 6.5 12 13 4.5",
	retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v2.3h-2.3",
	download: "M8 2.5v8M4.8 7.5 8 10.7l3.2-3.2M3 13.5h10",
	copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
	search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3l3.2 3.2",
	arrow: "M2.5 8h10.5M9.5 4.5 13 8l-3.5 3.5",
	mark: "M1 4h6L6 12.5H2zM9 4h6l-1 8.5h-4z",
	away: "M8 4.5v4.2M8 11.4v.1M8 1.8 14.8 13.6H1.2z",
} as const;
export type Icon = keyof typeof paths;

const svg = "http://www.w3.org/2000/svg";

/** A 16 by 16 line drawing in the colour of the text; hidden from screen readers. */
export function icon(name: Icon): SVGSVGElement {
	const drawing = document.createElementNS(svg, "svg");
	drawing.setAttribute("viewBox", "0 0 16 16");
	drawing.setAttribute("class", "icon");
	drawing.setAttribute("aria-hidden", "true");
	const line = document.createElementNS(svg, "path");
	line.setAttribute("d", paths[name]);
	drawing.append(line);
	return drawing;
}
