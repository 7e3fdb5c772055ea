/** The two ways the page has leave to write to the store, as the reader chose. */

export const ways = ["signed", "credentials"] as const;
export type Way = (typeof ways)[number];

const place = "two-buckets-way";

/** Signing here needs the browser's cryptography, which it gives only to pages it deems secure. */
export const canSignHere = (): boolean => "subtle" in crypto;

export function chosenWay(): Way {
	try {
		const kept = localStorage.getItem(place);
		if (kept === "credentials" && canSignHere()) return kept;
	} catch {
		// Storage is switched off: the first way then, each time.
	}
	return "signed";
}

export function chooseWay(way: Way): void {
	try {
		localStorage.setItem(place, way);
	} catch {
		// Not remembered, which is all that is lost.
	}
}
