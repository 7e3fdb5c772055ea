//! The container of one job on Batch.

use std::future::Future;

use two_buckets_objects::VersionRef;
use two_buckets_pipeline::{Clock as _, Holder, Ledger as _, Outcome, Processor, ledger};

use super::system::SystemClock;
use super::turns::Turns;

/// What became of a job's container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobEnded {
    /// The ledger knows no upload of this version: it has ended and is forgotten, or never was.
    Unknown,
    /// Processing is paused, so nothing was begun. The sweep that begins when it goes on has the job started again.
    Paused,
    /// The job's turn ended.
    Ended(Outcome),
}

impl<P: Processor> Turns<P> {
    /// Takes the whole turn of one version's job, in the name of its job on Batch ([`holder`](crate::jobs::holder)). It has
    /// no time-out but Batch's own. When `stopping` ends, the run is given up and its attempt ends as failed for now.
    ///
    /// Dropping the future midway is a crash of the job: its attempt counts, and the sweep ends it.
    pub async fn run_job(
        &self,
        of: &VersionRef,
        holder: &Holder,
        stopping: impl Future<Output = ()> + Send,
    ) -> Result<JobEnded, ledger::Error> {
        if self.pauses().is_paused(SystemClock.now()).await {
            return Ok(JobEnded::Paused);
        }
        let driver = self.driver(None);
        let Some(upload) = driver.ledger.find(of).await? else {
            return Ok(JobEnded::Unknown);
        };
        // A turn's future is large: on the heap, its callers' stay small.
        let turn = Box::pin(driver.run_job(&upload.key, &upload.id, holder, stopping));
        let outcome = turn.await;
        self.tell(&outcome);
        Ok(JobEnded::Ended(outcome))
    }
}
