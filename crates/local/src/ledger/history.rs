//! A bounded history: rows of uploads that have ended well are forgotten after a time, or when there are too many.
//!
//! What is not finished is never forgotten: only rows that are closed go, which are archived, late or duplicate and gone
//! from staging. Failed uploads stay until they are retried. Nothing that decides about files rests on such a row: the
//! archive says itself what it has, and a version in staging has a row that is not closed, or gets one. The one thing
//! lost is that a client's repeat of an upload is recognised, so a row stays while permissions for its key are good, and
//! for as long as such a repeat may wait in staging.

use std::ops::Bound;
use std::time::Duration;

use two_buckets_depot::Depot;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::ledger::Result;
use two_buckets_pipeline::{State, Upload};

use super::changes::Failed;
use super::tables::{
    LOGS, Rows, STATES, UPLOADS, VERSIONS, log_key, number_of, state_byte, tail_number,
    version_bytes,
};
use super::{DepotLedger, unavailable};

/// How many rows one transaction looks at and removes: others' commits wait for no more than that.
const BATCH: usize = 100;
/// The states in which an upload has ended well.
const ENDED: [State; 3] = [State::Archived, State::Late, State::Duplicate];

/// How much is kept of uploads that have ended well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// How long after its end.
    pub age_max: Duration,
    /// How many; those noted first go first.
    pub count_max: u64,
}

impl DepotLedger {
    /// Forgets what is beyond this history, a batch of rows in each transaction; says how many. Ends at the first batch
    /// of which nothing is forgotten, so what is due behind it waits for a later call, or when `stopping` says so.
    /// Blocks on the disk.
    pub fn forget_ended(&self, history: &History, stopping: &dyn Fn() -> bool) -> Result<u64> {
        let now = self.now();
        let mut forgotten = 0;
        let mut after = 0;
        while !stopping() {
            let numbers = ended_behind(&self.depot, after)?;
            let Some(last) = numbers.last() else {
                return Ok(forgotten);
            };
            after = *last;
            let in_batch = self
                .depot
                .transaction(|tx| {
                    let mut rows = Rows::new(tx);
                    rows.forget_beyond(&numbers, history, now).map_err(Failed)
                })
                .map_err(|Failed(error)| error)?;
            if in_batch == 0 {
                return Ok(forgotten);
            }
            forgotten += in_batch;
        }
        Ok(forgotten)
    }
}

/// The next uploads that have ended, in the order in which they were noted.
fn ended_behind(depot: &Depot, after: u64) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for state in ENDED {
        let key = |number: u64| [&[state_byte(state)][..], &number.to_be_bytes()].concat();
        let (from, to) = (key(after), key(u64::MAX));
        let range = (
            Bound::Excluded(from.as_slice()),
            Bound::Included(to.as_slice()),
        );
        let rows = depot
            .rows(STATES, range, false, BATCH)
            .map_err(unavailable)?;
        for (key, _) in rows {
            numbers.push(tail_number(&key)?);
        }
    }
    numbers.sort_unstable();
    numbers.truncate(BATCH);
    Ok(numbers)
}

impl Rows<'_, '_> {
    fn forget_beyond(&mut self, numbers: &[u64], history: &History, now: Timestamp) -> Result<u64> {
        let mut kept = 0;
        for state in ENDED {
            kept += self.count_of(state)?;
        }
        let mut forgotten = 0;
        for number in numbers {
            // It may have changed since it was listed.
            let Some(upload) = self.upload_at(*number)? else {
                continue;
            };
            let is_over = kept > history.count_max
                || upload
                    .finished_at
                    .is_some_and(|at| at.after(history.age_max) <= now);
            if is_over && may_go(&upload, now) {
                self.forget(&upload)?;
                kept -= 1;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    /// Removes a row with everything that finds it, counts it or belongs to it.
    fn forget(&mut self, upload: &Upload) -> Result<()> {
        let Some(number) = number_of(&upload.id) else {
            return Ok(());
        };
        self.remove_state(upload.state, number)?;
        if let Some(staged) = &upload.staged {
            let key = version_bytes(&upload.key, Some(&staged.version_id));
            self.tx.delete_row(VERSIONS, &key);
        }
        if upload.minted {
            let key = version_bytes(&upload.key, None);
            self.tx.delete_row(VERSIONS, &key);
        }
        for attempt in &upload.log {
            self.tx.delete_row(LOGS, &log_key(number, attempt.number));
        }
        self.tx.delete_row(UPLOADS, &number.to_be_bytes());
        Ok(())
    }
}

/// How long a repeat may wait in staging, behind a backlog or a pause, that came while its key was granted.
const REPEAT_WAITS_MAX: Duration = Duration::from_hours(7 * 24);

/// Whether nothing rests on the row any more.
fn may_go(upload: &Upload, now: Timestamp) -> bool {
    let is_granted = upload
        .expectation
        .as_ref()
        .is_some_and(|expectation| expectation.until.after(REPEAT_WAITS_MAX) >= now);
    ENDED.contains(&upload.state) && upload.closed && !is_granted
}
