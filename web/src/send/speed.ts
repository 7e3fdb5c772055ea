/** Bytes per second over the last few seconds; `null` until there is enough to say. */
export function speedometer(): (bytes: number, nowMs: number) => number | null {
	const windowMs = 5000;
	const seen: { bytes: number; at: number }[] = [];
	return (bytes, at) => {
		// Bytes that were there before (a resumed file) were not sent now.
		const last = seen.at(-1);
		if (last && bytes < last.bytes) seen.length = 0;
		seen.push({ bytes, at });
		while (seen.length > 2 && at - (seen[0]?.at ?? at) > windowMs) seen.shift();
		const first = seen[0];
		if (!first || at - first.at < 250) return null;
		return ((bytes - first.bytes) / (at - first.at)) * 1000;
	};
}
