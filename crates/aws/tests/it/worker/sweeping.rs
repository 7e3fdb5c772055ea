//! Sweeps: figures, and what is woken.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use two_buckets_aws::lambda::sweep;
use two_buckets_aws::worker::SystemClock;
use two_buckets_pipeline::{Clock as _, Why};

use super::world::{World, wake_up};

/// A file that nobody was told of is woken, and its age is in the figures though the ledger knows nothing of it: with a
/// processor that does not run, nothing is ever noted.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_wakes_what_nobody_was_told_of_and_tells_its_age() {
    let Some(world) = World::new("sweep").await else {
        return;
    };
    let all_well = world.sweep().run(&|| false).await.unwrap();
    assert_eq!((all_well.swept.woken, all_well.oldest_unfinished_s), (0, 0));
    assert_eq!(world.said()[0]["OldestUnfinishedSeconds"], 0);

    world.put("plain-1").await;
    let found = world.sweep().run(&|| false).await.unwrap();
    let staged = world.versions("staging").await;
    assert_eq!(
        found.swept.oldest_unnoted,
        Some(staged["plain-1"][0].last_modified)
    );
    assert_eq!(found.swept.woken, 1);
    assert_eq!(world.queue.counts().await, [1, 0, 0]);
    assert_eq!(world.said().len(), 1);
}

/// An upload whose version somebody deleted from staging is explained by a worker that the sweep wakes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_from_staging_is_explained_by_a_worker() {
    let Some(world) = World::new("gone").await else {
        return;
    };
    let version_id = world.put("flaky-1").await;
    world.turns().take(wake_up("flaky-1"), None).await;
    let delete = world.s3.client.delete_object().bucket("staging");
    let delete = delete.key("flaky-1").version_id(version_id);
    delete.send().await.unwrap();
    world.said();

    let answer = sweep(
        &world.sweep(),
        SystemClock.now().after(Duration::from_mins(15)),
    )
    .await
    .unwrap();
    assert_eq!(
        (&answer["listed"], &answer["woken"]),
        (&json!(0), &json!(1))
    );
    assert!(world.said()[0]["OldestUnfinishedSeconds"].is_u64());
    let mut gone = wake_up("flaky-1");
    gone.why = Why::Gone;
    world.turns().take(gone, None).await;
    assert_eq!(world.figures("FailedUploads", 1).await["FailedUploads"], 1);
    let after = world.sweep().run(&|| false).await.unwrap();
    assert_eq!((after.swept.woken, after.oldest_unfinished_s), (0, 0));
}

/// A paused deployment is not flooded with wake-ups that nobody would do anything about.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_wakes_nobody_while_processing_is_paused() {
    let Some(world) = World::new("sweep-paused").await else {
        return;
    };
    world.put("plain-1").await;
    world.is_paused.store(true, Ordering::Relaxed);
    world.sweep().run(&|| false).await.unwrap();
    assert_eq!(world.queue.counts().await, [0, 0, 0]);
    assert!(world.said()[0]["OldestUnfinishedSeconds"].is_u64());
}

/// A sweep that had no time to look at everything says no figure: the alarm must not be stilled by half a look.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_is_not_whole_is_a_failure_and_tells_no_age() {
    let Some(world) = World::new("sweep-cut").await else {
        return;
    };
    world.put("plain-1").await;
    let cut = sweep(&world.sweep(), SystemClock.now()).await;
    assert!(cut.is_err(), "{cut:?}");
    assert_eq!(world.said(), [json!(null); 0]);
}
