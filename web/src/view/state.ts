/** How each state is named and explained. */

import type { Row, Shown } from "../rows.ts";

export const label: Record<Shown, string> = {
	waiting: "Waiting",
	sending: "Sending",
	retrying: "Retrying",
	paused: "Paused",
	wanted: "File needed",
	sent: "Sent",
	cancelled: "Cancelled",
	expected: "Expected",
	pending: "Pending",
	processing: "Processing",
	archived: "Archived",
	failed: "Failed",
	late: "Late",
	duplicate: "Duplicate",
};

/** What a state means for this row: where a job is at work, no worker is. */
export function meaningOf({ shown, upload }: Row): string {
	return (upload?.job && ofJobs[shown]) || meaning[shown];
}

const ofJobs: Partial<Record<Shown, string>> = {
	pending: "In the staging bucket, waiting for a job of its own",
	processing: "A job of its own is at work on it",
};

const meaning: Record<Shown, string> = {
	waiting: "Waits for its turn to be sent",
	sending: "On its way to the staging bucket",
	retrying: "Sending was interrupted and goes on by itself",
	paused: "You paused it; what was sent in parts stays",
	wanted: "It was on its way when the page was closed; the browser needs the file to go on",
	sent: "In the staging bucket; the server has not listed it yet",
	cancelled: "You cancelled it; it was not kept",
	expected: "Its key was given out; nothing has arrived under it yet",
	pending: "In the staging bucket, waiting to be processed",
	processing: "The function is at work on it",
	archived: "Processed, and kept in the archive bucket",
	failed: "Set aside with its reason; it stays in the staging bucket until it is retried",
	late: "A newer upload of this key was archived first; this one is kept beside it",
	duplicate: "The same upload again; the first one is kept",
};
