//! A job that is given up.

use std::sync::Arc;

use serde_json::json;
use two_buckets_aws::jobs::JobsOptions;
use two_buckets_aws::tracker::{AwsTracker, Parts};
use two_buckets_aws::wake::SqsWakeUps;
use two_buckets_aws::worker::{DeploymentJobs, JobsParts, SystemClock};
use two_buckets_contracts::tracker::TrackedHost as _;
use two_buckets_uploads::{ListUploads, Tracker as _, UploadState};

use super::host::{Host, JOB_BYTES, settings};
use crate::canned::{Canned, Reply};

/// It could change nothing any more, and would go on to cost.
#[tokio::test(flavor = "multi_thread")]
async fn the_container_of_a_cancelled_job_is_ended() {
    let Some(host) = Host::start().await else {
        return;
    };
    let batch = Canned::start(|asked| match &*asked.what {
        "POST /v1/listjobs" => Reply::json(&json!({ "jobSummaryList": [
            { "jobId": "job-0", "jobName": "a-job", "status": "RUNNING" },
        ] })),
        "POST /v1/terminatejob" => Reply::json(&json!({})),
        other => panic!("nobody calls {other}"),
    })
    .await;
    let (client, url) = (host.queue.client.clone(), host.queue.url.clone());
    let parts = JobsParts {
        store: host.parts.buckets.as_ref().unwrap().store.clone(),
        ledger: host.ledger.clone(),
        wake_ups: SqsWakeUps::new(client, url, Arc::new(SystemClock)),
        settings: settings(),
    };
    let of_batch = JobsOptions {
        queue: "queue".into(),
        definition: "definition:3".into(),
        at_once: 1,
    };
    let tracker = AwsTracker::new(Parts {
        jobs: DeploymentJobs::new(&batch.clients().await, parts, of_batch),
        ..host.parts.clone()
    });
    host.put("large", &[7; JOB_BYTES]).await;
    host.settle().await;
    let page = tracker.list(ListUploads::default()).await.unwrap();
    let cancelled = tracker.cancel(&page.uploads[0].id).await.unwrap();
    assert_eq!(cancelled.state, UploadState::Failed);
    let ended: Vec<_> = batch
        .take()
        .iter()
        .filter(|asked| asked.what == "POST /v1/terminatejob")
        .map(|asked| asked.json()["jobId"].clone())
        .collect();
    assert_eq!(ended, ["job-0"]);
}
