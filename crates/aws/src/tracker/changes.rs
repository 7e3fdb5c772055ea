//! What changes, found by looking: nothing on AWS tells of a changed row without another service to run.
//!
//! Every [`LOOK_EVERY`] the latest rows and the counts are read, while somebody listens. A row of those that differs from
//! what was read before is told of as it is now; states that it passed in between are not. Where the counts changed
//! otherwise than those rows say, the listener is told that it missed something, and lists again. What an older row
//! says beside its state changes unheard.

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
            match Box::pin(self.look()).await {
                Ok((rows, seen)) => {
                    self.found = match &self.seen {
                        Some(before) => differences(before, &seen, &rows),
                        // What changed since the listener began to listen, and what before, is not told apart.
                        None => vec![Change::Missed],
                    };
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
            paused: paused?.map(Into::into),
        };
        Ok((rows, seen))
    }
}

/// What is to be told of, the next last. `rows` are the latest first, so the oldest of them is told of first.
fn differences(before: &Seen, now: &Seen, rows: &[Upload]) -> Vec<Change> {
    let mut told = Vec::new();
    // What the counts would be if nothing else had changed. One that came into sight because another was deleted is
    // taken for new by this, and then the listener lists once for nothing.
    let mut counts = before.counts;
    for row in rows {
        let was = before.rows.get(&row.id);
        if was == Some(row) {
            continue;
        }
        if let Some(was) = was {
            let count = counts.of(was.state);
            *count = count.saturating_sub(1);
        }
        *counts.of(row.state) += 1;
        match shown(row) {
            Ok(upload) => told.push(Change::Upload(Box::new(upload))),
            Err(error) => warn!(key = %row.key.key, %error, "a changed upload cannot be told of"),
        }
    }
    if counts != now.counts || before.paused != now.paused {
        told.insert(0, Change::Missed);
    }
    told
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::{ObjectRef, Timestamp};
    use two_buckets_pipeline::{Expectation, State};

    use super::*;

    fn row(name: &str, state: State) -> Upload {
        let at = ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: name.parse().unwrap(),
        };
        let now = Timestamp::from_millis(1);
        let id = UploadId::new(name).unwrap();
        Upload {
            state,
            ..Upload::minted(id, at, Expectation::until(now), now)
        }
    }

    /// The rows of a look, of which the first so many are in sight.
    fn look(rows: &[Upload], sight: usize) -> (Vec<Upload>, Seen) {
        let mut counts = Counts::default();
        for row in rows {
            *counts.of(row.state) += 1;
        }
        let rows: Vec<_> = rows.iter().take(sight).cloned().collect();
        let by_id = rows.iter().map(|row| (row.id.clone(), row.clone()));
        let seen = Seen {
            rows: by_id.collect(),
            counts,
            paused: None,
        };
        (rows, seen)
    }

    fn told(before: &[Upload], now: &[Upload], sight: usize) -> Vec<String> {
        let ((_, before), (rows, now)) = (look(before, sight), look(now, sight));
        let mut changes = differences(&before, &now, &rows);
        changes.reverse();
        let names = changes.into_iter().map(|change| match change {
            Change::Upload(upload) => upload.key.to_string(),
            Change::Missed => "missed".into(),
        });
        names.collect()
    }

    #[test]
    fn each_changed_row_in_sight_is_told_of_and_of_others_that_something_was_missed() {
        use State::{Archived, Pending};
        let before = [row("c", Pending), row("b", Pending), row("a", Pending)];
        assert_eq!(told(&before, &before, 2), [""; 0]);
        let changed = [row("c", Archived), row("b", Archived), row("a", Pending)];
        assert_eq!(told(&before, &changed, 2), ["b", "c"]);
        // A new one pushes another out of sight, which did not change.
        let mut newer = vec![row("d", Pending)];
        newer.extend(before.clone());
        assert_eq!(told(&before, &newer, 2), ["d"]);
        let old = [row("c", Pending), row("b", Pending), row("a", Archived)];
        assert_eq!(told(&before, &old, 2), ["missed"]);
        let both = [row("c", Archived), row("b", Pending), row("a", Archived)];
        assert_eq!(told(&before, &both, 2), ["c", "missed"]);
    }
}
