//! What the processes of jobs ask of the server that has the store, and what it finds out about them by itself.
//!
//! A job is named by its version and by the fencing token of its lease. Nothing about it is kept here: a server that was
//! started anew answers a job that the one before it began.

mod slots;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::Mutex;
use two_buckets_objects::{
    Body, BucketName, ByteRange, Error as StoreError, ObjectInfo, ObjectStore as _, VersionRef,
};
use two_buckets_pipeline::job::JobSeen;
use two_buckets_pipeline::ledger::Said;
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{
    Clock as _, FencingToken, Holder, JobClaim, Lease, Ledger as _, Order, Outputs, ProcessError,
    Processor, Report, State, Upload, UploadId, ledger,
};
use two_buckets_s3_api::Pins;

use crate::function::not_moved;
use crate::worker::LocalDriver;
use slots::JobSlots;

/// How many jobs are looked at in one go.
const PAGE_JOBS: usize = 1_000;

/// Jobs, as their processes and whoever starts them see them. Cheap to clone; outlives the workers without harm.
pub struct Jobs<P> {
    driver: Arc<LocalDriver<P>>,
    /// Held over the second half of a turn, which must not run twice at once.
    finishing: Arc<Mutex<()>>,
    /// What the credentials of jobs' functions mean.
    slots: Arc<JobSlots>,
}

impl<P> Clone for Jobs<P> {
    fn clone(&self) -> Self {
        Self {
            driver: Arc::clone(&self.driver),
            finishing: Arc::clone(&self.finishing),
            slots: Arc::clone(&self.slots),
        }
    }
}

/// What a job is given that begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BegunJob {
    /// What it shows with everything that it asks.
    pub token: FencingToken,
    /// How long its lease lasts unless it is renewed.
    pub lease_life: Duration,
    /// What staging says of its version.
    pub source: ObjectInfo,
    /// Its place among the uploads of its key.
    pub order: Order,
    /// Which run of its version this is.
    pub attempt: u32,
    /// Which run it is since it was last made pending.
    pub tries: u32,
    /// The bucket that its outputs go into.
    pub archive: BucketName,
    /// The name of the session that its function reaches both buckets by.
    pub session_name: String,
}

/// What a job says that its function has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RanJob {
    /// Which run it was.
    pub attempt: u32,
    /// What it has said since it was last asked.
    pub said: Said,
    /// What the function answered.
    pub result: Result<Report, ProcessError>,
    /// How long a next attempt has to wait at least.
    pub retry_after: Duration,
    /// Whether not having moved its file itself is a failure of the function.
    pub must_have_moved: bool,
}

/// Why a job is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// There is no upload of this version that a job has to do with now.
    #[error(
        "no job is to be done for this version now: there is none, it has ended, or it waits for its next attempt"
    )]
    Nothing,
    /// Somebody else has the key at this moment.
    #[error("somebody else has the key at this moment")]
    Busy,
    /// The lease is gone: the job was cancelled, has ended, or another has its key.
    #[error("the job does not hold its key any more")]
    Gone,
    /// The store or the ledger fails, perhaps for a moment only.
    #[error("{0}")]
    Unavailable(String),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<P: Processor> Jobs<P> {
    pub(crate) fn new(driver: Arc<LocalDriver<P>>, pins: Pins) -> Self {
        let archive = driver.settings.archive.clone();
        Self {
            driver,
            finishing: Arc::default(),
            slots: Arc::new(JobSlots::new(pins, archive)),
        }
    }

    /// Takes on the jobs that an earlier server began: their functions reach both buckets as before. Once, before
    /// anything is served.
    pub async fn take_on(&self) -> Result<(), JobError> {
        for (at, token) in self.held_with_tokens().await? {
            self.slots.open_again(&at, token);
        }
        Ok(())
    }

    /// The versions whose jobs hold their keys, past their leases' ends or not: they may be alive.
    pub async fn held_ones(&self) -> Result<Vec<VersionRef>, JobError> {
        let held = self.held_with_tokens().await?;
        Ok(held.into_iter().map(|(at, _)| at).collect())
    }

    async fn held_with_tokens(&self) -> Result<Vec<(VersionRef, FencingToken)>, JobError> {
        let ledger = &self.driver.ledger;
        let (mut held, mut after) = (Vec::new(), None);
        loop {
            let page = ledger.jobs(after.as_ref(), PAGE_JOBS).await?;
            for upload in page.iter().filter(|upload| upload.is_interrupted()) {
                if let Some(lease) = ledger.job_lease(&upload.id).await?
                    && let Some(at) = upload.version()
                {
                    held.push((at, lease.token));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE_JOBS => after = Some(last.id.clone()),
                _ => return Ok(held),
            }
        }
    }

    /// Begins the job of this version: claims its key in this holder's name, which is no other process's, and records the
    /// attempt. Asked again by the same holder, whose answer was lost, it is the same.
    pub async fn claim(&self, at: &VersionRef, holder: &Holder) -> Result<BegunJob, JobError> {
        let upload = self.driver.ledger.find(at).await?;
        let upload = upload.ok_or(JobError::Nothing)?;
        let own = self.driver.ledger.job_lease(&upload.id).await?;
        if let Some(lease) = own.filter(|lease| lease.holder == *holder)
            && upload.is_interrupted()
        {
            let source = self.driver.store.head_version(at).await?;
            return Ok(self.begun(&lease, &upload, source));
        }
        if self.driver.wake_ups.is_paused() {
            // Its process was started before. It goes, and another is started when processing is resumed.
            return Err(JobError::Nothing);
        }
        match self.driver.claim_job(&upload.key, &upload.id, holder).await {
            JobClaim::Begun {
                lease,
                upload,
                source,
            } => Ok(self.begun(&lease, &upload, *source)),
            JobClaim::Nothing(Stopped::Busy) => Err(JobError::Busy),
            JobClaim::Nothing(Stopped::Stalled { reason } | Stopped::LedgerFailed { reason }) => {
                Err(JobError::Unavailable(reason))
            }
            JobClaim::Nothing(_) => Err(JobError::Nothing),
        }
    }

    fn begun(&self, lease: &Lease, upload: &Upload, source: ObjectInfo) -> BegunJob {
        BegunJob {
            session_name: self.slots.open(&source.at, lease.token),
            token: lease.token,
            lease_life: self.driver.settings.job_lease_life,
            order: upload.staged.as_ref().map_or(
                Order {
                    last_modified: source.last_modified,
                    number: 0,
                },
                |staged| staged.order,
            ),
            source,
            attempt: upload.attempts_ever,
            tries: upload.attempts,
            archive: self.driver.settings.archive.clone(),
        }
    }

    /// Says that the job lives, and what it has said since.
    pub async fn renew(
        &self,
        at: &VersionRef,
        token: FencingToken,
        attempt: u32,
        said: &Said,
    ) -> Result<(), JobError> {
        let (id, lease) = self.held(at, token).await?;
        let expires_at = self
            .driver
            .clock
            .now()
            .after(self.driver.settings.job_lease_life);
        match self.driver.ledger.renew(&lease, expires_at).await {
            Ok(_) => {}
            Err(ledger::Error::FencedOff) => return Err(JobError::Gone),
            Err(error) => return Err(error.into()),
        }
        self.slots.open_again(at, token);
        self.keep_said(&id, attempt, said).await;
        Ok(())
    }

    /// Takes what the function answered, and does the rest. Repeating it is harmless: the lease is gone then.
    ///
    /// Goes on to its end where the caller goes away.
    pub async fn finish(
        &self,
        at: &VersionRef,
        token: FencingToken,
        ran: RanJob,
    ) -> Result<(), JobError> {
        let (jobs, at) = (self.clone(), at.clone());
        let finishing = tokio::spawn(async move {
            let _one_at_a_time = jobs.finishing.lock().await;
            let (id, lease) = jobs.held(&at, token).await?;
            jobs.keep_said(&id, ran.attempt, &ran.said).await;
            let result = ran.result.and_then(|report| {
                if ran.must_have_moved && jobs.slots.has_not_moved(&at) {
                    Err(not_moved())
                } else {
                    Ok(report)
                }
            });
            let outcome = jobs
                .driver
                .finish_job(&lease, &id, result, ran.retry_after)
                .await;
            if !matches!(
                outcome.stopped,
                Stopped::Stalled { .. } | Stopped::LedgerFailed { .. }
            ) {
                jobs.slots.close(&at);
            }
            match outcome.stopped {
                Stopped::FencedOff => Err(JobError::Gone),
                Stopped::Stalled { reason } | Stopped::LedgerFailed { reason } => {
                    Err(JobError::Unavailable(reason))
                }
                Stopped::Idle | Stopped::Busy | Stopped::Drained => Ok(()),
            }
        });
        finishing
            .await
            .map_err(|error| JobError::Unavailable(error.to_string()))?
    }

    /// Takes note that a process of this upload's job is dead: an attempt that is open in a name that begins so has
    /// crashed. Says whether there is one. Another process's attempt is left alone.
    pub async fn died(&self, id: &UploadId, holder: &str, how: &str) -> Result<bool, JobError> {
        let _one_at_a_time = self.finishing.lock().await;
        let lease = self.driver.ledger.job_lease(id).await?;
        let Some(lease) = lease.filter(|lease| lease.holder.0.starts_with(holder)) else {
            return Ok(false);
        };
        if let Some(at) = self
            .driver
            .ledger
            .get(id)
            .await?
            .and_then(|it| it.version())
        {
            self.slots.close(&at);
        }
        let crashed = Err(ProcessError::Crashed(how.to_owned()));
        self.driver
            .finish_job(&lease, id, crashed, Duration::ZERO)
            .await;
        Ok(true)
    }

    /// Reads the job's version, whole or a range.
    pub async fn read(
        &self,
        at: &VersionRef,
        token: FencingToken,
        range: Option<ByteRange>,
    ) -> Result<Body, JobError> {
        self.held(at, token).await?;
        Ok(self.driver.store.read_version(at, range).await?)
    }

    /// Writes one of the job's outputs.
    pub async fn put_output(
        &self,
        at: &VersionRef,
        token: FencingToken,
        name: &str,
        media_type: &str,
        body: Body,
    ) -> Result<VersionRef, JobError> {
        self.held(at, token).await?;
        // It may lose its key while the body comes, and then the next one's output must stay.
        let (jobs, still) = (self.clone(), at.clone());
        let end = futures::stream::once(async move {
            match jobs.held(&still, token).await {
                Ok(_) => Ok(Bytes::new()),
                Err(error) => Err(StoreError::Unavailable {
                    reason: error.to_string(),
                    source: None,
                }),
            }
        });
        let body: Body = Box::pin(body.chain(end));
        let store = Arc::clone(&self.driver.store);
        let outputs = Outputs::of_version(store, self.driver.settings.archive.clone(), at.clone());
        Ok(outputs.put(name, media_type, body).await?)
    }

    /// The jobs that are due or run, the first of each key, those received first first, with the live lease of each one's
    /// key. Of very many only as many as it takes to find some that nobody holds. Whether processes run for them is not
    /// known here.
    pub async fn seen(&self) -> Result<Vec<JobSeen>, JobError> {
        let ledger = &self.driver.ledger;
        let now = self.driver.clock.now();
        let (mut seen, mut keys, mut after) = (Vec::new(), HashSet::new(), None);
        loop {
            let page = ledger.jobs(after.as_ref(), PAGE_JOBS).await?;
            let is_last = page.len() < PAGE_JOBS;
            after = page.last().map(|upload| upload.id.clone());
            for upload in page {
                if !upload.is_due(now) || !keys.insert(upload.key.clone()) {
                    continue;
                }
                seen.push(JobSeen {
                    lease: ledger.live_lease(&upload.key, now).await?,
                    upload,
                    is_started: false,
                    not_before: None,
                });
            }
            if is_last || seen.iter().any(|job| job.lease.is_none()) {
                return Ok(seen);
            }
        }
    }

    /// Whether this upload's job holds its key, past the lease's end or not: it may be alive.
    pub async fn is_held(&self, id: &UploadId) -> Result<bool, JobError> {
        let lease = self.driver.ledger.job_lease(id).await;
        Ok(lease?.is_some())
    }

    /// Whether a job is to run for this upload, now or later.
    pub async fn is_wanted(&self, id: &UploadId) -> Result<bool, JobError> {
        let upload = self.driver.ledger.get(id).await?;
        Ok(upload.is_some_and(|upload| {
            upload.is_job && matches!(upload.state, State::Pending | State::Processing)
        }))
    }

    /// Whether the job of this upload has given no sign of life for two lives of its lease.
    pub async fn is_silent(&self, id: &UploadId) -> Result<bool, JobError> {
        let lease = self.driver.ledger.job_lease(id).await?;
        let life = self.driver.settings.job_lease_life;
        Ok(lease.is_some_and(|lease| lease.expires_at.after(life) < self.now()))
    }

    /// Whether an attempt of this upload failed for now, so that the next one waits.
    pub async fn is_deferred(&self, id: &UploadId) -> Result<bool, JobError> {
        let upload = self.driver.ledger.get(id).await?;
        Ok(upload.is_some_and(|upload| upload.next_attempt_at.is_some()))
    }

    /// Whether processing is paused, so that no job is to be started.
    pub fn are_paused(&self) -> bool {
        self.driver.wake_ups.is_paused()
    }

    /// Ends when jobs came or were cancelled, or processing was resumed, since it was last called.
    pub async fn changed(&self) {
        self.driver.ledger.jobs_changed().await;
    }

    /// The store's time.
    pub fn now(&self) -> two_buckets_objects::Timestamp {
        self.driver.clock.now()
    }

    async fn held(
        &self,
        at: &VersionRef,
        token: FencingToken,
    ) -> Result<(UploadId, Lease), JobError> {
        let ledger = &self.driver.ledger;
        let upload = ledger.find(at).await?;
        let id = upload.ok_or(JobError::Gone)?.id;
        let lease = ledger.job_lease(&id).await?;
        match lease {
            Some(lease) if lease.token == token => Ok((id, lease)),
            _ => {
                self.slots.close_of(at, token);
                Err(JobError::Gone)
            }
        }
    }

    /// What cannot be kept is said to the operator: an upload does not fail for its log.
    async fn keep_said(&self, id: &UploadId, attempt: u32, said: &Said) {
        if *said == Said::default() {
            return;
        }
        if let Err(error) = self.driver.ledger.keep_said(id, attempt, said).await {
            tracing::warn!(upload = %id, attempt, %error, "the log of a job was not kept");
        }
    }
}

impl From<ledger::Error> for JobError {
    fn from(error: ledger::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
