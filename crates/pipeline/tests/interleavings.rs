//! Every interleaving of two workers on one key, with the real steps: what happens between any two effects is tried.
//!
//! The fault model: wake-ups are doubled or lost; a worker dies between any two effects; a lease may run out at any
//! moment while its holder goes on; a copy answers 409, 412, or nothing at all, having landed or not; a version
//! may be a late multipart (initiated first, completed last), poisoned, or deleted by its client. Uploads have
//! different bytes. Budgets bound how often each happens; the sweep comes when all is quiet.
//!
//! An operator may retry what failed once.
//!
//! An upload may be routed to a job. A job's turn is in two halves with nothing kept between them but the ledger's rows:
//! the server may be started anew in between, which ends workers and voids their leases and leaves jobs alone. Jobs
//! are started at any moment, die at any moment, and may be cancelled.
//!
//! The key may be minted: then its row is there before anything has come, a client may send the same bytes again at any
//! moment (or stay away), and the sweep may give the upload up at any moment, in two effects, with an arrival between.
//!
//! Checked at every effect: nothing leaves staging without a record of an archived version that is its copy; no upload
//! is archived twice; the archive's current version never goes back; no attempt runs beyond the most allowed; what leaves
//! staging as a duplicate has its very bytes in the archive under a record; no worker begins or moves an upload of a job,
//! and nothing of a key is begun while an older upload of it waits for its job or is held by one. Checked
//! when all is quiet and swept: every upload is archived, late, a duplicate, or failed with its reason, and one that never
//! came is failed. No store checks leases, so a
//! worker that stalled past its own may archive an upload after others set it aside; then a retry must find that copy.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "everything here is a test, and says how many states it saw"
)]

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ETag, ListedVersion, Metadata, ObjectInfo, ObjectRef,
    Timestamp, VersionId, VersionRef, WriteCondition, Written,
};
use two_buckets_pipeline::archive::{Mark, late_key};
use two_buckets_pipeline::ledger::{Capabilities, Noted};
use two_buckets_pipeline::step::{Action, CopyFailure, Input, Rules, Stopped, Turn, Work};
use two_buckets_pipeline::{
    End, Expectation, Overdue, ProcessError, Report, Route, Routes, State, Upload, UploadId, Why,
};

/// What one upload is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Kind {
    name: &'static str,
    /// Last-Modified: a late multipart has an earlier one than uploads that came before it.
    last_modified: i64,
    is_poisoned: bool,
    is_deleted_by_client: bool,
    /// Its bytes: uploads with the same number have the same.
    content: u8,
}

const V1: Kind = Kind {
    name: "v1",
    last_modified: 10,
    is_poisoned: false,
    is_deleted_by_client: false,
    content: 1,
};
const V2: Kind = Kind {
    name: "v2",
    last_modified: 20,
    content: 2,
    ..V1
};
/// A client's repeat of the first.
const REPEAT: Kind = Kind { content: 1, ..V2 };

struct Config {
    name: &'static str,
    uploads: &'static [Kind],
    workers: usize,
    crashes: u8,
    /// How often a live lease may be taken over.
    expiries: u8,
    /// How often a copy fails other than by its condition.
    copy_faults: u8,
    /// Whether the function may fail transiently or crash once.
    function_faults: u8,
    wakes_each: &'static [u8],
    /// How often the sweep may come; without it every wake-up must do.
    sweeps: u8,
    minted: Minted,
    jobs: Jobs,
}

/// What may happen to jobs and because of them.
#[derive(Clone, Copy)]
struct Jobs {
    /// How often the server may be started anew.
    restarts: u8,
    /// How often a job may be cancelled.
    cancels: u8,
}

const NO_JOBS: Jobs = Jobs {
    restarts: 0,
    cancels: 0,
};

/// Whether the key was minted, and what then may happen.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "five facts that vary independently; each is read by name"
)]
struct Minted {
    is: bool,
    /// Whether the store refuses an upload while another of the key is in staging (`If-None-Match: *`).
    if_none_match: bool,
    /// Whether any upload may never be sent.
    may_stay_away: bool,
    /// How often the sweep may look whether to give it up before all is quiet.
    give_ups: u8,
    /// Whether equal bytes must be archived once only.
    one_copy: bool,
    /// Whether the store keeps no checksum of a staged version, so that bytes must be read to compare them.
    without_checksums: bool,
}

const NOT_MINTED: Minted = Minted {
    is: false,
    if_none_match: false,
    may_stay_away: false,
    give_ups: 0,
    one_copy: false,
    without_checksums: false,
};

#[derive(Clone, PartialEq, Eq, Hash)]
struct Archived {
    at: VersionRef,
    mark: Mark,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Worker {
    work: Work,
    action: Action,
    token: u64,
    /// The upload whose job this is.
    job: Option<UploadId>,
    /// How many versions the archive had when the function last answered: those a set-aside must have found.
    copies_then: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    uploaded: usize,
    staging: Vec<ListedVersion>,
    archive: Vec<Archived>,
    rows: Vec<Upload>,
    /// Token and dirty flag of the key's lease.
    lease: Option<(u64, bool)>,
    /// The upload whose job holds the lease.
    lease_of_job: Option<UploadId>,
    restarts: u8,
    cancels: u8,
    /// Whether a wake-up that waits was sent by a job that let its key go.
    is_woken_by_job: bool,
    last_token: u64,
    /// Which uploads the store refused or nobody sent, a bit each.
    absent: u8,
    give_ups: u8,
    /// What the sweep saw of the expected upload and has not acted on yet: whether it has come.
    looked: Option<bool>,
    workers: Vec<Option<Worker>>,
    wakes: u8,
    sweeps: u8,
    has_retried: bool,
    now: i64,
    crashes: u8,
    expiries: u8,
    copy_faults: u8,
    function_faults: u8,
}

const ATTEMPTS_MAX: u32 = 2;
/// More states than any configuration here has: work that never ends shows as more.
const STATES_MAX: usize = 300_000;

fn key() -> ObjectRef {
    ObjectRef {
        bucket: "staging".parse().unwrap(),
        key: "a".parse().unwrap(),
    }
}

/// Uploads with such names are routed to jobs.
fn is_for_job(name: &str) -> bool {
    name.starts_with('j')
}

fn rules() -> Rules {
    Rules {
        archive: "archive".parse().unwrap(),
        attempts_max: ATTEMPTS_MAX,
        troubles_max: 1,
        ledger: Capabilities::default(),
        routes: Routes::new(|source| {
            if is_for_job(source.at.version_id.as_str()) {
                Route::Job
            } else {
                Route::Inline
            }
        }),
    }
}

fn checksum(content: u8) -> Checksum {
    Checksum {
        algorithm: Algorithm::Crc64Nvme,
        kind: ChecksumKind::FullObject,
        value: [content; 8].into(),
    }
}

/// The bytes of a version in staging.
fn content(config: &Config, version_id: &VersionId) -> u8 {
    let kind = |kind: &&Kind| kind.name == version_id.as_str();
    config.uploads.iter().find(kind).unwrap().content
}

fn info(at: VersionRef, etag: &str, content: Option<u8>, mark: Option<&Mark>) -> ObjectInfo {
    ObjectInfo {
        at,
        size_bytes: 1,
        etag: ETag::new(etag),
        last_modified: Timestamp::default(),
        checksums: content.map(checksum).into_iter().collect(),
        metadata: Metadata {
            user: mark
                .map(Mark::pairs)
                .unwrap_or_default()
                .into_iter()
                .collect(),
            ..Metadata::default()
        },
    }
}

impl World {
    fn new(config: &Config) -> Self {
        let minted = config.minted.is.then(|| {
            let until = Expectation::until(Timestamp::from_millis(50));
            let id = UploadId::new("minted").unwrap();
            Upload::minted(id, key(), until, Timestamp::from_millis(1))
        });
        Self {
            uploaded: 0,
            staging: Vec::new(),
            archive: Vec::new(),
            rows: minted.into_iter().collect(),
            lease: None,
            lease_of_job: None,
            restarts: config.jobs.restarts,
            cancels: config.jobs.cancels,
            is_woken_by_job: false,
            last_token: 0,
            absent: 0,
            give_ups: config.minted.give_ups,
            looked: None,
            workers: vec![None; config.workers],
            wakes: 0,
            sweeps: 0,
            has_retried: false,
            now: 100,
            crashes: config.crashes,
            expiries: config.expiries,
            copy_faults: config.copy_faults,
            function_faults: config.function_faults,
        }
    }

    fn row(&mut self, id: &UploadId) -> &mut Upload {
        self.rows.iter_mut().find(|row| row.id == *id).unwrap()
    }

    fn row_of(&self, version_id: &str) -> Option<&Upload> {
        self.rows.iter().find(|row| {
            row.version()
                .is_some_and(|at| at.version_id.as_str() == version_id)
        })
    }

    /// The version in staging that a row is of.
    fn version_of(&self, id: &UploadId) -> VersionId {
        let row = self.rows.iter().find(|row| row.id == *id).unwrap();
        row.version().unwrap().version_id
    }

    /// The upload that is expected, if it still is.
    fn expected(&self) -> Option<&Upload> {
        self.rows
            .iter()
            .find(|row| row.is_expected() && row.state == State::Pending)
    }

    fn has_unnoted(&self) -> bool {
        self.staging
            .iter()
            .any(|version| self.row_of(version.version_id.as_str()).is_none())
    }

    /// Whether the archive has these bytes, verified and recorded.
    fn has_recorded(&self, config: &Config, bytes: u8) -> bool {
        self.archive.iter().any(|copy| {
            content(config, &copy.mark.source_version) == bytes
                && self.rows.iter().any(|row| {
                    row.archive
                        .as_ref()
                        .is_some_and(|record| record.at == copy.at)
                })
        })
    }

    fn current(&self) -> Option<&Archived> {
        self.archive
            .iter()
            .rev()
            .find(|copy| copy.at.key == key().key)
    }

    fn is_quiet(&self, config: &Config) -> bool {
        self.uploaded == config.uploads.len()
            && self.wakes == 0
            && self.looked.is_none()
            && self.workers.iter().all(Option::is_none)
            && self.job_to_start().is_none()
    }

    /// The job that is started next, as far as the key is free.
    fn job_to_start(&self) -> Option<UploadId> {
        let now = Timestamp::from_millis(self.now);
        let mut jobs: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.is_job && row.is_due(now))
            .collect();
        jobs.sort_by_key(|row| row.staged.as_ref().unwrap().order);
        jobs.first()
            .filter(|_| self.lease.is_none())
            .map(|row| row.id.clone())
    }

    /// Every upload of a job that is not finished.
    fn jobs(&self) -> Vec<UploadId> {
        let rows = self.rows.iter();
        rows.filter(|row| row.is_job && matches!(row.state, State::Pending | State::Processing))
            .map(|row| row.id.clone())
            .collect()
    }

    /// Whether a job has this upload, or is to have it before anything behind it.
    fn waits_for_job(&self, row: &Upload) -> bool {
        row.is_job && row.is_due(Timestamp::from_millis(self.now))
    }

    /// Everything that can happen next.
    fn successors(&self, config: &Config) -> Result<Vec<Self>, String> {
        let mut next = Vec::new();
        if let Some(kind) = config.uploads.get(self.uploaded) {
            let is_refused = config.minted.if_none_match && !self.staging.is_empty();
            if is_refused || config.minted.may_stay_away {
                let mut world = self.clone();
                world.absent |= 1 << world.uploaded;
                world.uploaded += 1;
                next.push(world);
            }
            for wakes in config.wakes_each.iter().filter(|_| !is_refused) {
                let mut world = self.clone();
                world.uploaded += 1;
                world.staging.push(ListedVersion {
                    key: key().key,
                    version_id: VersionId::new(kind.name),
                    is_latest: false,
                    is_delete_marker: false,
                    last_modified: Timestamp::from_millis(kind.last_modified),
                    size_bytes: 1,
                    etag: Some(ETag::new(kind.name)),
                });
                world.staging.sort_by_key(|version| version.last_modified);
                world.wakes = (world.wakes + wakes).min(3);
                next.push(world);
            }
        }
        for kind in &config.uploads[..self.uploaded] {
            if kind.is_deleted_by_client
                && self
                    .staging
                    .iter()
                    .any(|v| v.version_id.as_str() == kind.name)
            {
                let mut world = self.clone();
                world.staging.retain(|v| v.version_id.as_str() != kind.name);
                next.push(world);
            }
        }
        match self.looked {
            None if self.give_ups > 0 && self.expected().is_some() => {
                let mut world = self.clone();
                world.give_ups -= 1;
                world.looked = Some(self.has_unnoted());
                next.push(world);
            }
            None => {}
            Some(has_come) => {
                let mut world = self.clone();
                world.looked = None;
                if self.crashes > 0 {
                    let mut world = world.clone();
                    world.crashes -= 1;
                    next.push(world);
                }
                match Overdue::of(has_come, false) {
                    Overdue::Wake => world.wakes = (world.wakes + 1).min(3),
                    Overdue::Leave => {}
                    Overdue::Expire => {
                        let now = Timestamp::from_millis(world.now);
                        for row in &mut world.rows {
                            row.expire(now);
                        }
                    }
                }
                next.push(world);
            }
        }
        if self.restarts > 0 {
            let mut world = self.clone();
            world.restarts -= 1;
            for worker in &mut world.workers {
                let is_in_its_own_process =
                    |w: &Worker| w.job.is_some() && matches!(w.action, Action::Process { .. });
                *worker = worker.take().filter(is_in_its_own_process);
            }
            if world.lease_of_job.is_none() {
                world.lease = None;
            }
            world.wakes = 1;
            next.push(world);
        }
        if self.cancels > 0 {
            for id in self.jobs() {
                let mut world = self.clone();
                world.cancels -= 1;
                world
                    .row(&id)
                    .cancel_job(Timestamp::from_millis(self.now))
                    .unwrap();
                if world.lease_of_job.as_ref() == Some(&id) {
                    world.lease = None;
                    world.lease_of_job = None;
                }
                world.wakes = (world.wakes + 1).min(3);
                next.push(world);
            }
        }
        for n in 0..self.workers.len() {
            if self.workers[n].is_none()
                && let Some(id) = self.job_to_start()
            {
                let mut world = self.clone();
                let (work, action) = Work::begin_job(&rules(), key(), id.clone());
                world.workers[n] = Some(Worker {
                    work,
                    action,
                    token: 0,
                    job: Some(id),
                    copies_then: 0,
                });
                next.push(world);
            }
            match &self.workers[n] {
                None if self.wakes > 0 => {
                    let mut world = self.clone();
                    world.wakes -= 1;
                    let why = if world.is_woken_by_job {
                        Why::Gone
                    } else {
                        Why::Event
                    };
                    world.is_woken_by_job = false;
                    world.begin(n, why);
                    next.push(world);
                }
                None => {}
                Some(worker) => {
                    if self.crashes > 0 {
                        let mut world = self.clone();
                        world.crashes -= 1;
                        world.workers[n] = None;
                        next.push(world);
                    }
                    for (mut world, input) in self.perform(config, worker)? {
                        let rules = rules();
                        let Worker {
                            work,
                            token,
                            copies_then,
                            job,
                            ..
                        } = worker.clone();
                        let copies_then = match input {
                            Input::Processed(_) => world.archive.len(),
                            _ => copies_then,
                        };
                        let token = match input {
                            Input::Claimed => world.last_token,
                            _ => token,
                        };
                        let (work, action) = match (&job, input) {
                            (Some(id), Input::Processed(result)) => {
                                let Some(finish) = self.finish_job(config, worker, id, result)
                                else {
                                    world.workers[n] = None;
                                    next.push(world);
                                    continue;
                                };
                                finish
                            }
                            (_, input) => work.step(&rules, input),
                        };
                        world.workers[n] = match action {
                            Action::Stop(stopped) => {
                                if matches!(
                                    stopped,
                                    Stopped::Stalled { .. } | Stopped::LedgerFailed { .. }
                                ) {
                                    world.wakes = (world.wakes + 1).min(3);
                                }
                                if job.is_some() && stopped == Stopped::Idle {
                                    world.is_woken_by_job = true;
                                    world.wakes = (world.wakes + 1).min(3);
                                }
                                None
                            }
                            action => Some(Worker {
                                work,
                                action,
                                token,
                                job,
                                copies_then,
                            }),
                        };
                        next.push(world);
                    }
                }
            }
        }
        if self.is_quiet(config) && self.is_owed() && self.sweeps < config.sweeps {
            // Long after: leases have run out and waits are over.
            let mut world = self.clone();
            world.sweeps += 1;
            world.now += 1_000_000_000;
            world.lease = None;
            world.lease_of_job = None;
            if self.rows.iter().any(Upload::is_unfinished) || self.has_unnoted() {
                world.begin(0, Why::Gone);
            }
            if self.expected().is_some() {
                world.looked = Some(self.has_unnoted());
            }
            next.push(world);
        }
        if self.is_quiet(config) && !self.is_owed() && !self.has_retried {
            for n in 0..self.rows.len() {
                let mut world = self.clone();
                if world.rows[n].retry().is_ok() {
                    world.has_retried = true;
                    world.wakes = 1;
                    next.push(world);
                }
            }
        }
        Ok(next)
    }

    fn is_owed(&self) -> bool {
        self.rows.iter().any(Upload::is_unfinished)
            || self.has_unnoted()
            || self.expected().is_some()
    }

    fn begin(&mut self, n: usize, why: Why) {
        let (work, action) = Work::begin(&rules(), key(), why);
        self.workers[n] = Some(Worker {
            work,
            action,
            token: 0,
            job: None,
            copies_then: 0,
        });
    }

    /// The second half of a job's turn, from the rows alone; none if its lease is gone.
    fn finish_job(
        &self,
        config: &Config,
        worker: &Worker,
        id: &UploadId,
        result: Result<Report, ProcessError>,
    ) -> Option<(Work, Action)> {
        if self.lease.is_none_or(|(token, _)| token != worker.token) {
            return None;
        }
        let row = self.rows.iter().find(|row| row.id == *id).unwrap().clone();
        if !row.is_interrupted() {
            return Some(Work::release_job(&rules(), key(), id.clone()));
        }
        let source = self.source(config, &row.version().unwrap().version_id);
        Some(Work::finish_job(
            &rules(),
            row,
            source.map(|source| *source),
            result,
        ))
    }

    fn source(&self, config: &Config, version_id: &VersionId) -> Option<Box<ObjectInfo>> {
        let version = self
            .staging
            .iter()
            .find(|version| version.version_id == *version_id)?;
        let at = VersionRef {
            bucket: key().bucket,
            key: key().key,
            version_id: version_id.clone(),
        };
        let bytes = content(config, version_id);
        let known = (!config.minted.without_checksums).then_some(bytes);
        Some(Box::new(info(at, version.version_id.as_str(), known, None)))
    }

    /// Whether an effect is one that a worker or a job must not have.
    fn check_jobs(&self, worker: &Worker) -> Result<(), String> {
        let version = match &worker.action {
            Action::BeginAttempt { id, .. } | Action::Record { id, .. } => self.version_of(id),
            Action::Copy { version_id, .. } | Action::DeleteVersion { version_id } => {
                version_id.clone()
            }
            _ => return Ok(()),
        };
        let row = self.row_of(version.as_str()).unwrap();
        let is_own = worker.job.as_ref() == Some(&row.id);
        let is_begun = matches!(worker.action, Action::BeginAttempt { .. });
        // What is gone from staging, or archived and not deleted there, is finished by whoever comes.
        let is_left_over = matches!(worker.action, Action::Record { was_gone: true, .. });
        let is_with_job = row.is_job && matches!(row.state, State::Pending | State::Processing);
        if !is_own && ((is_begun && is_for_job(version.as_str())) || (is_with_job && !is_left_over))
        {
            return Err(format!("a worker has {}, which is a job's", row.id));
        }
        if worker.job.is_some() && !is_own {
            return Err(format!("the job of another upload has {}", row.id));
        }
        let order = |row: &Upload| row.staged.as_ref().map(|staged| staged.order);
        let is_passed = |older: &&Upload| {
            self.waits_for_job(older)
                && older.id != row.id
                && order(older) < order(row)
                && self.staging.iter().any(|version| {
                    Some(&version.version_id) == older.version().map(|at| at.version_id).as_ref()
                })
        };
        if is_begun && let Some(older) = self.rows.iter().find(is_passed) {
            return Err(format!(
                "{} does not wait for the job of {}",
                row.id, older.id
            ));
        }
        Ok(())
    }

    /// What a worker's next effect may do and answer.
    fn perform(&self, config: &Config, worker: &Worker) -> Result<Vec<(Self, Input)>, String> {
        let mut world = self.clone();
        let is_holder = self.lease.is_some_and(|(token, _)| token == worker.token);
        let needs_lease = matches!(
            worker.action,
            Action::Note { .. }
                | Action::QueueJob { .. }
                | Action::BeginAttempt { .. }
                | Action::Record { .. }
                | Action::Close { .. }
                | Action::End { .. }
                | Action::Release
        );
        if needs_lease && !is_holder {
            return Ok(vec![(world, Input::FencedOff)]);
        }
        self.check_jobs(worker)?;
        let input = match &worker.action {
            Action::Claim | Action::ClaimForJob { .. } => {
                let mut claims = Vec::new();
                if let Some((token, _)) = self.lease {
                    world.lease = Some((token, true));
                    claims.push((world.clone(), Input::Busy));
                    if self.expiries == 0 {
                        return Ok(claims);
                    }
                    world.expiries -= 1;
                }
                world.last_token += 1;
                world.lease = Some((world.last_token, false));
                world.lease_of_job.clone_from(&worker.job);
                claims.push((world, Input::Claimed));
                return Ok(claims);
            }
            Action::List => Input::Listed {
                versions: self.staging.clone(),
                is_complete: true,
            },
            Action::FindUnfinished => Input::Unfinished(
                self.rows
                    .iter()
                    .filter(|row| row.is_unfinished())
                    .cloned()
                    .collect(),
            ),
            Action::Note { versions } => {
                for version in versions {
                    if world.row_of(version.version_id.as_str()).is_some() {
                        continue;
                    }
                    let noted = world.rows.iter().filter(|row| !row.is_expected());
                    let number = noted.count() as u64 + 1;
                    let mut rows = world.rows.iter_mut();
                    if let Some(expected) = rows.find(|row| row.is_expected()) {
                        expected.arrive(number, version);
                    } else {
                        let id = UploadId::new(version.version_id.as_str()).unwrap();
                        world.rows.push(Upload::listed(id, key(), number, version));
                    }
                }
                let uploads = versions
                    .iter()
                    .map(|version| world.row_of(version.version_id.as_str()).unwrap().clone())
                    .collect();
                let archived_mint = world
                    .rows
                    .iter()
                    .find(|row| row.minted && row.state == State::Archived);
                Input::Noted {
                    noted: Noted {
                        uploads,
                        archived_mint: archived_mint.cloned().map(Box::new),
                    },
                    now: Timestamp::from_millis(self.now),
                }
            }
            Action::HeadSource { version_id } => Input::Source(self.source(config, version_id)),
            Action::QueueJob { id } => {
                world.row(id).queue_job(Timestamp::from_millis(self.now));
                Input::Done
            }
            Action::FindArchived { mark, .. } => Input::FoundArchived(
                self.archive
                    .iter()
                    .find(|copy| copy.mark == *mark)
                    .map(|copy| copy.at.clone()),
            ),
            Action::BeginAttempt { id, .. } => {
                let row = world.row(id);
                let begin = row
                    .clone()
                    .begin_attempt(ATTEMPTS_MAX, Timestamp::from_millis(self.now));
                if let two_buckets_pipeline::Begin::Begun(upload) = &begin {
                    *row = upload.clone();
                }
                Input::Begun(Box::new(begin))
            }
            Action::Process { upload, .. } => return self.process(config, upload),
            Action::HeadArchive => Input::ArchiveHead(self.current().map(|copy| {
                Box::new(info(
                    copy.at.clone(),
                    copy.mark.source_version.as_str(),
                    Some(content(config, &copy.mark.source_version)),
                    Some(&copy.mark),
                ))
            })),
            Action::Copy { .. } => return self.copy(&worker.action),
            Action::Verify {
                archived, source, ..
            } => {
                let copy = self.archive.iter().find(|copy| copy.at == *archived);
                let archived = content(config, &copy.unwrap().mark.source_version);
                match source {
                    Some(source) if content(config, source) != archived => Input::VerifyFailed,
                    _ => Input::Verified(checksum(archived)),
                }
            }
            Action::Record {
                id,
                record,
                is_late,
                report,
                ..
            } => {
                let version = self.version_of(id);
                if self
                    .archive
                    .iter()
                    .all(|copy| copy.at != record.at || copy.mark.source_version != version)
                {
                    return Err(format!("{id} is recorded as archived and is not"));
                }
                world.row(id).record_archived(
                    record.clone(),
                    *is_late,
                    report.clone(),
                    Timestamp::from_millis(self.now),
                );
                Input::Done
            }
            Action::DeleteVersion { version_id } => {
                let is_kept = self.row_of(version_id.as_str()).is_some_and(|row| {
                    row.archive.is_some()
                        || (row.state == State::Duplicate
                            && self.has_recorded(config, content(config, version_id)))
                });
                if !is_kept {
                    return Err(format!("{version_id} leaves staging without a record"));
                }
                world
                    .staging
                    .retain(|version| version.version_id != *version_id);
                Input::Done
            }
            Action::Close { id, .. } => {
                world.row(id).close();
                Input::Done
            }
            Action::End { id, turn, .. } => {
                let then = &self.archive[..worker.copies_then];
                if matches!(turn, Turn::Failed { .. })
                    && then
                        .iter()
                        .any(|copy| copy.mark.source_version == self.version_of(id))
                {
                    return Err(format!("{id} is set aside and was archived"));
                }
                // Only a worker without its lease can archive between the look and the record.
                if matches!(turn, Turn::Duplicate { .. })
                    && config.expiries == 0
                    && self
                        .current()
                        .map(|now| content(config, &now.mark.source_version))
                        != Some(content(config, &self.version_of(id)))
                {
                    return Err(format!("{id} is a duplicate and others' bytes are current"));
                }
                let now = Timestamp::from_millis(self.now);
                let end = match turn.clone() {
                    Turn::Deferred {
                        reason,
                        is_counted,
                        look_in_archive,
                    } => End::Deferred {
                        reason,
                        next_attempt_at: Timestamp::from_millis(self.now + 1),
                        is_counted,
                        look_in_archive,
                    },
                    Turn::Crashed { reason } => End::Crashed { reason },
                    Turn::Failed { reason, outcome } => End::Failed { reason, outcome },
                    Turn::Duplicate { of } => End::Duplicate { of },
                };
                world.row(id).end(end, now);
                Input::Done
            }
            Action::Pause { .. } => Input::Done,
            Action::Release => {
                if let Some((token, true)) = world.lease {
                    world.lease = Some((token, false));
                    Input::LookAgain
                } else {
                    world.lease = None;
                    world.lease_of_job = None;
                    Input::Released
                }
            }
            other => return Err(format!("{other:?} has no place here")),
        };
        Ok(vec![(world, input)])
    }

    fn process(&self, config: &Config, upload: &Upload) -> Result<Vec<(Self, Input)>, String> {
        if upload.attempts > ATTEMPTS_MAX {
            return Err(format!("{} is tried too often", upload.id));
        }
        let kind = config
            .uploads
            .iter()
            .find(|kind| kind.name == self.version_of(&upload.id).as_str())
            .unwrap();
        if kind.is_poisoned {
            return Ok(vec![
                (
                    self.clone(),
                    Input::Processed(Err(ProcessError::Permanent("poison".into()))),
                ),
                (
                    self.clone(),
                    Input::Processed(Err(ProcessError::Crashed("poison".into()))),
                ),
            ]);
        }
        let mut all = vec![(self.clone(), Input::Processed(Ok(Report::default())))];
        if self.function_faults > 0 {
            let mut world = self.clone();
            world.function_faults -= 1;
            for error in [
                ProcessError::Transient("later".into()),
                ProcessError::Crashed("gone".into()),
            ] {
                all.push((world.clone(), Input::Processed(Err(error))));
            }
        }
        Ok(all)
    }

    fn copy(&self, action: &Action) -> Result<Vec<(Self, Input)>, String> {
        let Action::Copy {
            version_id,
            to,
            condition,
            metadata,
        } = action
        else {
            unreachable!("only copies come here");
        };
        let failed = |failure| Input::CopyFailed(failure);
        if self
            .staging
            .iter()
            .all(|version| version.version_id != *version_id)
        {
            return Ok(vec![(self.clone(), failed(CopyFailure::SourceGone))]);
        }
        let current = self.archive.iter().rev().find(|copy| copy.at.key == to.key);
        let holds = match (condition, current) {
            (WriteCondition::None, _) | (WriteCondition::IfNoneMatch, None) => true,
            (WriteCondition::IfMatch(etag), Some(copy)) => {
                etag.as_str() == copy.mark.source_version.as_str()
            }
            _ => false,
        };
        let mut all = Vec::new();
        let mut landed = None;
        if holds {
            let user = metadata.iter().cloned().collect();
            let mark = Mark::of(&Metadata {
                user,
                ..Metadata::default()
            })
            .ok_or("a copy without a mark")?;
            if self.archive.iter().any(|copy| copy.mark == mark) {
                return Err(format!("{version_id} is archived twice"));
            }
            if to.key == key().key && current.is_some_and(|copy| copy.mark.order > mark.order) {
                return Err(format!("the archive goes back to {version_id}"));
            }
            if to.key != key().key && to.key != late_key(&key().key, &mark) {
                return Err(format!("{version_id} goes to {}", to.key));
            }
            let at = VersionRef {
                bucket: to.bucket.clone(),
                key: to.key.clone(),
                version_id: VersionId::new(format!("x{}", self.archive.len())),
            };
            let mut world = self.clone();
            world.archive.push(Archived {
                at: at.clone(),
                mark,
            });
            all.push((
                world.clone(),
                Input::Copied(Written {
                    version_id: at.version_id,
                    etag: ETag::new(version_id.as_str()),
                    last_modified: Timestamp::default(),
                }),
            ));
            landed = Some(world);
        } else {
            all.push((self.clone(), failed(CopyFailure::ConditionFailed)));
        }
        if self.copy_faults > 0 {
            let mut world = self.clone();
            world.copy_faults -= 1;
            all.push((world.clone(), failed(CopyFailure::NotWritten("409".into()))));
            all.push((world, failed(CopyFailure::Unknown("time-out".into()))));
            if let Some(mut landed) = landed {
                landed.copy_faults -= 1;
                all.push((landed, failed(CopyFailure::Unknown("time-out".into()))));
            }
        }
        Ok(all)
    }

    fn check_end(&self, config: &Config) -> Result<(), String> {
        for row in &self.rows {
            let is_absent = self.absent.count_ones() as usize == config.uploads.len();
            let is_given_up = row.state == State::Failed
                && row
                    .reason
                    .as_ref()
                    .is_some_and(|reason| reason.starts_with("it never arrived"));
            if row.is_expected() != is_absent || is_given_up != is_absent {
                return Err(format!("what was expected ends as {row:?}"));
            }
        }
        for (n, kind) in config.uploads.iter().enumerate() {
            let row = self.row_of(kind.name);
            let copies = self
                .archive
                .iter()
                .filter(|copy| copy.mark.source_version.as_str() == kind.name)
                .count();
            let is_in_staging = self
                .staging
                .iter()
                .any(|v| v.version_id.as_str() == kind.name);
            let state = row.map(|row| row.state);
            if self.absent & (1 << n) != 0 {
                if state.is_some() || copies > 0 || is_in_staging {
                    return Err(format!("{} was never sent and is {state:?}", kind.name));
                }
                continue;
            }
            let is_right = match state {
                Some(State::Duplicate) => {
                    copies == 0 && !is_in_staging && self.has_recorded(config, kind.content)
                }
                Some(State::Archived | State::Late) => copies == 1 && !is_in_staging,
                Some(State::Failed) => {
                    // Cancelled between a copy and its record, as it is where the two are not one change.
                    let is_cancelled = row
                        .and_then(|row| row.reason.as_deref())
                        .is_some_and(|reason| reason == "its job was cancelled");
                    (copies == 0 || is_cancelled || (config.expiries > 0 && !self.has_retried))
                        && row.is_some_and(|row| row.reason.is_some())
                        && (is_in_staging || kind.is_deleted_by_client)
                }
                // Deleted before anybody saw it.
                None => kind.is_deleted_by_client && !is_in_staging && copies == 0,
                _ => false,
            };
            if !is_right {
                return Err(format!(
                    "{} ends as {state:?}, {copies} times archived, in staging: {is_in_staging}",
                    kind.name
                ));
            }
            // Two crashes of the worker and two of a poisoned function are all it has.
            if state == Some(State::Failed)
                && !kind.is_poisoned
                && !kind.is_deleted_by_client
                && config.crashes + config.expiries + config.function_faults + config.jobs.restarts
                    < 2
                && config.jobs.cancels == 0
            {
                return Err(format!("{} failed for no reason of its own", kind.name));
            }
            let same =
                |copy: &&Archived| content(config, &copy.mark.source_version) == kind.content;
            if config.minted.one_copy && self.archive.iter().filter(same).count() != 1 {
                return Err(format!("the bytes of {} are not archived once", kind.name));
            }
        }
        Ok(())
    }
}

/// Worlds that differ only in how far the tokens have grown are the same: what counts is which are equal.
fn hash(world: &World) -> u64 {
    let mut world = world.clone();
    let of_workers = world.workers.iter().flatten().map(|worker| worker.token);
    let of_lease = world.lease.map(|(token, _)| token);
    let mut tokens: Vec<_> = of_workers
        .chain(of_lease)
        .filter(|token| *token > 0)
        .collect();
    tokens.sort_unstable();
    tokens.dedup();
    let rank = |token: u64| tokens.iter().position(|known| *known == token);
    let renumbered = |token: u64| rank(token).map_or(0, |rank| rank as u64 + 1);
    for worker in world.workers.iter_mut().flatten() {
        worker.token = renumbered(worker.token);
    }
    world.lease = world.lease.map(|(token, dirty)| (renumbered(token), dirty));
    world.last_token = 0;
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn explore(config: &Config) -> Result<(usize, usize), String> {
    let first = World::new(config);
    let mut seen = HashSet::from([hash(&first)]);
    let mut stack = vec![(first, 0_usize)];
    let mut trail: Vec<String> = Vec::new();
    let mut ends = 0;
    while let Some((world, depth)) = stack.pop() {
        trail.truncate(depth);
        trail.push(
            world
                .workers
                .iter()
                .map(|worker| match worker {
                    Some(worker) => format!("{:.60?}", worker.action),
                    None => "-".into(),
                })
                .collect::<Vec<_>>()
                .join("  |  "),
        );
        let told = |what: String| format!("{}: {what}\n{}", config.name, trail.join("\n"));
        if world.is_quiet(config) && (!world.is_owed() || world.sweeps == config.sweeps) {
            ends += 1;
            world.check_end(config).map_err(told)?;
        }
        for next in world.successors(config).map_err(told)? {
            if seen.insert(hash(&next)) {
                stack.push((next, depth + 1));
            }
        }
        if seen.len() > STATES_MAX {
            return Err(format!("{}: more than {STATES_MAX} states", config.name));
        }
    }
    Ok((seen.len(), ends))
}

fn check(config: &Config) {
    match explore(config) {
        Ok((states, ends)) => {
            println!("{}: {states} states, {ends} ends", config.name);
            assert!(ends > 0);
        }
        Err(broken) => panic!("{broken}"),
    }
}

const CALM: Config = Config {
    name: "calm",
    uploads: &[V1, V2],
    workers: 2,
    crashes: 0,
    expiries: 0,
    copy_faults: 0,
    function_faults: 0,
    wakes_each: &[0, 1, 2],
    sweeps: 5,
    minted: NOT_MINTED,
    jobs: NO_JOBS,
};

/// A version that goes to a job.
const JOB: Kind = Kind { name: "j1", ..V1 };

const MINTED: Minted = Minted {
    is: true,
    if_none_match: true,
    may_stay_away: true,
    give_ups: 1,
    one_copy: true,
    without_checksums: false,
};

#[test]
fn overwritten_while_in_work_both_are_archived_in_order() {
    check(&CALM);
}

#[test]
fn a_wake_up_that_finds_the_key_taken_is_not_forgotten() {
    check(&Config {
        name: "no sweep",
        wakes_each: &[1, 2],
        sweeps: 0,
        ..CALM
    });
}

#[test]
fn a_crash_anywhere_loses_and_doubles_nothing() {
    check(&Config {
        name: "crash",
        crashes: 2,
        ..CALM
    });
}

#[test]
fn a_lease_that_runs_out_while_its_holder_goes_on_does_no_harm() {
    check(&Config {
        name: "expiry",
        expiries: 2,
        ..CALM
    });
}

#[test]
fn a_stalled_worker_a_crash_and_a_copy_without_an_answer_together_do_no_harm() {
    check(&Config {
        name: "expiry, crash and copy faults",
        expiries: 1,
        crashes: 1,
        copy_faults: 1,
        wakes_each: &[1],
        ..CALM
    });
}

#[test]
fn a_copy_that_fails_or_says_nothing_is_looked_for() {
    check(&Config {
        name: "copy faults",
        copy_faults: 3,
        crashes: 1,
        workers: 1,
        wakes_each: &[1],
        ..CALM
    });
}

#[test]
fn a_multipart_that_ends_late_is_kept_beside_and_never_current() {
    const EARLY: Kind = Kind {
        name: "v0",
        last_modified: 5,
        ..V1
    };
    check(&Config {
        name: "late multipart",
        uploads: &[V1, EARLY],
        crashes: 1,
        copy_faults: 1,
        expiries: 1,
        wakes_each: &[1],
        ..CALM
    });
}

#[test]
fn a_poisoned_version_is_set_aside_and_holds_up_no_later_one() {
    const POISON: Kind = Kind {
        is_poisoned: true,
        ..V1
    };
    check(&Config {
        name: "poison",
        uploads: &[POISON, V2],
        crashes: 1,
        expiries: 1,
        wakes_each: &[0, 1],
        ..CALM
    });
}

#[test]
fn a_function_that_fails_once_lets_later_versions_go_on() {
    check(&Config {
        name: "function faults",
        function_faults: 1,
        expiries: 1,
        wakes_each: &[1],
        ..CALM
    });
}

#[test]
fn attempts_that_each_crash_are_counted_and_end() {
    check(&Config {
        name: "crashes",
        uploads: &[V1],
        crashes: 3,
        workers: 1,
        wakes_each: &[1],
        ..CALM
    });
}

#[test]
fn a_version_deleted_by_its_client_is_explained_or_was_archived() {
    const DELETED: Kind = Kind {
        is_deleted_by_client: true,
        ..V1
    };
    check(&Config {
        name: "deleted",
        uploads: &[DELETED, V2],
        crashes: 1,
        expiries: 1,
        wakes_each: &[1],
        ..CALM
    });
}

#[test]
fn a_repeat_of_a_minted_upload_is_a_duplicate_whenever_it_lands_and_whoever_crashes() {
    check(&Config {
        name: "repeat, crash",
        uploads: &[V1, REPEAT],
        crashes: 1,
        wakes_each: &[0, 1],
        minted: MINTED,
        ..CALM
    });
}

#[test]
fn a_repeat_is_a_duplicate_though_a_lease_runs_out() {
    check(&Config {
        name: "repeat, expiry",
        uploads: &[V1, REPEAT],
        expiries: 1,
        wakes_each: &[0, 1, 2],
        minted: Minted {
            give_ups: 0,
            ..MINTED
        },
        ..CALM
    });
}

#[test]
fn a_repeat_beside_the_first_in_staging_is_a_duplicate_once_that_is_archived() {
    check(&Config {
        name: "repeat beside, copy faults",
        uploads: &[V1, REPEAT],
        workers: 1,
        crashes: 2,
        copy_faults: 1,
        wakes_each: &[0, 1],
        minted: Minted {
            if_none_match: false,
            one_copy: false,
            without_checksums: true,
            ..MINTED
        },
        ..CALM
    });
}

#[test]
fn other_bytes_under_a_minted_key_are_a_new_upload() {
    for without_checksums in [false, true] {
        check(&Config {
            name: "other bytes",
            uploads: &[V1, V2],
            crashes: 1,
            wakes_each: &[1],
            minted: Minted {
                if_none_match: false,
                without_checksums,
                ..MINTED
            },
            ..CALM
        });
    }
}

#[test]
fn the_first_bytes_again_behind_other_bytes_are_a_new_upload_and_current() {
    const AGAIN: Kind = Kind {
        name: "v3",
        last_modified: 30,
        ..V1
    };
    check(&Config {
        name: "the first bytes again",
        uploads: &[V1, V2, AGAIN],
        workers: 1,
        crashes: 1,
        wakes_each: &[1],
        minted: Minted {
            if_none_match: false,
            one_copy: false,
            ..MINTED
        },
        ..CALM
    });
}

#[test]
fn an_upload_that_comes_while_it_is_given_up_is_not_hidden_by_that() {
    check(&Config {
        name: "given up",
        uploads: &[V1],
        crashes: 1,
        expiries: 1,
        wakes_each: &[1],
        minted: Minted {
            give_ups: 2,
            ..MINTED
        },
        ..CALM
    });
}

#[test]
fn a_repeat_of_a_poisoned_upload_ends_as_that_does() {
    const POISON: Kind = Kind {
        is_poisoned: true,
        ..V1
    };
    const POISON_REPEAT: Kind = Kind {
        is_poisoned: true,
        ..REPEAT
    };
    check(&Config {
        name: "poisoned repeat",
        uploads: &[POISON, POISON_REPEAT],
        workers: 1,
        crashes: 1,
        wakes_each: &[1],
        minted: Minted {
            if_none_match: false,
            one_copy: false,
            ..MINTED
        },
        ..CALM
    });
}

#[test]
fn a_repeat_that_may_be_in_the_archive_itself_is_looked_for_before_it_is_compared() {
    const EARLY_REPEAT: Kind = Kind {
        name: "v0",
        last_modified: 5,
        content: 1,
        ..V1
    };
    check(&Config {
        name: "repeat in doubt",
        uploads: &[V1, EARLY_REPEAT],
        workers: 1,
        copy_faults: 2,
        function_faults: 1,
        wakes_each: &[1],
        minted: Minted {
            if_none_match: false,
            one_copy: false,
            ..MINTED
        },
        ..CALM
    });
}

#[test]
fn a_later_version_waits_for_the_job_of_an_older_one() {
    check(&Config {
        name: "job, then a version",
        uploads: &[JOB, V2],
        wakes_each: &[0, 1, 2],
        ..CALM
    });
}

#[test]
fn a_job_behind_a_version_in_work_is_processed_after_it_by_a_job() {
    const JOB_LATER: Kind = Kind { name: "j2", ..V2 };
    check(&Config {
        name: "a version, then a job",
        uploads: &[V1, JOB_LATER],
        crashes: 1,
        wakes_each: &[1],
        ..CALM
    });
    check(&Config {
        name: "two jobs",
        uploads: &[JOB, JOB_LATER],
        crashes: 1,
        wakes_each: &[1],
        ..CALM
    });
}

#[test]
fn a_job_that_dies_or_stalls_anywhere_is_tried_again_and_archived_once() {
    check(&Config {
        name: "job, crash",
        uploads: &[JOB, V2],
        crashes: 2,
        wakes_each: &[1],
        ..CALM
    });
    check(&Config {
        name: "job, expiry and copy faults",
        uploads: &[JOB, V2],
        expiries: 1,
        copy_faults: 1,
        wakes_each: &[1],
        ..CALM
    });
    check(&Config {
        name: "job, function faults",
        uploads: &[JOB, V2],
        expiries: 1,
        function_faults: 1,
        wakes_each: &[1],
        ..CALM
    });
}

#[test]
fn a_server_started_anew_finishes_jobs_that_an_earlier_one_began() {
    check(&Config {
        name: "job, restarts",
        uploads: &[JOB, V2],
        crashes: 1,
        wakes_each: &[1],
        jobs: Jobs {
            restarts: 2,
            cancels: 0,
        },
        ..CALM
    });
}

#[test]
fn a_cancelled_job_moves_nothing_more_and_later_versions_go_on() {
    check(&Config {
        name: "job, cancelled",
        uploads: &[JOB, V2],
        wakes_each: &[1],
        jobs: Jobs {
            restarts: 1,
            cancels: 1,
        },
        ..CALM
    });
}

#[test]
fn a_job_that_is_deleted_by_its_client_is_explained() {
    const DELETED: Kind = Kind {
        is_deleted_by_client: true,
        ..JOB
    };
    check(&Config {
        name: "job, deleted",
        uploads: &[DELETED, V2],
        crashes: 1,
        wakes_each: &[1],
        ..CALM
    });
}
