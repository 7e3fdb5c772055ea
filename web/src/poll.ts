/** Calls again and again while the page is seen, sooner when something is afoot. */

import { Refused, Unknown } from "./api.ts";
import { type Backoff, waitMs } from "./backoff.ts";

export type Link =
	| { is: "up" }
	| {
			is: "away";
			/** What the server said, where it answered at all. */
			said: string | null;
			since: number;
			nextAt: number;
			trying: boolean;
	  };

/** For how long after [`Poll.hurry`] calls hurry. */
const hurryForMs = 5000;
const backoff: Backoff = { firstMs: 1000, maxMs: 10_000 };

export class Poll {
	link: Link = { is: "up" };
	private timer: ReturnType<typeof setTimeout> | undefined;
	private running = false;
	private wanted = false;
	private failures = 0;
	private hurryUntil = 0;

	constructor(
		/** One round; throws where there was no answer, or a refusal. */
		private readonly round: () => Promise<void>,
		private readonly everyMs: (hurried: boolean) => number,
		private readonly linkChanged: (link: Link) => void,
		/** The server asks who this is; nothing more is asked until [`Poll.now`]. */
		private readonly signIn: (why: string) => void,
	) {
		document.addEventListener("visibilitychange", () => {
			if (document.visibilityState === "visible") this.now();
			else clearTimeout(this.timer);
		});
	}

	/** Calls at once, or again right after the call that is under way. */
	now(): void {
		clearTimeout(this.timer);
		if (this.running) {
			this.wanted = true;
			return;
		}
		void this.run();
	}

	/** Something was sent or asked for: its next states are moments away. */
	hurry(): void {
		this.hurryUntil = Date.now() + hurryForMs;
		if (this.link.is === "up") this.now();
	}

	private async run(): Promise<void> {
		this.running = true;
		this.wanted = false;
		if (this.link.is === "away") this.set({ ...this.link, trying: true });
		let wait: number;
		try {
			await this.round();
			this.failures = 0;
			if (this.link.is === "away") this.set({ is: "up" });
			wait = this.everyMs(Date.now() < this.hurryUntil);
		} catch (error) {
			if (error instanceof Unknown) {
				this.running = false;
				if (this.link.is === "away") this.set({ is: "up" });
				return this.signIn(error.message);
			}
			this.failures += 1;
			wait = waitMs(backoff, this.failures);
			const since = this.link.is === "away" ? this.link.since : Date.now();
			const said = error instanceof Refused ? error.message : null;
			this.set({ is: "away", said, since, nextAt: Date.now() + wait, trying: false });
		}
		this.running = false;
		if (this.wanted && this.link.is === "up") return this.run();
		// A hidden page asks nothing; it asks at once when it is seen again.
		if (document.visibilityState === "visible") {
			this.timer = setTimeout(() => void this.run(), wait);
		}
	}

	private set(link: Link): void {
		this.link = link;
		this.linkChanged(link);
	}
}
