//! Files that turns leave to jobs, and the containers of those.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use two_buckets_aws::jobs::{JobsOptions, holder};
use two_buckets_aws::worker::{DeploymentJobs, JobEnded, JobsParts, Sweep, Turns, TurnsOptions};
use two_buckets_objects::{VersionId, VersionRef};
use two_buckets_pipeline::{Routes, Settings, State};

use super::world::{Function, World, wake_up};
use crate::canned::{Canned, Reply};

/// What Batch answers that has no job yet and takes each.
async fn batch() -> Canned {
    Canned::start(|asked| match &*asked.what {
        "POST /v1/listjobs" => Reply::json(&json!({ "jobSummaryList": [] })),
        "POST /v1/submitjob" => Reply::json(&json!({ "jobId": "job-0", "jobName": "a-job" })),
        other => panic!("nobody calls {other}"),
    })
    .await
}

/// How files are worked on, each of them by a job.
fn settings(world: &World) -> Settings {
    Settings {
        routes: Routes::jobs_from(1),
        ..world.options().settings
    }
}

/// Who starts jobs there.
async fn jobs(world: &World, batch: &Canned) -> DeploymentJobs {
    let options = world.options();
    let parts = JobsParts {
        store: options.store,
        ledger: options.ledger,
        wake_ups: options.wake_ups,
        settings: settings(world),
    };
    let of_batch = JobsOptions {
        queue: "queue".into(),
        definition: "definition:3".into(),
        at_once: 2,
    };
    DeploymentJobs::new(&batch.clients().await, parts, of_batch)
}

async fn turns(world: &World, batch: &Canned) -> Arc<Turns<Function>> {
    world.turns_with(TurnsOptions {
        settings: settings(world),
        jobs: jobs(world, batch).await,
        ..world.options()
    })
}

fn version(key: &str, version_id: &str) -> VersionRef {
    VersionRef {
        bucket: "staging".parse().unwrap(),
        key: key.parse().unwrap(),
        version_id: VersionId::new(version_id),
    }
}

fn submitted(batch: &Canned) -> usize {
    let asked = batch.take();
    let submissions = asked.iter().filter(|it| it.what == "POST /v1/submitjob");
    submissions.count()
}

/// Otherwise it waits for the next sweep, some minutes.
#[tokio::test(flavor = "multi_thread")]
async fn the_turn_that_leaves_a_file_to_a_job_submits_it() {
    let Some(world) = World::new("submits").await else {
        return;
    };
    let batch = batch().await;
    let turns = turns(&world, &batch).await;
    world.put("plain-1").await;
    assert!(turns.take(wake_up("plain-1"), None).await.is_done());
    assert_eq!(submitted(&batch), 1);
    assert_eq!(world.function.attempts("plain-1"), [0_u32; 0]);
    assert_eq!(world.row("plain-1").await.state, State::Pending);
}

/// A container may come up after processing was paused: it leaves its file as it is, without an attempt.
#[tokio::test(flavor = "multi_thread")]
async fn the_container_of_a_job_begins_nothing_during_a_pause() {
    let Some(world) = World::new("job-paused").await else {
        return;
    };
    let batch = batch().await;
    let turns = turns(&world, &batch).await;
    let of = version("plain-1", &world.put("plain-1").await);
    turns.take(wake_up("plain-1"), None).await;
    world.is_paused.store(true, Ordering::Relaxed);
    // Another process, which knows nothing of before.
    let container = self::turns(&world, &batch).await;
    let holder = holder("job-0");
    let run = || container.run_job(&of, &holder, std::future::pending());
    assert_eq!(run().await.unwrap(), JobEnded::Paused);
    assert_eq!(world.function.attempts("plain-1"), [0_u32; 0]);
    assert_eq!(world.row("plain-1").await.attempts, 0);
    world.is_paused.store(false, Ordering::Relaxed);
    let ended = run().await.unwrap();
    assert!(matches!(ended, JobEnded::Ended(_)), "{ended:?}");
    assert_eq!(world.versions("archive").await["plain-1"].len(), 1);
}

/// A container is as expensive as it was before the pause, and would begin nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_submits_no_job_while_processing_is_paused() {
    let Some(world) = World::new("jobs-paused").await else {
        return;
    };
    world.put("plain-1").await;
    // A worker that cannot reach Batch leaves it to the sweep.
    let away = Canned::start(|_| Reply::refused(403, "AccessDeniedException")).await;
    let of_worker = turns(&world, &away).await;
    assert!(of_worker.take(wake_up("plain-1"), None).await.is_done());
    let batch = batch().await;
    let sweep = Sweep {
        jobs: jobs(&world, &batch).await,
        ..world.sweep()
    };
    world.is_paused.store(true, Ordering::Relaxed);
    assert_eq!(sweep.run(&|| false).await.unwrap().jobs_started, 0);
    assert_eq!(submitted(&batch), 0);
    world.is_paused.store(false, Ordering::Relaxed);
    assert_eq!(sweep.run(&|| false).await.unwrap().jobs_started, 1);
    assert_eq!(submitted(&batch), 1);
}
