//! What became of uploads since the ledger was opened, counted from the changes of their rows.
//!
//! A change is counted once it is durable, and not if it failed. The counts begin anew with each opening: whoever collects
//! them knows of resets (Prometheus, "Metric types"), and what must not be forgotten is in the rows. The hot path adds to
//! a few atomic numbers.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use two_buckets_pipeline::{AttemptOutcome, State, Upload};

use crate::histogram::{Durations, Histogram};

/// Uploads, attempts and jobs since the ledger was opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LedgerFigures {
    /// Attempts that ended, by how.
    pub attempts: Vec<(AttemptOutcome, u64)>,
    /// Uploads that reached a state they can end in, by state. One that is retried and fails again is counted twice.
    pub ended: Vec<(State, u64)>,
    /// The same of uploads of jobs only.
    pub jobs_ended: Vec<(State, u64)>,
    /// Jobs that wait, now.
    pub jobs_queued: u64,
    /// Jobs that run, now.
    pub jobs_running: u64,
    /// From an upload's Last-Modified in staging, which of a multipart upload is when it was initiated, until its first
    /// attempt began.
    pub waits: Durations,
    /// From the beginning of an attempt until its end.
    pub runs: Durations,
    /// From an upload's Last-Modified in staging until it was in the archive, under its key or beside.
    pub archived_after: Durations,
}

const OUTCOMES: [AttemptOutcome; 4] = [
    AttemptOutcome::Succeeded,
    AttemptOutcome::Transient,
    AttemptOutcome::Permanent,
    AttemptOutcome::Crashed,
];
const ENDS: [State; 4] = [
    State::Archived,
    State::Failed,
    State::Late,
    State::Duplicate,
];

/// The counts.
#[derive(Default)]
pub(super) struct Observed {
    attempts: [AtomicU64; OUTCOMES.len()],
    ended: [AtomicU64; ENDS.len()],
    jobs_ended: [AtomicU64; ENDS.len()],
    jobs_queued: AtomicI64,
    jobs_running: AtomicI64,
    waits: Histogram,
    runs: Histogram,
    archived_after: Histogram,
}

/// What one change of a row means for the counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Observation {
    attempt: Option<(AttemptOutcome, Duration)>,
    waited: Option<Duration>,
    ended: Option<(State, bool)>,
    archived_after: Option<Duration>,
    queued: i64,
    running: i64,
}

impl Observation {
    /// Of a row that was so, or not there, and is so now.
    pub(super) fn of(before: Option<&Upload>, after: &Upload) -> Self {
        let was_open = before.and_then(|row| row.log.last().filter(|last| last.ended.is_none()));
        let attempt = was_open.and_then(|open| {
            let now = after.log.iter().rev().find(|it| it.number == open.number)?;
            let (at, outcome) = now.ended?;
            Some((outcome, at.since(now.started_at)))
        });
        let has_begun =
            before.is_some_and(|row| row.attempts_ever == 0) && after.attempts_ever == 1;
        let ended = (before.map(|row| row.state) != Some(after.state)
            && ENDS.contains(&after.state))
        .then_some((after.state, after.is_job));
        let is_archived = |row: &Upload| matches!(row.state, State::Archived | State::Late);
        let is_new_in_archive = is_archived(after) && !before.is_some_and(is_archived);
        let of = |row: Option<&Upload>, state| i64::from(row.is_some_and(|it| is_job(it, state)));
        let change = |state| of(Some(after), state) - of(before, state);
        Self {
            attempt,
            waited: after
                .started_at
                .filter(|_| has_begun)
                .map(|at| at.since(after.received_at)),
            ended,
            archived_after: after
                .finished_at
                .filter(|_| is_new_in_archive)
                .map(|at| at.since(after.received_at)),
            queued: change(State::Pending),
            running: change(State::Processing),
        }
    }

    /// Of a row that was there when the ledger was opened.
    pub(super) fn of_found(row: &Upload) -> Self {
        Self {
            queued: i64::from(is_job(row, State::Pending)),
            running: i64::from(is_job(row, State::Processing)),
            ..Self::default()
        }
    }
}

fn is_job(row: &Upload, state: State) -> bool {
    row.is_job && row.state == state
}

impl Observed {
    /// The change is durable.
    pub(super) fn count(&self, observation: &Observation) {
        if let Some((outcome, run)) = observation.attempt {
            add_to(&OUTCOMES, &self.attempts, &outcome);
            self.runs.observe(run);
        }
        if let Some(waited) = observation.waited {
            self.waits.observe(waited);
        }
        if let Some((state, is_job)) = observation.ended {
            add_to(&ENDS, &self.ended, &state);
            if is_job {
                add_to(&ENDS, &self.jobs_ended, &state);
            }
        }
        if let Some(after) = observation.archived_after {
            self.archived_after.observe(after);
        }
        self.jobs_queued
            .fetch_add(observation.queued, Ordering::Relaxed);
        self.jobs_running
            .fetch_add(observation.running, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> LedgerFigures {
        let now = |count: &AtomicI64| count.load(Ordering::Relaxed).try_into().unwrap_or(0);
        LedgerFigures {
            attempts: read(&OUTCOMES, &self.attempts),
            ended: read(&ENDS, &self.ended),
            jobs_ended: read(&ENDS, &self.jobs_ended),
            jobs_queued: now(&self.jobs_queued),
            jobs_running: now(&self.jobs_running),
            waits: self.waits.durations(),
            runs: self.runs.durations(),
            archived_after: self.archived_after.durations(),
        }
    }
}

fn add_to<T: PartialEq>(names: &[T], counts: &[AtomicU64], name: &T) {
    if let Some(place) = names.iter().position(|it| it == name) {
        counts[place].fetch_add(1, Ordering::Relaxed);
    }
}

fn read<T: Copy>(names: &[T], counts: &[AtomicU64]) -> Vec<(T, u64)> {
    let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
    names.iter().copied().zip(counts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::{ETag, ListedVersion, ObjectRef, Timestamp, VersionId, VersionRef};
    use two_buckets_pipeline::{ArchiveRecord, Begin, End, UploadId};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn key() -> ObjectRef {
        ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: "a".parse().unwrap(),
        }
    }

    /// A row that is changed step by step, and what was counted of it.
    struct Row {
        now: Option<Upload>,
        observed: Observed,
    }

    impl Row {
        /// Received at 1,000.
        fn new() -> Self {
            let mut row = Self {
                now: None,
                observed: Observed::default(),
            };
            let version = ListedVersion {
                key: key().key,
                version_id: VersionId::new("v"),
                is_latest: true,
                is_delete_marker: false,
                last_modified: at(1_000),
                size_bytes: 1,
                etag: Some(ETag::new("e")),
            };
            row.set(Upload::listed(
                UploadId::new("1").unwrap(),
                key(),
                1,
                &version,
            ));
            row
        }

        fn set(&mut self, after: Upload) {
            self.observed
                .count(&Observation::of(self.now.as_ref(), &after));
            self.now = Some(after);
        }

        fn change(&mut self, change: impl FnOnce(&mut Upload)) {
            let mut after = self.now.clone().unwrap();
            change(&mut after);
            self.set(after);
        }

        fn begin(&mut self, now: i64) {
            match self.now.clone().unwrap().begin_attempt(9, at(now)) {
                Begin::Begun(upload) => self.set(upload),
                other => panic!("{other:?}"),
            }
        }

        fn archive(&mut self, now: i64, is_late: bool) {
            let record = ArchiveRecord {
                at: VersionRef {
                    bucket: "archive".parse().unwrap(),
                    key: key().key,
                    version_id: VersionId::new("w"),
                },
                checksum: None,
            };
            self.change(|row| row.record_archived(record, is_late, None, at(now)));
            self.change(Upload::close);
        }

        fn attempts(&self) -> Vec<u64> {
            let figures = self.observed.figures();
            figures.attempts.iter().map(|(_, count)| *count).collect()
        }

        fn ended(&self, state: State) -> (u64, u64) {
            let figures = self.observed.figures();
            let of = |counts: &[(State, u64)]| counts.iter().find(|it| it.0 == state).unwrap().1;
            (of(&figures.ended), of(&figures.jobs_ended))
        }

        fn jobs(&self) -> (u64, u64) {
            let figures = self.observed.figures();
            (figures.jobs_queued, figures.jobs_running)
        }
    }

    fn sums(row: &Row) -> [(u64, u128); 3] {
        let figures = row.observed.figures();
        [figures.waits, figures.runs, figures.archived_after]
            .map(|it| (it.count(), it.sum.as_millis()))
    }

    #[test]
    fn each_attempt_is_counted_once_by_how_it_ended_also_when_its_worker_died() {
        let mut row = Row::new();
        assert_eq!(sums(&row), [(0, 0), (0, 0), (0, 0)]);
        row.begin(1_200);
        assert_eq!(row.attempts(), [0, 0, 0, 0], "it runs");
        row.change(|row| {
            row.end(
                End::Deferred {
                    reason: "later".into(),
                    next_attempt_at: at(1_300),
                    is_counted: true,
                    look_in_archive: false,
                },
                at(1_250),
            );
        });
        assert_eq!(row.attempts(), [0, 1, 0, 0]);
        row.begin(1_300);
        // Its worker died: that is found when the next one begins.
        row.begin(2_000);
        assert_eq!(row.attempts(), [0, 1, 0, 1]);
        row.archive(2_010, false);
        assert_eq!(row.attempts(), [1, 1, 0, 1]);
        // One wait, until the first began; three runs; one upload.
        assert_eq!(sums(&row), [(1, 200), (3, 50 + 700 + 10), (1, 1_010)]);
        assert_eq!(row.ended(State::Archived), (1, 0));
        assert_eq!(row.jobs(), (0, 0));
    }

    #[test]
    fn an_upload_that_fails_is_retried_and_late_is_counted_in_each_state_it_ended_in() {
        let mut row = Row::new();
        let fail = |row: &mut Row, now| {
            row.change(|upload| {
                let failed = End::Failed {
                    reason: "bad".into(),
                    outcome: AttemptOutcome::Permanent,
                    look_in_archive: false,
                };
                upload.end(failed, at(now));
            });
        };
        row.begin(1_001);
        fail(&mut row, 1_002);
        row.change(|upload| upload.retry().unwrap());
        row.begin(1_003);
        fail(&mut row, 1_004);
        row.change(|upload| upload.retry().unwrap());
        row.begin(1_005);
        row.archive(1_006, true);
        assert_eq!(row.ended(State::Failed), (2, 0));
        assert_eq!(row.ended(State::Late), (1, 0));
        assert_eq!(row.ended(State::Archived), (0, 0));
        assert_eq!(row.attempts(), [1, 0, 2, 0]);
        assert_eq!(sums(&row), [(1, 1), (3, 3), (1, 6)]);
    }

    #[test]
    fn a_job_is_queued_runs_and_has_ended_and_nothing_is_left_of_it() {
        let mut row = Row::new();
        row.change(|upload| upload.queue_job(at(1_001)));
        assert_eq!(row.jobs(), (1, 0));
        row.begin(1_002);
        assert_eq!(row.jobs(), (0, 1));
        let found = Observed::default();
        found.count(&Observation::of_found(row.now.as_ref().unwrap()));
        assert_eq!(found.figures().jobs_running, 1, "after a restart");
        row.change(|upload| upload.cancel_job(at(1_003)).unwrap());
        assert_eq!(row.jobs(), (0, 0));
        assert_eq!(row.ended(State::Failed), (1, 1));
        // It is routed anew.
        row.change(|upload| upload.retry().unwrap());
        assert_eq!(row.jobs(), (0, 0));
    }
}
