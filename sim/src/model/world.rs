//! The state of the world: both buckets, the ledger, who works on what, and what may still go wrong.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use two_buckets_objects::{ListedVersion, ObjectRef, Timestamp, VersionRef};
use two_buckets_pipeline::archive::Mark;
use two_buckets_pipeline::job::{JobSeen, to_start};
use two_buckets_pipeline::ledger::Capabilities;
use two_buckets_pipeline::step::{Action, Rules, Work};
use two_buckets_pipeline::{
    BootId, Decision, Expectation, FencingToken, Holder, Lease, Route, Routes, State, Upload,
    UploadId,
};

use super::configuration::{Configuration, Faults, KEYS};
use super::promises::{Broken, Promise, broken, check_change};

/// The most attempts of an upload.
pub const ATTEMPTS_MAX: u32 = 2;

/// A version in the archive.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Archived {
    /// Where it is.
    pub at: VersionRef,
    /// What it says it is.
    pub mark: Mark,
    /// Its bytes; 0 where a copy went wrong.
    pub content: u8,
}

/// A key's lease.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Held {
    /// The fencing token.
    pub token: u64,
    /// Whether somebody was turned away.
    pub is_dirty: bool,
    /// The upload whose job holds it.
    pub job: Option<UploadId>,
}

/// Somebody who takes a turn on a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Worker {
    /// The key, by its place in [`KEYS`].
    pub key: usize,
    /// The real steps.
    pub work: Work,
    /// What they want next; follows from `work`.
    pub action: Action,
    /// Its fencing token; 0 before it has one.
    pub token: u64,
    /// The upload whose job this is.
    pub job: Option<UploadId>,
    /// How many versions the archive had when the function last answered: those a set-aside must have found.
    pub copies_then: usize,
    /// Whether the function failed in this turn. Only a planted mistake looks at it.
    pub has_failed: bool,
    /// An attempt that was begun and not recorded. Only a planted mistake leaves one.
    pub unrecorded: Option<Arc<Upload>>,
    /// Whether it is a job that has run its function.
    pub has_begun: bool,
    /// A sum over all of this that counts, made once for each step.
    pub sum: u64,
}

impl Worker {
    /// With its sum. What it wants next follows from its steps, and its token counts only beside the lease.
    #[must_use]
    pub fn summed(mut self) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.key, &self.work, &self.job, self.copies_then).hash(&mut hasher);
        (self.has_failed, self.has_begun, &self.unrecorded).hash(&mut hasher);
        self.sum = hasher.finish();
        self
    }
}

/// Where a sweep is. Each step of it is one call of store or ledger, and what was seen may be old when it is acted on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Sweeping {
    /// It lists this key.
    See {
        /// The key.
        key: usize,
    },
    /// It does what it decided of this key.
    Apply {
        /// The key.
        key: usize,
        /// What it decided.
        decision: Decided,
    },
    /// It looks whether versions of unfinished rows are gone.
    Walk,
    /// It looks whether what is overdue has come.
    Look,
    /// It does what it decided of that.
    Act {
        /// Whether it has come.
        has_come: bool,
    },
}

/// A [`Decision`], as a state can keep it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Decided {
    /// Wake the key.
    Wake,
    /// Remove these markers.
    RemoveMarkers(Vec<two_buckets_objects::VersionId>),
}

impl Decided {
    /// What is to be done of a decision; none if that is nothing now. What is due later is seen by a later sweep.
    pub fn of(decision: Decision) -> Option<Self> {
        match decision {
            Decision::Wake => Some(Self::Wake),
            Decision::RemoveMarkers(markers) => Some(Self::RemoveMarkers(markers)),
            Decision::Nothing | Decision::WakeAt(_) => None,
        }
    }
}

/// The world between two effects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct World {
    /// Which uploads were sent or will never be, a bit each.
    pub sent: u8,
    /// Which of them the store refused or nobody sent, a bit each.
    pub absent: u8,
    /// Versions and delete markers in staging, as S3 lists them: by key, then the newest first.
    pub staging: Vec<Arc<ListedVersion>>,
    /// Versions in the archive, as they were written.
    pub archive: Vec<Arc<Archived>>,
    /// The ledger's rows, as they were made.
    pub rows: Vec<Arc<Upload>>,
    /// How often the function ran on each upload since its attempts last began anew.
    pub runs: [u8; 8],
    /// Which uploads the function has accepted, a bit each.
    pub accepted: u8,
    /// The lease of each key.
    pub leases: [Option<Held>; KEYS.len()],
    /// The highest fencing token.
    pub last_token: u64,
    /// Who works.
    pub workers: Vec<Option<Arc<Worker>>>,
    /// Wake-ups that wait, for each key.
    pub wakes: [u8; KEYS.len()],
    /// Whether a wake-up waits that tells of an unfinished row without a version.
    pub gone_wakes: [bool; KEYS.len()],
    /// The upload of the key whose job ended before it had begun, and is not started again for a while.
    pub fruitless: [Option<UploadId>; KEYS.len()],
    /// Whether a key rests after a stall and is woken later.
    pub rests: [bool; KEYS.len()],
    /// The sweep, while one is under way.
    pub sweeping: Option<Sweeping>,
    /// What an earlier sweep had seen already. Only a planted mistake keeps it.
    pub watermark: i64,
    /// The time.
    pub now: i64,
    /// What may still go wrong.
    pub faults: Faults,
    /// Sweeps left while others work.
    pub sweeps: u8,
    /// Sweeps that came long after.
    pub late_sweeps: u8,
    /// Looks left whether to give up what is expected.
    pub give_ups: u8,
    /// Retries left.
    pub retries: u8,
    /// Deletes by name that clients have left.
    pub markers: u8,
    /// What is broken; nothing happens afterwards.
    pub broken: Option<Broken>,
}

impl World {
    /// Before anything was sent.
    pub fn new(config: &Configuration) -> Self {
        let minted = config.minted.is.then(|| {
            let until = Expectation::until(Timestamp::from_millis(50));
            let id = UploadId::new("minted").expect("a legal id");
            Arc::new(Upload::minted(
                id,
                object(0),
                until,
                Timestamp::from_millis(1),
            ))
        });
        Self {
            sent: 0,
            absent: 0,
            staging: Vec::new(),
            archive: Vec::new(),
            rows: minted.into_iter().collect(),
            runs: [0; 8],
            accepted: 0,
            leases: [const { None }; KEYS.len()],
            last_token: 0,
            workers: vec![None; config.workers],
            wakes: [0; KEYS.len()],
            gone_wakes: [false; KEYS.len()],
            fruitless: [const { None }; KEYS.len()],
            rests: [false; KEYS.len()],
            sweeping: None,
            watermark: 0,
            now: 100,
            faults: config.faults,
            sweeps: config.sweeps,
            late_sweeps: 0,
            give_ups: config.minted.give_ups,
            retries: config.retries,
            markers: config.markers,
            broken: None,
        }
    }

    /// Now.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// Notes that a promise is broken; the first one stands.
    pub fn fail(&mut self, promise: Promise, how: impl Into<String>) {
        self.fail_with(broken(promise, how));
    }

    pub(super) fn fail_with(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// Another wake-up for a key; more than three are three.
    pub fn wake(&mut self, key: usize, wakes: u8) {
        self.wakes[key] = (self.wakes[key] + wakes).min(3);
    }

    /// The row of a version.
    pub fn row_of(&self, version_id: &str) -> Option<&Upload> {
        let is_of = |row: &&Arc<Upload>| {
            row.staged
                .as_ref()
                .is_some_and(|staged| staged.version_id.as_str() == version_id)
        };
        self.rows.iter().find(is_of).map(Arc::as_ref)
    }

    /// The row of this name.
    pub fn row(&self, id: &UploadId) -> &Upload {
        let row = self.rows.iter().find(|row| row.id == *id);
        row.expect("steps name rows they were given")
    }

    /// Changes a row as one of [`Upload`]'s methods does.
    pub fn change(&mut self, id: &UploadId, how: impl FnOnce(&mut Upload)) {
        let row = self
            .rows
            .iter_mut()
            .find(|row| row.id == *id)
            .expect("steps name rows they were given");
        let before = Arc::clone(row);
        how(Arc::make_mut(row));
        let checked = check_change(&before, row, Timestamp::from_millis(self.now));
        if let Err(broken) = checked {
            self.fail_with(broken);
        }
    }

    /// A version or marker in staging.
    pub fn staged(&self, version_id: &str) -> Option<&ListedVersion> {
        self.staging
            .iter()
            .find(|entry| entry.version_id.as_str() == version_id)
            .map(Arc::as_ref)
    }

    /// The upload that is expected, if it still is.
    pub fn expected(&self) -> Option<&Upload> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.is_expected() && row.state == State::Pending)
            .map(Arc::as_ref)
    }

    /// Whether staging has a version of this key that is in no row.
    pub fn has_unnoted(&self, key: usize) -> bool {
        self.staging.iter().any(|entry| {
            entry.key.as_str() == KEYS[key]
                && !entry.is_delete_marker
                && self.row_of(entry.version_id.as_str()).is_none()
        })
    }

    /// Whether the archive has these bytes, verified and recorded.
    pub fn has_recorded(&self, config: &Configuration, bytes: u8) -> bool {
        self.archive.iter().any(|copy| {
            super::store::content(config, copy.mark.source_version.as_str()) == bytes
                && self.rows.iter().any(|row| {
                    row.archive
                        .as_ref()
                        .is_some_and(|record| record.at == copy.at)
                })
        })
    }

    /// The archive's current version of a key.
    pub fn current(&self, key: &two_buckets_objects::Key) -> Option<&Archived> {
        let mut copies = self.archive.iter().rev();
        copies.find(|copy| copy.at.key == *key).map(Arc::as_ref)
    }

    /// Whether nothing is under way and nothing waits to begin.
    pub fn is_quiet(&self, config: &Configuration) -> bool {
        self.sent.count_ones() as usize == config.sent.len()
            && self.wakes.iter().all(|wakes| *wakes == 0)
            && self.gone_wakes.iter().all(|waits| !waits)
            && self.sweeping.is_none()
            && self.workers.iter().all(Option::is_none)
            && self.jobs_to_start().is_empty()
    }

    /// Whether anybody is owed something.
    pub fn is_owed(&self) -> bool {
        self.rows.iter().any(|row| row.is_unfinished())
            || (0..KEYS.len()).any(|key| self.has_unnoted(key))
            || self.expected().is_some()
    }

    /// Whether something is to be looked for that was set aside while a copy may have been on its way. What its client
    /// has deleted meanwhile no sweep sees.
    pub fn is_in_doubt(&self, config: &Configuration) -> bool {
        let is_in_staging = |row: &Upload| {
            row.version()
                .is_some_and(|version| self.staged(version.version_id.as_str()).is_some())
        };
        !config.is_embedded
            && self
                .rows
                .iter()
                .any(|row| row.last_look_at().is_some() && is_in_staging(row))
    }

    /// Whether this is an end: quiet, and nothing is owed or in doubt, or no sweep is left that could find it.
    pub fn is_end(&self, config: &Configuration) -> bool {
        let is_all_done = !self.is_owed() && !self.is_in_doubt(config);
        self.is_quiet(config) && (is_all_done || self.late_sweeps == config.late_sweeps)
    }

    /// The jobs that are started next, by the real decision.
    pub fn jobs_to_start(&self) -> Vec<UploadId> {
        let mut jobs: Vec<_> = self.rows.iter().filter(|row| row.is_job).collect();
        if jobs.is_empty() {
            return Vec::new();
        }
        jobs.sort_by_key(|row| row.staged.as_ref().map(|staged| staged.order));
        let seen: Vec<_> = jobs
            .into_iter()
            .map(|row| JobSeen {
                upload: (**row).clone(),
                lease: self.leases[key_of(&row.key)]
                    .as_ref()
                    .map(|held| lease(row.key.clone(), held)),
                is_started: false,
                not_before: (self.fruitless[key_of(&row.key)].as_ref() == Some(&row.id))
                    .then(|| self.time().after(Duration::from_millis(1))),
            })
            .collect();
        to_start(&seen, self.time(), usize::MAX)
    }
}

/// Two worlds are one to the search if nothing that can happen tells them apart:
/// which of two equal workers is where, and how far tokens have grown. Of tokens only this counts: whether a worker's is its
/// key's lease's; one that is not will never be again. What a worker does next follows from its steps.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            sent,
            absent,
            staging,
            archive,
            rows,
            runs,
            accepted,
            leases,
            last_token: _,
            workers,
            wakes,
            gone_wakes,
            fruitless,
            rests,
            sweeping,
            watermark,
            now,
            faults,
            sweeps,
            late_sweeps,
            give_ups,
            retries,
            markers,
            broken,
        } = self;
        (sent, absent, staging, archive, rows, runs, accepted).hash(state);
        for lease in leases {
            lease
                .as_ref()
                .map(|held| (held.is_dirty, &held.job))
                .hash(state);
        }
        let is_holder = |worker: &Arc<Worker>| {
            let lease = &leases[worker.key];
            lease
                .as_ref()
                .is_some_and(|held| held.token == worker.token)
        };
        let mut sums: Vec<_> = workers
            .iter()
            .map(|worker| {
                worker
                    .as_ref()
                    .map(|worker| (worker.sum, is_holder(worker)))
            })
            .collect();
        sums.sort_unstable();
        sums.hash(state);
        (wakes, gone_wakes, fruitless, rests).hash(state);
        (sweeping, watermark, now).hash(state);
        (faults, sweeps, late_sweeps, give_ups, retries).hash(state);
        (markers, broken).hash(state);
    }
}

/// A key in staging.
pub fn object(key: usize) -> ObjectRef {
    ObjectRef {
        bucket: "staging".parse().expect("a legal name"),
        key: KEYS[key].parse().expect("a legal key"),
    }
}

pub(super) fn key_of(object: &ObjectRef) -> usize {
    let place = KEYS.iter().position(|key| *key == object.key.as_str());
    place.expect("rows are of the keys there are")
}

pub(super) fn lease(key: ObjectRef, held: &Held) -> Lease {
    Lease {
        key,
        holder: Holder(String::new()),
        token: FencingToken(held.token),
        expires_at: Timestamp::from_millis(i64::MAX),
        boot: BootId::NONE,
        dirty: held.is_dirty,
        job: held.job.clone(),
    }
}

/// What the steps know of their host.
pub fn rules(config: &Configuration) -> Rules {
    let ledger = Capabilities {
        starts_in_one: config.is_embedded,
        moves_in_one: config.is_embedded,
    };
    Rules {
        archive: "archive".parse().expect("a legal name"),
        attempts_max: ATTEMPTS_MAX,
        troubles_max: 1,
        ledger,
        routes: Routes::new(|source| {
            if source.at.version_id.as_str().starts_with('j') {
                Route::Job
            } else {
                Route::Inline
            }
        }),
    }
}
