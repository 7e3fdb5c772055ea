/** Files as they come in: chosen, or dropped, alone or in folders. */

import { h } from "./dom.ts";
import { type FileHandle, handleOf, isDirectory, picker } from "./send/file-system.ts";

export interface Chosen {
	file: File;
	/** The folders it was in, each with a slash after it; empty for a file on its own. */
	folder: string;
	/** For reading it again after a reload, where the browser gives one. */
	handle: FileHandle | null;
}

/** How deep folders are followed: deeper than people nest them, short of any loop. */
export const depthMax = 64;

/** Called for each folder that is nested too deep to be read. */
type TooDeep = (folder: string) => void;

/** Everything in a drop, but for what is in folders nested too deep. To be called in the event itself: afterwards the browser shows nothing. */
export function dropped(transfer: DataTransfer, tooDeep: TooDeep): Promise<Chosen[]> {
	const items = [...transfer.items].filter(({ kind }) => kind === "file");
	const taken = items.map((item) => ({
		entry: item.webkitGetAsEntry?.() ?? null,
		file: item.getAsFile(),
		handle: handleOf(item),
	}));
	return Promise.all(
		taken.map(async ({ entry, file, handle: promised }) => {
			const handle = await promised;
			if (isDirectory(handle)) return walkHandle(handle, `${handle.name}/`, 0, tooDeep);
			if (entry?.isDirectory) {
				return walkEntry(entry as FileSystemDirectoryEntry, `${entry.name}/`, 0, tooDeep);
			}
			return file ? [{ file, folder: "", handle: handle as FileHandle | null }] : [];
		}),
	).then((all) => all.flat());
}

async function walkHandle(
	from: FileSystemDirectoryHandle & AsyncIterable<[string, FileSystemHandle]>,
	folder: string,
	depth: number,
	tooDeep: TooDeep,
): Promise<Chosen[]> {
	const found: Chosen[] = [];
	if (depth > depthMax) {
		tooDeep(folder);
		return found;
	}
	for await (const [name, inner] of from) {
		if (isDirectory(inner)) {
			found.push(...(await walkHandle(inner, `${folder}${name}/`, depth + 1, tooDeep)));
		} else {
			const handle = inner as FileHandle;
			found.push({ file: await handle.getFile(), folder, handle });
		}
	}
	return found;
}

async function walkEntry(
	from: FileSystemDirectoryEntry,
	folder: string,
	depth: number,
	tooDeep: TooDeep,
): Promise<Chosen[]> {
	const found: Chosen[] = [];
	if (depth > depthMax) {
		tooDeep(folder);
		return found;
	}
	const reader = from.createReader();
	// A reader gives some hundred entries a time, and none at the end.
	for (;;) {
		const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
			reader.readEntries(resolve, reject),
		);
		if (some.length === 0) return found;
		for (const entry of some) {
			if (entry.isDirectory) {
				const inner = entry as FileSystemDirectoryEntry;
				found.push(...(await walkEntry(inner, `${folder}${entry.name}/`, depth + 1, tooDeep)));
			} else {
				const file = await new Promise<File>((resolve, reject) =>
					(entry as FileSystemFileEntry).file(resolve, reject),
				);
				found.push({ file, folder, handle: null });
			}
		}
	}
}

/** Files from an `<input>`; those of a chosen folder know their way in it. */
const chosen = (input: HTMLInputElement): Chosen[] =>
	[...(input.files ?? [])].map((file) => {
		const path = file.webkitRelativePath;
		return { file, folder: path.slice(0, path.lastIndexOf("/") + 1), handle: null };
	});

/** A field that hands over what is chosen with it, once for each choice. */
export function field(
	what: "file" | "files" | "folder",
	take: (files: Chosen[]) => void,
): HTMLInputElement {
	const input = h("input", {
		type: "file",
		hidden: true,
		tabindex: "-1",
		multiple: what === "files",
		webkitdirectory: what === "folder",
	});
	input.addEventListener("change", () => {
		take(chosen(input));
		// The same file may be chosen again.
		input.value = "";
	});
	return input;
}

/**
 * Opens the browser's chooser: the one whose files can be read again after a reload where there is
 * one, else that of `field`.
 */
export async function open(
	field: HTMLInputElement,
	take: (files: Chosen[]) => void,
): Promise<void> {
	const pick = field.webkitdirectory ? undefined : picker();
	if (!pick) return field.click();
	try {
		const handles = await pick.call(window, { multiple: field.multiple });
		take(
			await Promise.all(
				handles.map(async (handle) => ({ file: await handle.getFile(), folder: "", handle })),
			),
		);
	} catch (error) {
		// Closed without choosing is no failure; where the chooser is forbidden there is still the plain one.
		if (!(error instanceof DOMException)) throw error;
		if (error.name !== "AbortError") field.click();
	}
}
