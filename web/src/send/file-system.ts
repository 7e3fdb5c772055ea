/** The parts of the File System Access API that only some browsers have. */

interface Permitted {
	queryPermission?(wanted: { mode: "read" }): Promise<PermissionState>;
	requestPermission?(wanted: { mode: "read" }): Promise<PermissionState>;
}

export type FileHandle = FileSystemFileHandle & Permitted;

/** Where the browser can open files so that a page may open them again after a reload. */
export const picker = (): ((options: { multiple: boolean }) => Promise<FileHandle[]>) | undefined =>
	(window as { showOpenFilePicker?: (options: { multiple: boolean }) => Promise<FileHandle[]> })
		.showOpenFilePicker;

export function handleOf(item: DataTransferItem): Promise<FileSystemHandle | null> {
	const { getAsFileSystemHandle } = item as DataTransferItem & {
		getAsFileSystemHandle?: () => Promise<FileSystemHandle | null>;
	};
	return getAsFileSystemHandle?.call(item).catch(() => null) ?? Promise.resolve(null);
}

export const isDirectory = (
	handle: FileSystemHandle | null,
): handle is FileSystemDirectoryHandle & AsyncIterable<[string, FileSystemHandle]> =>
	handle?.kind === "directory";

/** Whether the file may be read without asking the person at the browser. */
export async function mayRead(handle: FileHandle): Promise<boolean> {
	return (await handle.queryPermission?.({ mode: "read" })) !== "prompt";
}

/** Asks for leave to read; only in answer to a click. */
export async function askToRead(handle: FileHandle): Promise<boolean> {
	const answer = await handle.requestPermission?.({ mode: "read" });
	return answer === undefined || answer === "granted";
}
