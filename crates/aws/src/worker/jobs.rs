//! The jobs of a deployment, as turns start them and the sweep reconciles them.

use std::sync::Arc;

use tracing::warn;
use two_buckets_objects::ObjectRef;
use two_buckets_pipeline::{
    Driver, Incoming, Ledger as _, ProcessError, Processor, Report, Settings,
};

use super::system::{SystemClock, random};
use crate::jobs::{Dead, Error, Jobs, JobsOptions};
use crate::ledger::DynamoLedger;
use crate::wake::SqsWakeUps;
use crate::{Clients, S3Store};

type OfDeployment = Jobs<S3Store, DynamoLedger, NoFunction, SystemClock, SqsWakeUps<SystemClock>>;

/// Who starts and ends the jobs of a deployment; does nothing where it has none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct DeploymentJobs(Option<Arc<OfDeployment>>);

/// What jobs are kept in.
#[derive(Debug)]
pub struct JobsParts {
    /// Both buckets.
    pub store: S3Store,
    /// The ledger.
    pub ledger: DynamoLedger,
    /// Where keys go that waited for a job.
    pub wake_ups: SqsWakeUps<SystemClock>,
    /// How the pipeline works, and in whose name.
    pub settings: Settings,
}

impl DeploymentJobs {
    /// On this queue of Batch. Calls nobody.
    pub fn new(clients: &Clients, parts: JobsParts, options: JobsOptions) -> Self {
        let driver = Driver {
            store: Arc::new(parts.store),
            ledger: Arc::new(parts.ledger),
            processor: Arc::new(NoFunction),
            clock: Arc::new(SystemClock),
            wake_ups: Arc::new(parts.wake_ups),
            random: Arc::new(random),
            settings: parts.settings,
        };
        Self(Some(Arc::new(Jobs::new(
            clients,
            Arc::new(driver),
            options,
        ))))
    }

    /// Starts the job that a turn left this key to. Where that fails the sweep does.
    pub(super) async fn start_of(&self, key: &ObjectRef) {
        let Some(jobs) = &self.0 else {
            warn!(bucket = %key.bucket, key = %key.key,
                "a file waits for a job, and this deployment has no queue of jobs");
            return;
        };
        if let Err(error) = jobs.start_of(key).await {
            warn!(bucket = %key.bucket, key = %key.key, %error, "a job was not started; the sweep starts it");
        }
    }

    /// Ends the attempts whose job is dead.
    pub(super) async fn end_dead(&self) -> Result<Dead, Error> {
        match &self.0 {
            Some(jobs) => jobs.end_dead().await,
            None => Ok(Dead::default()),
        }
    }

    /// Starts what is due.
    pub(super) async fn start_due(&self, ledger: &DynamoLedger) -> Result<usize, Error> {
        if let Some(jobs) = &self.0 {
            return jobs.start_due().await;
        }
        if let [upload, ..] = &ledger.jobs(None, 1).await?[..] {
            warn!(bucket = %upload.key.bucket, key = %upload.key.key,
                "files wait for jobs, and with them later versions of their keys, and this deployment has no queue of \
                 jobs: give it one, or cancel and retry them");
        }
        Ok(0)
    }

    /// Stops the containers of an upload whose job was cancelled; they could change nothing any more.
    pub async fn terminate(&self, upload: &two_buckets_pipeline::Upload) {
        if let Some(jobs) = &self.0 {
            jobs.terminate(upload).await;
        }
    }
}

/// In the place of the function where none is ever asked: whoever sweeps, starts or ends jobs processes nothing.
pub(super) struct NoFunction;

impl Processor for NoFunction {
    async fn process(&self, _: Incoming) -> Result<Report, ProcessError> {
        Err(ProcessError::NotRun("nothing is processed here".into()))
    }
}
