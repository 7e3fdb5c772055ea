//! Every interleaving of two workers on one key, with the real steps: what happens between any two effects is tried.
//!
//! The fault model: wake-ups are doubled or lost; a worker dies between any two effects; a lease may run out at any
//! moment while its holder goes on; a copy answers 409, 412, or nothing at all, having landed or not; a version
//! may be a late multipart (initiated first, completed last), poisoned, or deleted by its client. Uploads have
//! different bytes. Budgets bound how often each happens; the sweep comes when all is quiet.
//!
//! An operator may retry what failed once.
//!
//! Checked at every effect: nothing leaves staging without a record of an archived version that is its copy; no upload
//! is archived twice; the archive's current version never goes back; no attempt runs beyond the most allowed. Checked
//! when all is quiet and swept: every upload is archived, late, or failed with its reason. No store checks leases, so a
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
use two_buckets_pipeline::{End, ProcessError, Report, State, Upload, UploadId, Why};

/// What one upload is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Kind {
    name: &'static str,
    /// Last-Modified: a late multipart has an earlier one than uploads that came before it.
    last_modified: i64,
    is_poisoned: bool,
    is_deleted_by_client: bool,
}

const V1: Kind = Kind {
    name: "v1",
    last_modified: 10,
    is_poisoned: false,
    is_deleted_by_client: false,
};
const V2: Kind = Kind {
    name: "v2",
    last_modified: 20,
    ..V1
};

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
}

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
    last_token: u64,
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

fn rules() -> Rules {
    Rules {
        archive: "archive".parse().unwrap(),
        attempts_max: ATTEMPTS_MAX,
        troubles_max: 1,
        ledger: Capabilities::default(),
    }
}

fn checksum() -> Checksum {
    Checksum {
        algorithm: Algorithm::Crc64Nvme,
        kind: ChecksumKind::FullObject,
        value: [0; 8].into(),
    }
}

fn info(at: VersionRef, etag: &str, mark: Option<&Mark>) -> ObjectInfo {
    ObjectInfo {
        at,
        size_bytes: 1,
        etag: ETag::new(etag),
        last_modified: Timestamp::default(),
        checksums: vec![checksum()],
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
        Self {
            uploaded: 0,
            staging: Vec::new(),
            archive: Vec::new(),
            rows: Vec::new(),
            lease: None,
            last_token: 0,
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

    fn current(&self) -> Option<&Archived> {
        self.archive
            .iter()
            .rev()
            .find(|copy| copy.at.key == key().key)
    }

    fn is_quiet(&self, config: &Config) -> bool {
        self.uploaded == config.uploads.len()
            && self.wakes == 0
            && self.workers.iter().all(Option::is_none)
    }

    /// Everything that can happen next.
    fn successors(&self, config: &Config) -> Result<Vec<Self>, String> {
        let mut next = Vec::new();
        if let Some(kind) = config.uploads.get(self.uploaded) {
            for wakes in config.wakes_each {
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
        for n in 0..self.workers.len() {
            match &self.workers[n] {
                None if self.wakes > 0 => {
                    let mut world = self.clone();
                    world.wakes -= 1;
                    world.begin(n, Why::Event);
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
                        let (work, action) = work.step(&rules, input);
                        world.workers[n] = match action {
                            Action::Stop(stopped) => {
                                if matches!(
                                    stopped,
                                    Stopped::Stalled { .. } | Stopped::LedgerFailed { .. }
                                ) {
                                    world.wakes = (world.wakes + 1).min(3);
                                }
                                None
                            }
                            action => Some(Worker {
                                work,
                                action,
                                token,
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
            world.begin(0, Why::Gone);
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
            || self.staging.iter().any(|version| {
                self.rows.iter().all(|row| {
                    row.version()
                        .is_none_or(|at| at.version_id != version.version_id)
                })
            })
    }

    fn begin(&mut self, n: usize, why: Why) {
        let (work, action) = Work::begin(&rules(), key(), why);
        self.workers[n] = Some(Worker {
            work,
            action,
            token: 0,
            copies_then: 0,
        });
    }

    /// What a worker's next effect may do and answer.
    fn perform(&self, config: &Config, worker: &Worker) -> Result<Vec<(Self, Input)>, String> {
        let mut world = self.clone();
        let is_holder = self.lease.is_some_and(|(token, _)| token == worker.token);
        let needs_lease = matches!(
            worker.action,
            Action::Note { .. }
                | Action::BeginAttempt { .. }
                | Action::Record { .. }
                | Action::Close { .. }
                | Action::End { .. }
                | Action::Release
        );
        if needs_lease && !is_holder {
            return Ok(vec![(world, Input::FencedOff)]);
        }
        let input = match &worker.action {
            Action::Claim => {
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
                    let is_known = world.rows.iter().any(|row| {
                        row.version()
                            .is_some_and(|at| at.version_id == version.version_id)
                    });
                    if !is_known {
                        let id = UploadId::new(version.version_id.as_str()).unwrap();
                        let number = world.rows.len() as u64 + 1;
                        world.rows.push(Upload::listed(id, key(), number, version));
                    }
                }
                let uploads = versions
                    .iter()
                    .map(|version| {
                        let id = UploadId::new(version.version_id.as_str()).unwrap();
                        world.row(&id).clone()
                    })
                    .collect();
                Input::Noted {
                    noted: Noted {
                        uploads,
                        archived_mint: None,
                    },
                    now: Timestamp::from_millis(self.now),
                }
            }
            Action::HeadSource { version_id } => Input::Source(
                self.staging
                    .iter()
                    .find(|version| version.version_id == *version_id)
                    .map(|version| {
                        let at = VersionRef {
                            bucket: key().bucket,
                            key: key().key,
                            version_id: version_id.clone(),
                        };
                        Box::new(info(at, version.version_id.as_str(), None))
                    }),
            ),
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
                    Some(&copy.mark),
                ))
            })),
            Action::Copy { .. } => return self.copy(&worker.action),
            Action::Verify { archived, .. } => {
                assert!(self.archive.iter().any(|copy| copy.at == *archived));
                Input::Verified(checksum())
            }
            Action::Record {
                id,
                record,
                is_late,
                report,
                ..
            } => {
                if self.archive.iter().all(|copy| {
                    copy.at != record.at || copy.mark.source_version.as_str() != id.as_str()
                }) {
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
                let is_kept = self.rows.iter().any(|row| {
                    row.version().is_some_and(|at| at.version_id == *version_id)
                        && row.archive.is_some()
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
                        .any(|copy| copy.mark.source_version.as_str() == id.as_str())
                {
                    return Err(format!("{id} is set aside and was archived"));
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
            .find(|kind| kind.name == upload.id.as_str())
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
        for kind in config.uploads {
            let row = self.rows.iter().find(|row| row.id.as_str() == kind.name);
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
            let is_right = match state {
                Some(State::Archived | State::Late) => copies == 1 && !is_in_staging,
                Some(State::Failed) => {
                    (copies == 0 || (config.expiries > 0 && !self.has_retried))
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
                && config.crashes + config.expiries + config.function_faults < 2
            {
                return Err(format!("{} failed for no reason of its own", kind.name));
            }
        }
        Ok(())
    }
}

fn hash(world: &World) -> u64 {
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
