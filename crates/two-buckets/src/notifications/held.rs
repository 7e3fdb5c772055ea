//! Messages that were sent in vain and wait to be sent again.

use std::collections::BTreeMap;

use tokio::time::Instant;
use two_buckets_s3_api::notifications::Waiting;

/// The most that wait so; while as many do, no further ones are begun. A message takes about a kilobyte.
pub(super) const HELD_MAX: usize = 1_000;

/// Those of one target, by number.
#[derive(Default)]
pub(super) struct Held(BTreeMap<u64, Holding>);

struct Holding {
    event: Waiting,
    /// How often it was refused.
    refusals: u32,
    due: Instant,
}

impl Held {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// At most `limit` that are due, in their order.
    pub(super) fn due(&self, now: Instant, limit: usize) -> Vec<Waiting> {
        self.0
            .values()
            .filter(|holding| holding.due <= now)
            .take(limit)
            .map(|holding| holding.event.clone())
            .collect()
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|holding| holding.due).min()
    }

    /// It was not refused, and is due as soon as anything is sent.
    pub(super) fn keep(&mut self, event: Waiting, now: Instant) {
        self.0
            .entry(event.number)
            .or_insert(Holding {
                event,
                refusals: 0,
                due: now,
            })
            .due = now;
    }

    /// It was refused, and is due as the wait for so many refusals says.
    pub(super) fn refuse(
        &mut self,
        event: Waiting,
        due: impl FnOnce(u32) -> Instant,
        now: Instant,
    ) {
        let holding = self.0.entry(event.number).or_insert(Holding {
            event,
            refusals: 0,
            due: now,
        });
        holding.refusals = holding.refusals.saturating_add(1);
        holding.due = due(holding.refusals);
    }

    /// It was accepted.
    pub(super) fn forget(&mut self, number: u64) {
        self.0.remove(&number);
    }
}
