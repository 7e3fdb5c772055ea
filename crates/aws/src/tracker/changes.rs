//! What changes, found by looking: nothing on AWS tells of a changed row without another service to run.
//!
//! Every [`LOOK_EVERY`] the latest rows and the counts are read, while somebody listens. A row of those that differs from
//! what was read before is told of as it is now; states that it passed in between are not. Where the counts changed
//! and none of those rows did, the listener is told that it missed something, and lists again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tracing::warn;
use two_buckets_pipeline::ledger::{Counts, Ledger as _, ListUploads, Result};
use two_buckets_pipeline::{Clock, Upload, UploadId};
use two_buckets_uploads::tracking::shown;
use two_buckets_uploads::{Change, Paused};

use crate::ledger::DynamoLedger;

/// How often it looks. A look is some hundred queries, which cost a cent or two in an hour.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How many rows are compared: as many as a page shows.
const ROWS_MAX: usize = 100;

/// Changes from the first look on, for ever. Holds what one look found, however slow the listener is. A look that fails
/// is said in the log, and the next one finds what it would have found.
pub(super) fn polled<C: Clock>(
    ledger: DynamoLedger,
    clock: Arc<C>,
) -> impl Stream<Item = Change> + Send + 'static {
    let poll = Poll {
        ledger,
        clock,
        seen: None,
        found: Vec::new(),
    };
    futures::stream::unfold(poll, |mut poll| async move {
        let change = poll.next().await;
        Some((change, poll))
    })
}

struct Poll<C> {
    ledger: DynamoLedger,
    clock: Arc<C>,
    seen: Option<Seen>,
    /// What is to be told of, the next last.
    found: Vec<Change>,
}

/// What a look saw.
struct Seen {
    rows: HashMap<UploadId, Upload>,
    counts: Counts,
    paused: Option<Paused>,
}

impl<C: Clock> Poll<C> {
    async fn next(&mut self) -> Change {
        loop {
            if let Some(change) = self.found.pop() {
                return change;
            }
            if self.seen.is_some() {
                self.clock.sleep(LOOK_EVERY).await;
            }
            match self.look().await {
                Ok((rows, seen)) => {
                    if let Some(before) = &self.seen {
                        self.found = differences(before, &seen, &rows);
                    }
                    self.seen = Some(seen);
                }
                Err(error) => {
                    warn!(%error, "what has changed cannot be read; it is tried again");
                    self.clock.sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// The latest rows, the latest first, and all that a look sees.
    async fn look(&self) -> Result<(Vec<Upload>, Seen)> {
        let latest = ListUploads {
            limit: ROWS_MAX,
            ..ListUploads::default()
        };
        let (page, counts, paused) = futures::join!(
            self.ledger.list(&latest),
            self.ledger.counts(),
            self.ledger.paused()
        );
        let rows = page?.uploads;
        let by_id = rows.iter().map(|row| (row.id.clone(), row.clone()));
        let seen = Seen {
            rows: by_id.collect(),
            counts: counts?,
            paused: paused?,
        };
        Ok((rows, seen))
    }
}

/// What is to be told of, the next last. `rows` are the latest first, so the oldest of them is told of first.
fn differences(before: &Seen, now: &Seen, rows: &[Upload]) -> Vec<Change> {
    let mut told = Vec::new();
    for row in rows {
        if before.rows.get(&row.id) == Some(row) {
            continue;
        }
        match shown(row) {
            Ok(upload) => told.push(Change::Upload(Box::new(upload))),
            Err(error) => warn!(key = %row.key.key, %error, "a changed upload cannot be told of"),
        }
    }
    // What came into sight because others were deleted from it is no change, and telling of it is harmless. What is
    // out of sight by now may have changed since, and so may have what never was in it.
    let is_out_of_sight = before.rows.keys().any(|id| !now.rows.contains_key(id));
    let others_changed = told.is_empty() && before.counts != now.counts;
    if is_out_of_sight || others_changed || before.paused != now.paused {
        told.insert(0, Change::Missed);
    }
    told
}
