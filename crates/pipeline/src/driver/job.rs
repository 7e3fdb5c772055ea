//! The two halves of a job's turn, and both in one process. What starts jobs is the host's affair.

use std::future::Future;
use std::time::Duration;

use futures::future::{Either, select};
use tracing::warn;
use two_buckets_objects::{ObjectInfo, ObjectRef, ObjectStore};

use super::turned::said_later;
use super::{Driver, Outcome, Tally};
use crate::running::Running;
use crate::step::{Action, Input, Stopped, Work};
use crate::{
    Clock, Holder, Lease, Ledger, ProcessError, Processor, Report, Upload, UploadId, WakeUp,
    WakeUps, Why, ledger, staging,
};
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

impl<S, L, P, C, W> Driver<S, L, P, C, W>
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
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

    /// Takes a job's whole turn in this process: claims its key in this holder's name, runs the function under the lease,
    /// which is renewed at a third of its life, and does the rest. For jobs that reach the store themselves.
    ///
    /// When `stopping` ends, the run is given up and its attempt ends as failed for now. When the lease is gone, because
    /// the job was cancelled or another has its key, everything stops at once and nothing more is written.
    ///
    /// Dropping the future midway is a crash of the job.
    pub async fn run_job(
        &self,
        key: &ObjectRef,
        id: &UploadId,
        holder: &Holder,
        stopping: impl Future<Output = ()> + Send,
    ) -> Outcome {
        let (lease, upload, source) = match self.claim_job(key, id, holder).await {
            JobClaim::Begun {
                lease,
                upload,
                source,
            } => (lease, upload, source),
            JobClaim::Nothing(stopped) => {
                return Outcome {
                    stopped,
                    tally: Tally::default(),
                };
            }
        };
        let (mut running, incoming, guard) = Running::begin(self, &lease, &upload, *source);
        let retry_after = incoming.retry_after.clone();
        let mut run = Box::pin(self.processor.process(incoming));
        let mut stopping = Box::pin(stopping);
        let (mut renewed, mut said) = (
            self.heartbeat(self.settings.job_lease_life),
            said_later(&*self.clock, true),
        );
        let result = loop {
            let beats = select(renewed.as_mut(), said.as_mut());
            match select(select(run.as_mut(), stopping.as_mut()), beats).await {
                Either::Left((Either::Left((result, _)), _)) => break result,
                Either::Left((Either::Right(((), _)), _)) => {
                    break Err(ProcessError::Transient(
                        "its process was told to stop".to_owned(),
                    ));
                }
                Either::Right((Either::Right(((), _)), _)) => {
                    running.keep_said(&*self.ledger, key).await;
                    said = said_later(&*self.clock, true);
                }
                Either::Right((Either::Left(((), _)), _)) => {
                    renewed = self.heartbeat(self.settings.job_lease_life);
                    let expires_at = self.clock.now().after(self.settings.job_lease_life);
                    match self.ledger.renew(&lease, expires_at).await {
                        Ok(_) => {}
                        Err(ledger::Error::FencedOff) => {
                            return Outcome {
                                stopped: Stopped::FencedOff,
                                tally: Tally::default(),
                            };
                        }
                        Err(error) => {
                            warn!(bucket = %key.bucket, key = %key.key, %error, "a job's lease was not renewed; trying again");
                        }
                    }
                }
            }
        };
        drop((run, guard));
        running.keep_last(&*self.ledger, key).await;
        self.finish_job(&lease, id, result, retry_after.least())
            .await
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
}
