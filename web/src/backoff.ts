/** How long to wait before trying again. */

export interface Backoff {
	firstMs: number;
	maxMs: number;
}

/**
 * The wait before attempt `failures + 1`, in ms: doubles from `firstMs` to `maxMs`,
 * then shortened by up to a quarter so that many clients do not come back in the same instant.
 */
export function waitMs(
	backoff: Backoff,
	failures: number,
	random: () => number = Math.random,
): number {
	const doubled = backoff.firstMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30);
	return Math.min(doubled, backoff.maxMs) * (1 - random() / 4);
}
