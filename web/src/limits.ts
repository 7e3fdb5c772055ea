/** What the server takes, told before a byte is sent; the server's own refusal is what counts. */

import type { Server } from "./api.ts";
import { bytes } from "./format.ts";
import { sizeBytesMax } from "./send/part-size.ts";

export type Limits = Server["limits"];

/** What may be sent, in words for beside the place files are dropped; empty where all may. */
export function allowed({ size_bytes_max, types }: Limits): string {
	const parts: string[] = [];
	if (size_bytes_max !== null) parts.push(`up to ${bytes(size_bytes_max)} each`);
	if (types.length > 0) parts.push(types.join(", "));
	return parts.length > 0 ? `Taken here: ${parts.join("; ")}.` : "";
}

/** Why a file would be refused; `null` where nothing is known against it. */
export function refusal(
	{ size, type }: { size: number; type: string },
	{ size_bytes_max, types }: Limits,
): string | null {
	if (size_bytes_max !== null && size > size_bytes_max) {
		return `the file has ${bytes(size)}, and this server takes up to ${bytes(size_bytes_max)} from you`;
	}
	if (size > sizeBytesMax) return "the file is larger than 50 TB, the most any store takes";
	if (types.length > 0 && !types.some((range) => covers(range, type))) {
		return `this server takes ${types.join(", ")} from you, and the file is ${type || "of unknown type"}`;
	}
	return null;
}

function covers(range: string, type: string): boolean {
	const [wanted = "", subtype = ""] = range.toLowerCase().split("/");
	const [main = "", sub = ""] = (type || "application/octet-stream").toLowerCase().split("/");
	return (wanted === "*" || wanted === main) && (subtype === "*" || subtype === sub);
}
