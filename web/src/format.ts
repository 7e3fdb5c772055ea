/** Sizes and times as people read them. */

const units = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Decimal units, three significant digits: `0 B`, `999 B`, `1.50 kB`, `12.3 MB`. */
export function bytes(count: number): string {
	let value = count;
	let unit = 0;
	// 999.5 would be shown as 1000.
	while (value >= 999.5 && unit < units.length - 1) {
		value /= 1000;
		unit += 1;
	}
	const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
	return `${value.toFixed(digits)} ${units[unit]}`;
}

/** `14 ms`, `2.4 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function duration(ms: number): string {
	const whole = Math.max(0, Math.round(ms));
	if (whole < 1000) return `${whole} ms`;
	if (whole < 9950) return `${(whole / 1000).toFixed(1)} s`;
	return seconds(Math.round(whole / 1000));
}

/** A span in whole seconds, its two largest units. */
export function seconds(total: number): string {
	const s = Math.max(0, Math.floor(total));
	if (s < 60) return `${s} s`;
	const pair = (large: number, a: string, small: number, b: string): string =>
		small === 0 ? `${large} ${a}` : `${large} ${a} ${small} ${b}`;
	if (s < 3600) return pair(Math.floor(s / 60), "min", s % 60, "s");
	if (s < 86_400) return pair(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
	return pair(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

/** How long ago, for a table: `now`, `12 s ago`, `5 min ago`, `3 h ago`, then the date. */
export function ago(then: number, now: number, locale?: string): string {
	const s = Math.floor((now - then) / 1000);
	if (s < 1) return "now";
	if (s < 60) return `${s} s ago`;
	if (s < 3600) return `${Math.floor(s / 60)} min ago`;
	if (s < 86_400) return `${Math.floor(s / 3600)} h ago`;
	const thisYear = new Date(then).getFullYear() === new Date(now).getFullYear();
	return dates(thisYear ? "day" : "dayOfYear", locale).format(then);
}

/** Date and time to the millisecond, in the reader's zone. */
export const moment = (then: number, locale?: string): string =>
	dates("moment", locale).format(then);

const forms = {
	day: { day: "numeric", month: "short" },
	dayOfYear: { day: "numeric", month: "short", year: "numeric" },
	moment: {
		year: "numeric",
		month: "short",
		day: "numeric",
		hour: "2-digit",
		minute: "2-digit",
		second: "2-digit",
		fractionalSecondDigits: 3,
		hourCycle: "h23",
	},
} as const satisfies Record<string, Intl.DateTimeFormatOptions>;

/** Made once: to make one costs more than all else of a row. */
const made = new Map<string, Intl.DateTimeFormat>();

function dates(form: keyof typeof forms, locale?: string): Intl.DateTimeFormat {
	const name = `${form} ${locale ?? ""}`;
	let format = made.get(name);
	if (!format) {
		format = new Intl.DateTimeFormat(locale, forms[form]);
		made.set(name, format);
	}
	return format;
}

/** `1 file`, `1,204 files`. */
export function plural(count: number, noun: string): string {
	return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Quotes a word for a POSIX shell, so that nothing in it is expanded or run. */
export function shellQuote(word: string): string {
	if (/^[A-Za-z0-9_./:@%+=,-]+$/.test(word)) return word;
	return `'${word.replaceAll("'", `'\\''`)}'`;
}
