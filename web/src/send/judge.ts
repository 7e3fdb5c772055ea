/** What follows from a run that failed: the one place that decides it. */

import { Away, Refused, Unknown } from "../api.ts";
import { Broken, Unread } from "./transport.ts";

export type Verdict =
	| { do: "fail"; why: string }
	| {
			do: "again";
			why: string;
			/** Nothing was wrong with the request: tried for as long as it takes. */
			patient: boolean;
			/** What leave there was is not to be used again. */
			signAgain: boolean;
			/** The multipart is no longer there, or of no use. */
			anew: boolean;
			/** What arrived is not this file: not gone on with, and not tried for ever. */
			isOther: boolean;
			/**
			 * What of its key: `taken` where something is there that may be this file, from a try whose answer was lost;
			 * `lost` where it was made for another file, and nothing of this one is taken under it any more.
			 */
			key: "kept" | "taken" | "lost";
	  }
	| { do: "signIn"; why: string };

const again = (
	why: string,
	given: Partial<Omit<Extract<Verdict, { do: "again" }>, "do" | "why">> = {},
): Verdict => {
	const nothing = { patient: false, signAgain: false, anew: false, isOther: false };
	return { do: "again", why, ...nothing, key: "kept", ...given };
};

const fail = (why: string): Verdict => ({ do: "fail", why });

/** What the store answered, in Uppy's error. */
interface Answer {
	status: number;
	code: string;
	message: string;
}

export function judge(failure: unknown): Verdict {
	if (failure instanceof Unknown) return { do: "signIn", why: failure.message };
	if (failure instanceof Away) return again("the server does not answer", { patient: true });
	if (failure instanceof Refused) {
		if (failure.status === 429 || failure.status >= 500) {
			return again(failure.message, { patient: failure.status !== 500 });
		}
		if (failure.status === 409) return again(failure.message, { key: "lost" });
		return fail(failure.message);
	}
	if (failure instanceof Broken) return again(failure.message, { patient: true });
	if (failure instanceof Unread) return again(failure.message);
	const answer = answerOf(failure);
	if (!answer) {
		if (isLost(failure)) return again("the connection was lost", { patient: true });
		return fail(`this page broke: ${failure instanceof Error ? failure.message : failure}`);
	}
	const { status, code, message } = answer;
	// An earlier try of ours, or one the browser made by itself on a connection it found closed; or another's file.
	if (status === 412) {
		const why =
			"something is there already, and the server does not say yet whether it is this file";
		return again(why, { key: "taken" });
	}
	if (code === "NoSuchUpload") {
		const why = "sent anew, for the parts sent before are no longer there";
		return again(why, { anew: true, signAgain: true });
	}
	if (code === "ExpiredToken" || (status === 403 && /expired/i.test(`${code} ${message}`))) {
		return again("the grant expired; a new one is asked for", { signAgain: true });
	}
	if (code === "InvalidAccessKeyId" || code === "InvalidToken") {
		return again("the server no longer knows the grant; a new one is asked for", {
			signAgain: true,
		});
	}
	// Parts of an earlier visit were of another file that looked the same, or bytes were changed on their way.
	if (code === "BadDigest" || (code === "InvalidRequest" && /mp-object-size/i.test(message))) {
		const why = "sent anew, for what had arrived is not this file";
		return again(why, { anew: true, isOther: true });
	}
	if (code === "InvalidPart") return again("the store asks for a part again", { anew: true });
	if (status === 408 || status === 409 || status === 429) return again(words(answer));
	if (status === 503 || code === "SlowDown") return again(words(answer), { patient: true });
	// An answer of 500 does not say that nothing was kept.
	if (status >= 500) return again(words(answer));
	return fail(words(answer));
}

function answerOf(failure: unknown): Answer | null {
	if (!(failure instanceof Error) || !("status" in failure)) return null;
	const { status, body } = failure as Error & { status: number; body?: string };
	const document = new DOMParser().parseFromString(body ?? "", "application/xml");
	const text = (name: string): string =>
		document.querySelector(`Error > ${name}`)?.textContent ?? "";
	return { status, code: text("Code"), message: text("Message") };
}

const isLost = (failure: unknown): boolean =>
	failure instanceof Error && "code" in failure && failure.code === "NETWORK";

const known: Record<string, string> = {
	AccessDenied: "the store refused this upload",
	EntityTooLarge: "the file is larger than the store takes in one piece",
	ServiceUnavailable: "the store is busy",
	SlowDown: "the store is busy",
	SignatureDoesNotMatch: "the store did not accept the signature of this upload",
};

const words = ({ status, code, message }: Answer): string =>
	known[code] ?? (message || `the store answered with status ${status}`);
