//! The calls on Batch.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_batch::Client;
use aws_sdk_batch::config::retry::RetryConfig;
use aws_sdk_batch::types::{
    ContainerOverrides, JobStatus, JobSummary, KeyValuePair, KeyValuesPair, RetryStrategy,
};
use two_buckets_objects::VersionRef;

use super::Error;
use super::standing::is_live;
use crate::words::words;

/// The most jobs of one `DescribeJobs` (Batch API, `DescribeJobs`, `jobs`).
const DESCRIBED_MAX: usize = 100;
/// The most names of jobs that are read in one go; a queue that has more at once is none of ours.
const LISTED_MAX: usize = 100_000;
/// The states of a job that goes on to run or runs (Batch API, `ListJobs`, `jobStatus`).
const LIVE: [JobStatus; 5] = [
    JobStatus::Submitted,
    JobStatus::Pending,
    JobStatus::Runnable,
    JobStatus::Starting,
    JobStatus::Running,
];

/// The variables by which a job's container knows which upload it is about.
pub const KEY_HEX_VARIABLE: &str = "TWO_BUCKETS_JOB_KEY_HEX";
/// As [`KEY_HEX_VARIABLE`], for its version.
pub const VERSION_VARIABLE: &str = "TWO_BUCKETS_JOB_VERSION";

/// A queue of Batch, and what is submitted to it.
pub(super) struct Queue {
    client: Client,
    name: String,
    definition: String,
}

/// How it stands with one job.
pub(super) struct Seen {
    /// Whether it goes on to run or runs.
    pub(super) is_live: bool,
    /// How it ended, in words.
    pub(super) how: String,
}

impl Queue {
    pub(super) fn new(client: Client, name: String, definition: String) -> Self {
        Self {
            client,
            name,
            definition,
        }
    }

    /// The names of the jobs that live.
    pub(super) async fn live(&self) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        for status in LIVE {
            let call = self.client.list_jobs().job_queue(&self.name);
            let mut jobs = call.job_status(status).into_paginator().items().send();
            while let Some(job) = jobs.next().await {
                let job = job.map_err(|error| Error::Batch(words(&error)))?;
                names.extend(job.job_name.map(|name| name.to_lowercase()));
                if names.len() > LISTED_MAX {
                    return Err(Error::Batch(format!(
                        "the queue {} has more than {LISTED_MAX} jobs",
                        self.name
                    )));
                }
            }
        }
        Ok(names)
    }

    /// The jobs of this name, or whose names begin so where it ends with `*`, in whatever state, those made last first.
    pub(super) async fn named(&self, name: &str) -> Result<Vec<JobSummary>, Error> {
        let by_name = KeyValuesPair::builder().name("JOB_NAME").values(name);
        let call = self.client.list_jobs().job_queue(&self.name);
        let mut jobs = call
            .filters(by_name.build())
            .into_paginator()
            .items()
            .send();
        let mut all = Vec::new();
        while let Some(job) = jobs.next().await {
            all.push(job.map_err(|error| Error::Batch(words(&error)))?);
            if all.len() == DESCRIBED_MAX {
                // More than enough runs of one upload, the latest of them.
                break;
            }
        }
        Ok(all)
    }

    /// Submits the job of this version under this name; gives its id.
    ///
    /// The call has no token by which Batch would know a repeat, so it is not repeated: where its answer is lost, the
    /// next to look finds the job by its name.
    pub(super) async fn submit(&self, name: &str, at: &VersionRef) -> Result<String, Error> {
        let variable = |name: &str, value: String| {
            let pair = KeyValuePair::builder().name(name).value(value);
            pair.build()
        };
        // A variable holds no zero byte, and a key may.
        let overrides = ContainerOverrides::builder()
            .environment(variable(KEY_HEX_VARIABLE, hex::encode(at.key.as_str())))
            .environment(variable(
                VERSION_VARIABLE,
                at.version_id.as_str().to_owned(),
            ))
            .build();
        let once = aws_sdk_batch::config::Builder::default().retry_config(RetryConfig::disabled());
        let submitted = self
            .client
            .submit_job()
            .job_name(name)
            .job_queue(&self.name)
            .job_definition(&self.definition)
            // Attempts are counted by the ledger.
            .retry_strategy(RetryStrategy::builder().attempts(1).build())
            .container_overrides(overrides)
            .customize()
            .config_override(once)
            .send()
            .await
            .map_err(|error| Error::Batch(words(&error)))?;
        Ok(submitted.job_id.unwrap_or_default())
    }

    /// How it stands with these jobs; of those that Batch does not know nothing is said.
    pub(super) async fn described(&self, ids: &[&str]) -> Result<HashMap<String, Seen>, Error> {
        let mut seen = HashMap::new();
        for ids in ids.chunks(DESCRIBED_MAX) {
            let call = self.client.describe_jobs();
            let described = call
                .set_jobs(Some(ids.iter().map(|id| (*id).to_owned()).collect()))
                .send()
                .await
                .map_err(|error| Error::Batch(words(&error)))?;
            for job in described.jobs.unwrap_or_default() {
                let container = job.container.as_ref();
                let mut how = match &job.status {
                    Some(JobStatus::Succeeded) => {
                        "its job on Batch ended without saying what became of it".to_owned()
                    }
                    _ => "its job on Batch failed".to_owned(),
                };
                let reasons = [
                    job.status_reason.clone(),
                    container.and_then(|it| it.reason.clone()),
                    container
                        .and_then(|it| it.exit_code)
                        .map(|code| format!("exit code {code}")),
                ];
                for reason in reasons.into_iter().flatten() {
                    how.push_str("; ");
                    how.push_str(&reason);
                }
                let is_live = is_live(job.status.as_ref());
                if let Some(id) = job.job_id {
                    seen.insert(id, Seen { is_live, how });
                }
            }
        }
        Ok(seen)
    }

    /// Ends a job, or takes it out of the queue.
    pub(super) async fn terminate(&self, id: &str, why: &str) -> Result<(), Error> {
        let call = self.client.terminate_job().job_id(id).reason(why);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Batch(words(&error))),
        }
    }
}
