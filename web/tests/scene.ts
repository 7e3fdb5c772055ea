/** Uploads as a busy week leaves them: every state, long reports, and names that mean harm. */

import type { Attempt } from "../src/api.ts";
import type { Mock } from "./mock.ts";

/** Names that would run, hide, move or break something where they are not treated as text. */
export const hostileNames = [
	"<img src=x onerror=window.pwned=1>.png",
	'"><script>window.pwned=1</script>.txt',
	"javascript:window.pwned=1",
	"invoice\u202efdp.exe",
	"left\u2066right\u2069\u200f.txt",
	"שלום עולם (1).pdf",
	"line\nbreak\tand\u0000nul.txt",
	"__proto__",
	"'; rm -rf ~; echo '.sh",
	// biome-ignore lint/suspicious/noTemplateCurlyInString: a template of another language is the point.
	"%2e%2e%2f${7*7}{{7*7}}.txt",
	"🪣🪣 two buckets é e\u0301.txt",
	`${"very-".repeat(40)}long.txt`,
];

export function fill(mock: Mock, now = Date.now()): void {
	const at = (s: number): string => new Date(now - s * 1000).toISOString();
	const attempt = (number: number, s: number, ms: number, given: Partial<Attempt>): Attempt => ({
		number,
		started_at: at(s),
		ended_at: new Date(now - s * 1000 + ms).toISOString(),
		outcome: "succeeded",
		reason: null,
		...given,
	});
	const archived = (key: string, size: number, s: number, ms: number, report = {}): void => {
		mock.add(
			key,
			Buffer.alloc(Math.min(size, 4096), key),
			{
				state: "archived",
				size,
				received_at: at(s),
				started_at: at(s),
				finished_at: new Date(now - s * 1000 + ms).toISOString(),
				...(Object.keys(report).length > 0 ? { report } : {}),
			},
			[attempt(1, s, ms, {})],
		);
	};
	const minted = (name: string, day = "2026-11-23"): string =>
		`${day}/01JDC7M2K4${name.length.toString(36).toUpperCase()}QX8T1ZB5V3R9Y/${name}`;

	const orders = mock.add(
		minted("orders-2026-11.csv"),
		Buffer.from("id,total\n"),
		{
			state: "processing",
			job: true,
			size: 184_300_112,
			received_at: at(9),
			started_at: at(8),
			progress: { done: 1_204_000, total: 3_600_000, words: "rows checked" },
		},
		[attempt(1, 8, 0, { ended_at: null, outcome: null })],
	);
	mock.writes(orders, 1, "reading 184300112 bytes\nthe delimiter is a semicolon\n");
	mock.add(minted("site-visit.mp4"), Buffer.from("mp4"), {
		job: true,
		size: 1_288_490_188,
		received_at: at(6),
	});
	mock.add(
		minted("ledger-q3.xlsx"),
		Buffer.from("PK"),
		{
			state: "pending",
			size: 48_213,
			received_at: at(42),
			started_at: at(40),
			reason: "the function answered with exit code 75: database is locked",
			next_attempt_at: at(-19),
		},
		[
			attempt(1, 40, 320, { outcome: "crashed", reason: "the function ended by signal 9" }),
			attempt(2, 39, 210, {
				outcome: "transient",
				reason: "the function answered with exit code 75: database is locked",
			}),
		],
	);
	archived(minted("harbour.jpg"), 3_482_113, 74, 41, {
		media_type: "image/jpeg",
		size: 3_482_113,
		sha256: "9b1c4f0e5a77d2386c1f0b6a3a9d2e4471c8a5b0f3e6d7c2910485b6ae7f1d23",
		image: { width: 4032, height: 3024, frames: 1 },
	});
	archived(minted("stations.csv"), 22_904, 96, 12, {
		media_type: "text/csv",
		size: 22_904,
		sha256: "51c07e2e1bb4e3f9c18f4d9c7b0a6ad2f5e8013d4499a0d2a7bb3c8160e7f6aa",
		csv: {
			lines: 412,
			delimiter: ",",
			columns: ["station_id", "name", "latitude", "longitude", "opened"],
			empty_lines: 0,
		},
	});
	mock.add(
		minted("backup-nov.zip"),
		Buffer.from("PK\u0003\u0004"),
		{
			state: "failed",
			size: 91_204_552,
			received_at: at(190),
			started_at: at(189),
			finished_at: at(180),
			reason: "the archive says 1,204 entries, 1,198 were found; the file was cut",
		},
		[
			attempt(1, 189, 2200, { outcome: "transient", reason: "the function ran longer than 2 s" }),
			attempt(2, 184, 1430, {
				outcome: "permanent",
				reason: "the archive says 1,204 entries, 1,198 were found; the file was cut",
			}),
		],
	);
	archived("partners/acme/2026/11/invoice 0042.pdf", 88_120, 410, 9, {
		media_type: "application/pdf",
		size: 88_120,
		pages: 3,
		encrypted: false,
	});
	mock.add("partners/acme/2026/11/invoice 0041.pdf", Buffer.from("%PDF"), {
		state: "late",
		size: 88_001,
		received_at: at(700),
		finished_at: at(699),
		reason: "a newer upload of this key was archived at 10:41:07",
		media_type: "application/pdf",
		archive: { bucket: "archive", key: "_late/5b3f/000017-a81c", version_id: "77ab" },
	});
	mock.add(minted("harbour-copy.jpg"), Buffer.from("jpg"), {
		state: "duplicate",
		size: 3_482_113,
		received_at: at(1200),
		finished_at: at(1199),
		reason: "the same size and checksum as the upload archived before it",
	});
	archived("notes.txt", 0, 3900, 3);
	archived("exports/nightly/events-2026-11-22.json", 740_118_220, 41_000, 6412);
	archived("exports/nightly/events-2026-11-21.json", 738_002_117, 127_000, 6309);
}

export function fillHostile(mock: Mock, now = Date.now()): void {
	hostileNames.forEach((name, index) => {
		mock.add(
			`inbox/${name}`,
			Buffer.from("x"),
			{
				state: index % 3 === 0 ? "failed" : "archived",
				received_at: new Date(now - index * 1000).toISOString(),
				finished_at: new Date(now - index * 1000 + 20).toISOString(),
				reason: index % 3 === 0 ? `could not read ${name}` : null,
				media_type: name,
				report: { [name]: name, nested: { list: [name, { [name]: [name] }] } },
			},
			[
				{
					number: 1,
					started_at: new Date(now).toISOString(),
					ended_at: null,
					outcome: null,
					reason: name,
				},
			],
		);
	});
}
