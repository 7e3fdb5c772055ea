/** What the browser keeps by name, or does not: storage can be switched off, and the page goes on without. */

type Kind = "local" | "session";

const place = (kind: Kind): Storage => (kind === "local" ? localStorage : sessionStorage);

export function kept(kind: Kind, name: string): string | null {
	try {
		return place(kind).getItem(name);
	} catch {
		return null;
	}
}

/** Keeps a value, or with `null` forgets it. */
export function keep(kind: Kind, name: string, value: string | null): void {
	try {
		if (value === null) place(kind).removeItem(name);
		else place(kind).setItem(name, value);
	} catch {
		// Not remembered, which is all that is lost.
	}
}
