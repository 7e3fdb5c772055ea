/**
 * Names of files and keys, made safe to look at.
 *
 * A name may hold anything. What could move or hide its other characters (controls, direction
 * overrides, invisible ones) is told apart, so that `invoice<RLO>fdp.exe` cannot pass for a PDF.
 */

export interface Piece {
	text: string;
	/** The piece stands for one character that must not act on the text around it. */
	hidden: boolean;
}

const hiddenCharacters =
	/[\p{Cc}\p{Zl}\p{Zp}\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0001}\u{e0020}-\u{e007f}]|\p{Cs}/gu;

const called: Record<string, string> = {
	"\t": "tab",
	"\n": "newline",
	"\r": "return",
	"\0": "NUL",
};

/** The pieces of a name in order; joined they are what a screen reader should say. */
export function pieces(name: string): Piece[] {
	const found: Piece[] = [];
	let from = 0;
	for (const match of name.matchAll(hiddenCharacters)) {
		if (match.index > from) found.push({ text: name.slice(from, match.index), hidden: false });
		const point = match[0].codePointAt(0) ?? 0;
		const text = called[match[0]] ?? `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
		found.push({ text, hidden: true });
		from = match.index + match[0].length;
	}
	if (from < name.length) found.push({ text: name.slice(from), hidden: false });
	return found;
}

/** One line of plain text for titles and announcements: hidden characters in angle brackets. */
export function plain(name: string): string {
	return pieces(name)
		.map((piece) => (piece.hidden ? `⟨${piece.text}⟩` : piece.text))
		.join("");
}

/** The part of a key people call the file's name, and what stands before it. */
export function split(key: string): { folder: string; name: string } {
	const trimmed = key.replace(/\/+$/, "");
	const slash = trimmed.lastIndexOf("/");
	const name = key.slice(slash + 1);
	return name === "" ? { folder: "", name: key } : { folder: key.slice(0, slash + 1), name };
}
