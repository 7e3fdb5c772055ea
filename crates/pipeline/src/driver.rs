use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tracing::{info, warn};
use two_buckets_objects::{BucketName, ObjectInfo, ObjectRef, ObjectStore, VersionId, VersionRef};

use crate::backoff::{
    ATTEMPT_WAIT_FIRST, ATTEMPT_WAIT_MAX, STORE_WAIT_FIRST, STORE_WAIT_MAX, full_jitter,
};
use crate::ledger::{Claim, ClaimKey, MoveUpload, MovedInOne, Release, StartUpload, Started};
use crate::running::Running;
use crate::step::{Action, Input, Rules, Stopped, Turn, Work};
use crate::verify::{Verdict, verify};
use crate::{
    CancelOnDrop, Clock, End, Holder, Incoming, Lease, Ledger, ProcessError, Processor, Report,
    RetryAfter, Routes, State, Upload, UploadId, WakeUp, WakeUps, Why, ledger, staging,
};

/// How a driver works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bucket uploads land in. It must be versioned.
    pub staging: BucketName,
    /// The bucket they are kept in.
    pub archive: BucketName,
    /// The worker's name.
    pub holder: Holder,
    /// How long a lease lasts unless renewed, which happens at a third of it.
    pub lease_life: Duration,
    /// How long the lease of a job lasts unless renewed. It covers the time in which a server is started anew.
    pub job_lease_life: Duration,
    /// Where uploads are processed.
    pub routes: Routes,
    /// The most attempts of an upload.
    pub attempts_max: u32,
    /// How often a store may fail in one turn of an upload.
    pub troubles_max: u32,
}

impl Settings {
    /// The life of a lease unless configured otherwise.
    pub const LEASE_LIFE_DEFAULT: Duration = Duration::from_secs(30);
    /// The life of a job's lease unless configured otherwise.
    pub const JOB_LEASE_LIFE_DEFAULT: Duration = Duration::from_mins(1);
    /// How often what a run says is kept while it runs: the most of it that is lost with a worker that dies.
    pub const SAID_KEPT_EVERY: Duration = Duration::from_secs(1);
    /// How long a key rests after a turn that a store's failure ended.
    pub const STALL_WAIT: Duration = Duration::from_secs(5);

    /// Settings for these buckets, all else as by default.
    pub fn new(staging: BucketName, archive: BucketName, holder: Holder) -> Self {
        Self {
            staging,
            archive,
            holder,
            lease_life: Self::LEASE_LIFE_DEFAULT,
            job_lease_life: Self::JOB_LEASE_LIFE_DEFAULT,
            routes: Routes::default(),
            attempts_max: Rules::ATTEMPTS_MAX_DEFAULT,
            troubles_max: Rules::TROUBLES_MAX_DEFAULT,
        }
    }
}

const _: () = assert!(
    STORE_WAIT_MAX.as_millis() * 3 < Settings::LEASE_LIFE_DEFAULT.as_millis(),
    "a pause must end before a lease is renewed"
);

/// Performs the protocol: asks [`Work`] what to do, does it by one call of a trait, and tells it what happened.
/// Renews the lease meanwhile, and drops what is under way when the lease is gone.
pub struct Driver<S, L, P, C, W> {
    /// Both buckets.
    pub store: Arc<S>,
    /// The ledger.
    pub ledger: Arc<L>,
    /// The function.
    pub processor: Arc<P>,
    /// The clock.
    pub clock: Arc<C>,
    /// Where keys go that have something to do later.
    pub wake_ups: Arc<W>,
    /// Random numbers, for waits only.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// How to work.
    pub settings: Settings,
}

/// What a turn on a key did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How it ended.
    pub stopped: Stopped,
    /// What happened to uploads.
    pub tally: Tally,
}

/// What the first half of a job's turn came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobClaim {
    /// The key is the job's and an attempt has begun: run the function, renew the lease meanwhile, and finish.
    Begun {
        /// The lease.
        lease: Lease,
        /// The upload's row.
        upload: Box<Upload>,
        /// Its version in staging.
        source: Box<ObjectInfo>,
    },
    /// There is nothing for the job to do, now or ever; the key is let go.
    Nothing(Stopped),
}

/// What happened to uploads in a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Archived or late, of versions that were in staging.
    pub archived: u64,
    /// Put off.
    pub deferred: u64,
    /// Set aside.
    pub failed: u64,
    /// Recognised as repeats.
    pub duplicate: u64,
    /// Finished though their version was gone from staging: it was archived.
    pub finished: u64,
    /// Set aside because their version was gone from staging and in no archive.
    pub explained: u64,
}

impl<S, L, P, C, W> Driver<S, L, P, C, W>
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
    /// What the steps have to know.
    pub fn rules(&self) -> Rules {
        Rules {
            archive: self.settings.archive.clone(),
            attempts_max: self.settings.attempts_max,
            troubles_max: self.settings.troubles_max,
            ledger: self.ledger.capabilities(),
            routes: self.settings.routes.clone(),
        }
    }

    /// Takes a turn on a key: does all there is to do about it now, if nobody else does.
    ///
    /// `stopping` is asked before something new is begun. Dropping the future midway is a crash of the worker: nothing
    /// is lost, the lease runs out, and an attempt that had begun counts.
    pub async fn run(
        &self,
        key: &ObjectRef,
        why: Why,
        stopping: &(dyn Fn() -> bool + Sync),
    ) -> Outcome {
        let rules = self.rules();
        let mut turn = self.turn(key, None, self.settings.lease_life);
        let (mut work, mut action) = Work::begin(&rules, key.clone(), why);
        loop {
            if let Action::Stop(stopped) = action {
                self.rest(key, &stopped).await;
                return Outcome {
                    stopped,
                    tally: turn.tally,
                };
            }
            let input = if work.can_drain() && stopping() {
                Input::Drain
            } else {
                turn.perform(action).await
            };
            (work, action) = work.step(&rules, input);
        }
    }

    /// Takes the first half of a job's turn: claims its key and begins an attempt, if its upload is one of a job and
    /// next in its key. The lease is in this holder's name.
    ///
    /// Dropping the future midway is a crash of the job.
    pub async fn claim_job(&self, key: &ObjectRef, id: &UploadId, holder: &Holder) -> JobClaim {
        let rules = self.rules();
        let mut turn = self.turn(key, None, self.settings.job_lease_life);
        turn.holder = holder.clone();
        let (mut work, mut action) = Work::begin_job(&rules, key.clone(), id.clone());
        loop {
            let input = match action {
                Action::Stop(stopped) => {
                    self.after_job(key, &stopped).await;
                    return JobClaim::Nothing(stopped);
                }
                Action::Process { upload, source } => match turn.lease.take() {
                    Some(lease) => {
                        return JobClaim::Begun {
                            lease,
                            upload,
                            source,
                        };
                    }
                    None => Input::FencedOff,
                },
                action => turn.perform(action).await,
            };
            (work, action) = work.step(&rules, input);
        }
    }

    /// Takes the second half of a job's turn, under the lease of the first: what the function answered, or that its
    /// process is dead, and how long a next attempt has to wait at least. Where no attempt is open under the lease, it is
    /// only let go.
    ///
    /// Must not run twice at once for one lease. Repeating it is harmless: the lease is gone then. Dropping the future
    /// midway is a crash of the job.
    pub async fn finish_job(
        &self,
        lease: &Lease,
        id: &UploadId,
        result: Result<Report, ProcessError>,
        wait_least: Duration,
    ) -> Outcome {
        let key = &lease.key;
        let rules = self.rules();
        let mut turn = self.turn(key, Some(lease.clone()), self.settings.job_lease_life);
        turn.retry_after.at_least(wait_least);
        let (mut work, mut action) = match self.job_in_attempt(key, id).await {
            Ok(Some((upload, source))) => Work::finish_job(&rules, upload, source, result),
            Ok(None) => Work::release_job(&rules, key.clone(), id.clone()),
            Err(stopped) => {
                return Outcome {
                    stopped,
                    tally: Tally::default(),
                };
            }
        };
        loop {
            if let Action::Stop(stopped) = action {
                self.after_job(key, &stopped).await;
                return Outcome {
                    stopped,
                    tally: turn.tally,
                };
            }
            let input = turn.perform(action).await;
            (work, action) = work.step(&rules, input);
        }
    }

    /// The row of a job's upload in an open attempt, with what staging knows of its version.
    async fn job_in_attempt(
        &self,
        key: &ObjectRef,
        id: &UploadId,
    ) -> Result<Option<(Upload, Option<ObjectInfo>)>, Stopped> {
        let upload = match self.ledger.get(id).await {
            Ok(Some(upload)) => upload,
            Ok(None) => return Err(Stopped::FencedOff),
            Err(error) => {
                return Err(Stopped::LedgerFailed {
                    reason: error.to_string(),
                });
            }
        };
        let Some(version) = upload
            .version()
            .filter(|_| upload.is_interrupted() && upload.key == *key)
        else {
            return Ok(None);
        };
        match staging::head_source(&*self.store, &version).await {
            Input::Source(source) => Ok(Some((upload, source.map(|source| *source)))),
            Input::StoreFailed(reason) => Err(Stopped::Stalled { reason }),
            other => unreachable!("{other:?} is no answer about a source"),
        }
    }

    /// Has the key of a job looked at, whatever is left in it: a job looks after its own upload only.
    async fn after_job(&self, key: &ObjectRef, stopped: &Stopped) {
        match stopped {
            Stopped::Busy | Stopped::FencedOff => {}
            Stopped::Stalled { .. } | Stopped::LedgerFailed { .. } => self.rest(key, stopped).await,
            Stopped::Idle | Stopped::Drained => {
                let wake_up = WakeUp {
                    key: key.clone(),
                    why: Why::Gone,
                };
                self.wake_ups.wake(wake_up, None).await;
            }
        }
    }

    fn turn<'a>(
        &'a self,
        key: &'a ObjectRef,
        lease: Option<Lease>,
        life: Duration,
    ) -> Turned<'a, S, L, P, C, W> {
        Turned {
            driver: self,
            key,
            holder: self.settings.holder.clone(),
            lease,
            life,
            heartbeat: self.heartbeat(life),
            retry_after: RetryAfter::default(),
            tally: Tally::default(),
        }
    }

    fn heartbeat(&self, life: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.clock.sleep(life / 3))
    }

    /// Has a key that could not be finished looked at again.
    async fn rest(&self, key: &ObjectRef, stopped: &Stopped) {
        let wait = match stopped {
            Stopped::Idle | Stopped::Busy | Stopped::FencedOff | Stopped::Drained => return,
            Stopped::Stalled { reason } => {
                warn!(bucket = %key.bucket, key = %key.key, reason, "the key rests: a store fails");
                Settings::STALL_WAIT
            }
            Stopped::LedgerFailed { reason } => {
                warn!(bucket = %key.bucket, key = %key.key, reason, "the key rests: the ledger fails");
                self.settings.lease_life
            }
        };
        let wake_up = WakeUp {
            key: key.clone(),
            why: Why::Event,
        };
        self.wake_ups
            .wake(wake_up, Some(self.clock.now().after(wait)))
            .await;
    }
}

/// One turn in progress.
struct Turned<'a, S, L, P, C, W> {
    driver: &'a Driver<S, L, P, C, W>,
    key: &'a ObjectRef,
    /// In whose name it claims.
    holder: Holder,
    lease: Option<Lease>,
    /// How long its lease lasts unless renewed.
    life: Duration,
    heartbeat: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    /// What the latest run said of the next.
    retry_after: RetryAfter,
    tally: Tally,
}

impl<S, L, P, C, W> Turned<'_, S, L, P, C, W>
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
    async fn perform(&mut self, action: Action) -> Input {
        let driver = self.driver;
        let key = self.key;
        let Some(mut lease) = self.lease.take() else {
            return self.perform_unclaimed(action).await;
        };
        let tally = &mut self.tally;
        let (action, mut running) = match action {
            Action::Process { upload, source } => {
                let (running, incoming, guard) = Running::begin(driver, &lease, &upload, *source);
                self.retry_after = incoming.retry_after.clone();
                (Effect::Process(Box::new(incoming), guard), Some(running))
            }
            action => (Effect::Of(action), None),
        };
        let mut effect = Box::pin(effect(
            driver,
            key,
            lease.clone(),
            action,
            self.retry_after.least(),
            tally,
        ));
        let mut next_said = said_later(&*driver.clock, running.is_some());
        let input = loop {
            let woken = select(self.heartbeat.as_mut(), next_said.as_mut());
            match select(effect, woken).await {
                Either::Left((input, _)) => break input,
                Either::Right((Either::Right(((), _)), under_way)) => {
                    effect = under_way;
                    if let Some(running) = &mut running {
                        running.keep_said(&*driver.ledger, key).await;
                    }
                    next_said = said_later(&*driver.clock, running.is_some());
                }
                Either::Right((Either::Left(((), _)), under_way)) => {
                    effect = under_way;
                    self.heartbeat = driver.heartbeat(self.life);
                    let expires_at = driver.clock.now().after(self.life);
                    match driver.ledger.renew(&lease, expires_at).await {
                        Ok(renewed) => lease = renewed,
                        Err(ledger::Error::FencedOff) => break Input::FencedOff,
                        Err(error) => {
                            warn!(bucket = %key.bucket, key = %key.key, %error, "a lease was not renewed; trying again");
                        }
                    }
                }
            }
        };
        // Before the outcome, so that who sees that it ended sees all it wrote; and whatever the end was.
        if let Some(running) = running {
            running.keep_last(&*driver.ledger, key).await;
        }
        self.lease = Some(lease);
        input
    }

    /// What comes before the key is claimed.
    async fn perform_unclaimed(&mut self, action: Action) -> Input {
        let driver = self.driver;
        let claim = ClaimKey {
            key: self.key.clone(),
            holder: self.holder.clone(),
            now: driver.clock.now(),
            life: self.life,
            job: None,
        };
        match action {
            Action::Claim => self.claim(claim).await,
            Action::ClaimForJob { id } => {
                let claim = ClaimKey {
                    job: Some(id),
                    ..claim
                };
                self.claim(claim).await
            }
            Action::Start { versions } => {
                let start = StartUpload {
                    claim,
                    versions,
                    attempts_max: driver.settings.attempts_max,
                    routes: driver.settings.routes.clone(),
                };
                match driver.ledger.start(&start).await {
                    Ok(started) => {
                        if let Started::Claimed(lease) | Started::Begun { lease, .. } = &started {
                            self.hold(lease.clone());
                        }
                        Input::Started(started)
                    }
                    Err(error) => refused(&error),
                }
            }
            Action::List => list(driver, self.key).await,
            Action::Pause { troubles } => pause(driver, troubles).await,
            other => unreachable!("{other:?} comes behind a claim"),
        }
    }

    async fn claim(&mut self, claim: ClaimKey) -> Input {
        match self.driver.ledger.claim(&claim).await {
            Ok(Claim::Held(lease)) => {
                self.hold(lease);
                Input::Claimed
            }
            Ok(Claim::Busy) => Input::Busy,
            Err(error) => refused(&error),
        }
    }

    fn hold(&mut self, lease: Lease) {
        self.lease = Some(lease);
        self.heartbeat = self.driver.heartbeat(self.life);
    }
}

async fn list<S: ObjectStore, L, P, C, W>(
    driver: &Driver<S, L, P, C, W>,
    key: &ObjectRef,
) -> Input {
    match staging::versions_of(&*driver.store, key).await {
        Ok((versions, is_complete)) => Input::Listed {
            versions,
            is_complete,
        },
        Err(error) => Input::StoreFailed(error.to_string()),
    }
}

async fn pause<S, L, P, C: Clock, W>(driver: &Driver<S, L, P, C, W>, troubles: u32) -> Input {
    let wait = full_jitter(
        troubles,
        STORE_WAIT_FIRST,
        STORE_WAIT_MAX,
        (driver.random)(),
    );
    driver.clock.sleep(wait).await;
    Input::Done
}

fn refused(error: &ledger::Error) -> Input {
    match error {
        ledger::Error::FencedOff => Input::FencedOff,
        error => Input::LedgerFailed(error.to_string()),
    }
}

/// What is done under a lease.
enum Effect {
    /// The function runs.
    Process(Box<Incoming>, CancelOnDrop),
    /// Any other action.
    Of(Action),
}

/// Ends when it is time to keep what a run has said since; never while nothing runs.
fn said_later<C: Clock>(
    clock: &C,
    is_running: bool,
) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    if is_running {
        Box::pin(clock.sleep(Settings::SAID_KEPT_EVERY))
    } else {
        Box::pin(std::future::pending())
    }
}

/// One effect under a lease.
async fn effect<S, L, P, C, W>(
    driver: &Driver<S, L, P, C, W>,
    key: &ObjectRef,
    lease: Lease,
    effect: Effect,
    wait_least: Duration,
    tally: &mut Tally,
) -> Input
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
    let action = match effect {
        Effect::Process(incoming, _guard) => {
            return Input::Processed(driver.processor.process(*incoming).await);
        }
        Effect::Of(action) => action,
    };
    let store = &*driver.store;
    let ledger = &*driver.ledger;
    let now = driver.clock.now();
    let version = |version_id: VersionId| VersionRef {
        bucket: key.bucket.clone(),
        key: key.key.clone(),
        version_id,
    };
    match action {
        Action::List => list(driver, key).await,
        Action::Pause { troubles } => pause(driver, troubles).await,
        Action::FindUnfinished => match ledger.unfinished_of(key).await {
            Ok(rows) => Input::Unfinished(rows),
            Err(error) => refused(&error),
        },
        Action::Note { versions } => match ledger.note(&lease, &versions).await {
            Ok(noted) => Input::Noted { noted, now },
            Err(error) => refused(&error),
        },
        Action::HeadSource { version_id } => {
            staging::head_source(store, &version(version_id)).await
        }
        Action::FindArchived { mark, size_bytes } => {
            staging::find_archived(store, &driver.settings.archive, &key.key, &mark, size_bytes)
                .await
        }
        Action::BeginAttempt { id, facts } => {
            let max = driver.settings.attempts_max;
            match ledger.begin_attempt(&lease, &id, &facts, max, now).await {
                Ok(begin) => Input::Begun(Box::new(begin)),
                Err(error) => refused(&error),
            }
        }
        Action::QueueJob { id } => match ledger.queue_job(&lease, &id, now).await {
            Ok(upload) => {
                info!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(&upload),
                    "left to a job");
                Input::Done
            }
            Err(error) => refused(&error),
        },
        Action::HeadArchive => {
            staging::head_archive(store, &driver.settings.archive, &key.key).await
        }
        Action::Copy {
            version_id,
            to,
            condition,
            metadata,
        } => staging::copy(store, &version(version_id), &to, condition, metadata).await,
        Action::Verify {
            archived,
            source,
            expected,
        } => {
            let source = source.map(version);
            match verify(store, &expected, source.as_ref(), &archived).await {
                Ok(Verdict::Same(checksum)) => Input::Verified(checksum),
                Ok(Verdict::Different | Verdict::Incomparable) => {
                    warn!(bucket = %archived.bucket, key = %archived.key, version_id = %archived.version_id,
                        "an archived version is not as its source");
                    Input::VerifyFailed
                }
                Err(error) => Input::StoreFailed(error.to_string()),
            }
        }
        Action::RemoveCopy { archived } => done(store.delete_version(&archived).await),
        Action::Record {
            id,
            record,
            is_late,
            report,
            was_gone,
        } => {
            let recorded = ledger
                .record_archived(&lease, &id, &record, is_late, report.as_ref(), now)
                .await;
            match recorded {
                Ok(upload) => {
                    if !was_gone {
                        archived(&upload, tally);
                    }
                    Input::Done
                }
                Err(error) => refused(&error),
            }
        }
        Action::Move { id, report } => {
            let upload = MoveUpload {
                id,
                archive: driver.settings.archive.clone(),
                report,
                now,
            };
            match ledger.move_in_one(&lease, &upload).await {
                Ok(moved) => {
                    if let MovedInOne::Moved { upload, .. } = &moved {
                        archived(upload, tally);
                    }
                    Input::Moved(moved)
                }
                Err(error) => refused(&error),
            }
        }
        Action::DeleteVersion { version_id } => {
            done(store.delete_version(&version(version_id)).await)
        }
        Action::Close { id, was_gone } => match ledger.close(&lease, &id).await {
            Ok(()) => {
                tally.finished += u64::from(was_gone);
                Input::Done
            }
            Err(error) => refused(&error),
        },
        Action::End {
            id,
            turn,
            failures,
            was_gone,
        } => {
            let end = end_of(driver, turn, failures, wait_least);
            match ledger.end(&lease, &id, &end, now).await {
                Ok(upload) => {
                    ended(driver, &upload, &end, was_gone, tally).await;
                    Input::Done
                }
                Err(error) => refused(&error),
            }
        }
        Action::Release => match ledger.release(&lease).await {
            Ok(Release::Released) => Input::Released,
            Ok(Release::LookAgain) => Input::LookAgain,
            Err(error) => refused(&error),
        },
        other @ (Action::Claim
        | Action::ClaimForJob { .. }
        | Action::Start { .. }
        | Action::Process { .. }
        | Action::Stop(_)) => {
            unreachable!("{other:?} does not come here under a lease")
        }
    }
}

fn done(result: two_buckets_objects::Result<()>) -> Input {
    match result {
        Ok(()) => Input::Done,
        Err(error) => Input::StoreFailed(error.to_string()),
    }
}

fn end_of<S, L, P, C: Clock, W>(
    driver: &Driver<S, L, P, C, W>,
    turn: Turn,
    failures: u32,
    wait_least: Duration,
) -> End {
    match turn {
        Turn::Deferred {
            reason,
            is_counted,
            look_in_archive,
        } => {
            let wait = full_jitter(
                failures,
                ATTEMPT_WAIT_FIRST,
                ATTEMPT_WAIT_MAX,
                (driver.random)(),
            );
            End::Deferred {
                reason,
                next_attempt_at: driver.clock.now().after(wait.max(wait_least)),
                is_counted,
                look_in_archive,
            }
        }
        Turn::Crashed { reason } => End::Crashed { reason },
        Turn::Failed { reason, outcome } => End::Failed { reason, outcome },
        Turn::Duplicate { of } => End::Duplicate { of },
    }
}

fn archived(upload: &Upload, tally: &mut Tally) {
    tally.archived += 1;
    let duration_ms = upload
        .started_at
        .zip(upload.finished_at)
        .map(|(began, ended)| u64::try_from(ended.since(began).as_millis()).unwrap_or(u64::MAX));
    let how = match upload.state {
        State::Late => "archived beside a newer upload of its key",
        _ => "archived",
    };
    info!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload),
        attempt = upload.attempts_ever, duration_ms, "{how}");
}

/// The version in staging, for logs.
fn version_id(upload: &Upload) -> &str {
    upload
        .staged
        .as_ref()
        .map_or("none", |staged| staged.version_id.as_str())
}

async fn ended<S, L, P, C, W: WakeUps>(
    driver: &Driver<S, L, P, C, W>,
    upload: &Upload,
    end: &End,
    was_gone: bool,
    tally: &mut Tally,
) {
    let reason = upload.reason.as_deref().unwrap_or_default();
    match end {
        End::Deferred {
            next_attempt_at, ..
        } => {
            tally.deferred += 1;
            info!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload),
                attempt = upload.attempts_ever, reason, "an attempt failed and is repeated later");
            let wake_up = WakeUp {
                key: upload.key.clone(),
                why: Why::Event,
            };
            driver.wake_ups.wake(wake_up, Some(*next_attempt_at)).await;
        }
        End::Crashed { reason } => {
            warn!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload),
                attempt = upload.attempts_ever, reason, "the function crashed");
        }
        End::Failed { .. } if upload.state == State::Failed => {
            tally.explained += u64::from(was_gone);
            tally.failed += u64::from(!was_gone);
            warn!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload),
                attempt = upload.attempts_ever, reason, "set aside as failed");
        }
        End::Failed { .. } => {}
        End::Duplicate { of } => {
            tally.duplicate += 1;
            info!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload), %of,
                "a repeat of an archived upload, removed");
        }
    }
}
