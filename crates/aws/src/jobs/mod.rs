//! Jobs on Batch: files that are too big or too slow for a function, each processed by a container of its own.
//!
//! The ledger says which jobs there are to be; Batch is only asked to run them, and what it says is never the truth about
//! a file. A job claims its key itself ([`Driver::run_job`], as [`holder`] of its Batch id), so two containers for one
//! upload, or one that comes too late, do no harm: the second finds the key taken or nothing to do, and ends.
//!
//! * **Submitting is idempotent through the ledger.** `SubmitJob` has no token. A run's job has a name that follows from
//!   the upload and the run's number; before it is submitted Batch is asked for that name. A job that ended before it had
//!   begun (its image cannot be fetched) is submitted again after growing waits, which follow from what Batch remembers.
//! * **The sweep reconciles** ([`Jobs::end_dead`], [`Jobs::start_due`]): what the ledger queued and Batch does not have is
//!   submitted; an attempt whose job has ended at Batch without a word in the ledger has crashed, and counts.
//! * **Cancelling** is one change of the ledger, which fences the job off; then its containers are terminated
//!   ([`Jobs::terminate`]).
//!
//! A job whose attempt failed for now is submitted again by the first sweep after its wait.
//!
//! # Permissions
//!
//! `batch:SubmitJob` on the queue and the definition; `batch:ListJobs` and `batch:DescribeJobs`, which Batch knows no
//! resource for; `batch:TerminateJob` for whoever cancels.

mod name;
mod queue;
mod standing;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};
use two_buckets_objects::{ObjectRef, ObjectStore};
use two_buckets_pipeline::job::{JobSeen, to_start};
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{
    Clock, Driver, Lease, Ledger, ProcessError, Processor, Upload, UploadId, WakeUps, ledger,
};

use crate::Clients;
pub use name::holder;
use name::{base, batch_job_of, of_next_run};
use queue::Queue;
pub use queue::{KEY_HEX_VARIABLE, VERSION_VARIABLE};
use standing::{Standing, is_live, standing};

/// How many rows are read in one go.
const PAGE: usize = 1_000;

/// Where jobs run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobsOptions {
    /// The queue of Batch, by name or ARN.
    pub queue: String,
    /// The definition, by name or ARN, with its revision.
    pub definition: String,
    /// How many jobs lie in the queue or run at most, those excepted that are started as soon as they are queued. How
    /// many run at once is for Batch's compute environment to say.
    pub at_once: usize,
}

/// What became of dead jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dead {
    /// How many attempts were ended.
    pub attempts: usize,
    /// How many uploads that set aside as failed, because it was their last attempt.
    pub failed: u64,
}

/// Why it is not known how it stands with jobs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Batch does not do what it is asked for.
    #[error("Batch: {0}")]
    Batch(String),
    /// The ledger does not.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

/// Jobs on Batch, as whoever starts and ends them sees them. Not for the container of a job, which is
/// [`Driver::run_job`].
pub struct Jobs<S, L, P, C, W> {
    driver: Arc<Driver<S, L, P, C, W>>,
    queue: Queue,
    at_once: usize,
}

impl<S, L, P, C, W> Jobs<S, L, P, C, W>
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
    /// Of this driver's ledger, in this queue.
    pub fn new(
        clients: &Clients,
        driver: Arc<Driver<S, L, P, C, W>>,
        options: JobsOptions,
    ) -> Self {
        Self {
            driver,
            queue: Queue::new(clients.batch(), options.queue, options.definition),
            at_once: options.at_once,
        }
    }

    /// Starts the job of this key, if one is due and nobody has the key. For after a turn that left an upload to a job
    /// ([`Tally::queued`](two_buckets_pipeline::Tally)), so that it need not wait for the sweep. Says how many were
    /// submitted.
    pub async fn start_of(&self, key: &ObjectRef) -> Result<usize, Error> {
        let mut seen = Vec::new();
        for upload in self.driver.ledger.unfinished_of(key).await? {
            if upload.is_job {
                seen.push(self.seen(upload, false).await?);
            }
        }
        self.start(&seen, usize::MAX).await
    }

    /// Starts what is due and has no job that lives, the first of each key, those received first first. Says how many
    /// were submitted.
    ///
    /// Dropping the future leaves some submitted; the next call finds them.
    pub async fn start_due(&self) -> Result<usize, Error> {
        // Before the rows, so that a row's run is not taken for one that somebody else began since.
        let live = self.queue.live().await?;
        let now = self.driver.clock.now();
        let (mut seen, mut keys, mut after) = (Vec::new(), HashSet::new(), None);
        loop {
            let page = self.driver.ledger.jobs(after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|upload| upload.id.clone());
            for upload in page {
                let lives = live.contains(&of_next_run(&upload));
                let is_first = upload.is_due(now) && keys.insert(upload.key.clone());
                if is_first || lives {
                    let id = upload.id.clone();
                    match self.seen(upload, lives).await {
                        Err(Error::Ledger(why @ ledger::Error::Unreadable { .. })) => {
                            error!(upload = %id, error = %why, "a job is not started");
                        }
                        job => seen.push(job?),
                    }
                }
            }
            // As many as can be started are enough.
            if is_last || seen.len() >= self.at_once {
                break;
            }
        }
        self.start(&seen, self.at_once).await
    }

    async fn seen(&self, upload: Upload, is_started: bool) -> Result<JobSeen, Error> {
        let now = self.driver.clock.now();
        Ok(JobSeen {
            lease: self.driver.ledger.live_lease(&upload.key, now).await?,
            upload,
            is_started,
            not_before: None,
        })
    }

    async fn start(&self, seen: &[JobSeen], at_once: usize) -> Result<usize, Error> {
        let now = self.driver.clock.now();
        let mut started = 0;
        for id in to_start(seen, now, at_once) {
            let Some(upload) = seen.iter().map(|job| &job.upload).find(|it| it.id == id) else {
                continue;
            };
            let Some(at) = upload.version() else {
                continue;
            };
            let name = of_next_run(upload);
            match standing(&self.queue.named(&name).await?, now) {
                Standing::Lives => continue,
                Standing::Rests { ended, until } => {
                    warn!(bucket = %at.bucket, key = %at.key, job_name = name, ended, %until,
                        "a job ended before it had begun; it is submitted again later");
                    continue;
                }
                Standing::Wanted => {}
            }
            let batch_job_id = self.queue.submit(&name, &at).await?;
            info!(bucket = %at.bucket, key = %at.key, version_id = %at.version_id, job_name = name, batch_job_id,
                "a job is submitted");
            started += 1;
        }
        Ok(started)
    }

    /// Ends the attempts whose job on Batch has ended without saying what became of it: they have crashed, and the reason
    /// is what Batch says.
    ///
    /// Several may do it at once: the ledger takes each end once, though both may count it. Dropping the future midway is
    /// harmless.
    pub async fn end_dead(&self) -> Result<Dead, Error> {
        let held = self.held().await?;
        let ids: Vec<&str> = held.iter().map(|(_, _, id)| id.as_str()).collect();
        let mut described = self.queue.described(&ids).await?;
        let mut dead = Dead::default();
        for (upload, lease, batch_job_id) in held {
            let how = match described.remove(&batch_job_id) {
                Some(seen) if seen.is_live => continue,
                Some(seen) => seen.how,
                None if self.driver.clock.now() < lease.expires_at => continue,
                None => "Batch does not know its job any more".to_owned(),
            };
            let crashed = Err(ProcessError::Crashed(how));
            let outcome = self
                .driver
                .finish_job(&lease, &upload, crashed, Duration::ZERO)
                .await;
            match outcome.stopped {
                // It had said so itself in the meantime.
                Stopped::FencedOff => {}
                Stopped::LedgerFailed { reason } | Stopped::Stalled { reason } => {
                    warn!(%upload, reason, "the end of a job was not kept; its lease runs out");
                }
                Stopped::Idle | Stopped::Busy | Stopped::Drained => {
                    dead.attempts += 1;
                    dead.failed += outcome.tally.failed;
                }
            }
        }
        Ok(dead)
    }

    /// The attempts that jobs on Batch have begun and not ended, with their leases.
    async fn held(&self) -> Result<Vec<(UploadId, Lease, String)>, Error> {
        let ledger = &self.driver.ledger;
        let (mut held, mut after) = (Vec::new(), None);
        loop {
            let page = ledger.jobs(after.as_ref(), PAGE).await?;
            for upload in page.iter().filter(|upload| upload.is_interrupted()) {
                let lease = match ledger.job_lease(&upload.id).await {
                    Err(error @ ledger::Error::Unreadable { .. }) => {
                        error!(upload = %upload.id, %error, "whether a job lives is not known");
                        continue;
                    }
                    lease => lease?,
                };
                if let Some(lease) = lease
                    && let Some(id) = batch_job_of(&lease.holder).map(str::to_owned)
                {
                    held.push((upload.id.clone(), lease, id));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id.clone()),
                _ => return Ok(held),
            }
        }
    }

    /// Terminates the containers of an upload whose job was cancelled: they can change nothing any more, and only cost.
    /// Where that fails it is said in the log, and they end by themselves when they next renew their lease.
    pub async fn terminate(&self, upload: &Upload) {
        if let Err(error) = self.terminate_all(upload).await {
            warn!(upload = %upload.id, %error, "a cancelled job was not terminated; it ends when it next renews its lease");
        }
    }

    async fn terminate_all(&self, upload: &Upload) -> Result<(), Error> {
        let mut ended = Ok(());
        for job in self.queue.named(&format!("{}*", base(upload))).await? {
            if let Some(id) = job.job_id.as_deref()
                && is_live(job.status.as_ref())
            {
                // The others are ended all the same.
                let one = self.queue.terminate(id, "its upload was cancelled").await;
                ended = ended.and(one);
            }
        }
        ended
    }
}

impl<S, L, P, C, W> fmt::Debug for Jobs<S, L, P, C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("at_once", &self.at_once)
            .finish_non_exhaustive()
    }
}
