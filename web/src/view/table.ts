/** The table of uploads: one tab stop, arrow keys move between rows, Enter opens. */

import { attribute, children, h } from "../dom.ts";
import type { Row } from "../rows.ts";
import { type RowActions, RowView } from "./row.ts";

const headings = [
	["file", "Name"],
	["state", "State"],
	["size", "Size"],
	["type", "Type"],
	["took", "Took"],
	["received", "Received"],
	["sha", "SHA-256"],
] as const;

export class Table {
	readonly element: HTMLTableElement;
	private readonly body = h("tbody", { role: "rowgroup" });
	private readonly views = new Map<string, RowView>();
	private order: string[] = [];
	/** The row that Tab comes to. */
	private current = "";

	constructor(private readonly actions: RowActions) {
		const heads = headings.map(([name, heading]) =>
			h("th", { role: "columnheader", scope: "col", class: name }, heading),
		);
		heads.push(
			h(
				"th",
				{ role: "columnheader", scope: "col", class: "actions" },
				h("span", { class: "visually-hidden" }, "Actions"),
			),
		);
		this.element = h(
			"table",
			{ role: "table", class: "uploads" },
			h("caption", { class: "visually-hidden" }, "Uploads. Arrow keys move, Enter opens."),
			h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...heads)),
			this.body,
		);
		this.body.addEventListener("keydown", (event) => this.key(event));
		this.body.addEventListener("focusin", (event) => {
			// A button of another row's leaves it: Tab goes on from there to the row that it would have come to.
			for (const [id, view] of this.views) if (view.opener === event.target) this.tabTo(id);
		});
	}

	show(rows: readonly Row[], now: number): void {
		const hadFocus = this.order.indexOf(this.focused() ?? "");
		const order = rows.map((row) => row.id);
		const wanted = new Set(order);
		for (const id of this.views.keys()) if (!wanted.has(id)) this.views.delete(id);
		const elements = rows.map((row) => {
			let view = this.views.get(row.id);
			if (!view) {
				view = new RowView(row, this.actions);
				this.views.set(row.id, view);
			}
			view.update(row, now);
			return view.element;
		});
		this.order = order;
		children(this.body, elements);
		if (!wanted.has(this.current)) this.tabTo(order[0] ?? "");
		// The focused row left the list: stay near its place instead of falling to the page's top.
		if (hadFocus >= 0 && this.focused() === null) {
			this.focus(order[Math.min(hadFocus, order.length - 1)]);
		}
	}

	focus(id: string | undefined): void {
		if (id !== undefined) this.views.get(id)?.opener.focus();
	}

	private focused(): string | null {
		const at = document.activeElement;
		if (!at || !this.body.contains(at)) return null;
		for (const [id, view] of this.views) if (view.element.contains(at)) return id;
		return null;
	}

	private tabTo(id: string): void {
		if (id === this.current) return;
		const old = this.views.get(this.current);
		if (old) attribute(old.opener, "tabindex", "-1");
		this.current = id;
		const view = this.views.get(id);
		if (view) attribute(view.opener, "tabindex", "0");
	}

	private key(event: KeyboardEvent): void {
		const at = this.order.indexOf(this.focused() ?? "");
		if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
		const to = {
			ArrowDown: at + 1,
			ArrowUp: at - 1,
			Home: 0,
			End: this.order.length - 1,
		}[event.key];
		if (to === undefined) return;
		event.preventDefault();
		this.focus(this.order[Math.max(0, Math.min(to, this.order.length - 1))]);
	}
}
