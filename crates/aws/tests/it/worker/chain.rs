//! The long-running worker, from files to the archive.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use two_buckets_pipeline::State;

use super::world::{PATIENCE, World, wake_up};
use crate::queue::event;

/// Events come twice, late, in another order or never; a function fails for now, for good, panics, or dies with its
/// worker: every file is in the archive once, or in staging with its reason.
#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_archived_once_or_failed_whatever_becomes_of_its_events() {
    let Some(world) = World::new("chain").await else {
        return;
    };
    let single = [
        "a b/ä+1.txt",
        "plain-0",
        "plain-1",
        "plain-2",
        "plain-3",
        "flaky-1",
        "panic-1",
        "hang-1",
    ];
    for key in single {
        world.put(key).await;
    }
    let twice = [world.put("same").await, world.put("same").await];
    world.put("bad-1").await;

    // A worker dies in the middle of one; its lease is still there when the others begin.
    let dying = tokio::spawn({
        let turns = world.turns();
        async move { turns.take(wake_up("hang-1"), None).await }
    });
    world.function.hangs.acquire().await.unwrap().forget();
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());

    // Of plain-2 and plain-3 nobody is told.
    for key in [
        "bad-1",
        "same",
        "hang-1",
        "panic-1",
        "flaky-1",
        "plain-1",
        "plain-0",
        "a+b%2F%C3%A4%2B1.txt",
        "same",
        "plain-1",
        "bad-1",
        "a+b/%C3%A4%2B1.txt",
    ] {
        world.queue.send(&event(&[key])).await;
    }
    world.queue.send(r#"{"two-buckets":"wake-up","hint":{"bucket":"others","key":"plain-0","is_gone":false,"not_before_ms":null}}"#).await;
    world.queue.send("garbage").await;

    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(world.worker().run(async {
        stopped.await.unwrap();
    }));
    let uploads = u64::try_from(single.len() + twice.len()).unwrap();
    let mut figures = world.figures("ArchivedUploads", uploads).await;
    if !figures.contains_key("FailedUploads") {
        figures.extend(world.figures("FailedUploads", 1).await);
    }
    stop.send(()).unwrap();
    assert!(running.await.unwrap(), "nothing was cut off");
    assert_eq!(figures["FailedUploads"], 1);

    let archived = world.versions("archive").await;
    let mut keys: Vec<(&str, usize)> = single.iter().map(|key| (*key, 1)).collect();
    keys.push(("same", 2));
    keys.sort_unstable();
    let found: Vec<(&str, usize)> = archived
        .iter()
        .map(|(key, versions)| (key.as_str(), versions.len()))
        .collect();
    assert_eq!(found, keys);
    for (key, versions) in &archived {
        assert!(
            versions
                .iter()
                .all(|one| one.size_bytes == key.len() as u64)
        );
    }
    let left = world.versions("staging").await;
    assert_eq!(left.keys().collect::<Vec<_>>(), ["bad-1"]);
    let bad = world.row("bad-1").await;
    assert_eq!(bad.state, State::Failed);
    assert_eq!(bad.reason.as_deref(), Some("it is bad"));

    assert_eq!(world.function.attempts("bad-1"), [1]);
    assert_eq!(world.function.attempts("plain-0"), [1]);
    assert_eq!(world.function.attempts("flaky-1"), [1, 2]);
    assert_eq!(world.function.attempts("panic-1"), [1, 2]);
    assert_eq!(world.function.attempts("hang-1"), [1, 2]);
    // What was being received when the worker stopped comes back after the visibility time-out.
    let nothing_hidden = async {
        while world.queue.counts().await[1] != 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, nothing_hidden)
        .await
        .expect("no message is held by a worker that is gone");
}

/// While it is paused wake-ups are taken and nothing is begun; once it goes on, the sweep finds what came meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_begins_nothing_and_forgets_nothing() {
    let Some(world) = World::new("pause").await else {
        return;
    };
    world.is_paused.store(true, Ordering::Relaxed);
    world.put("plain-1").await;
    world.queue.send(&event(&["plain-1"])).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(world.worker().run(async {
        stopped.await.unwrap();
    }));
    // It goes on telling how old the oldest is: figures come whether it is paused or not.
    world.figures("OldestUnfinishedSeconds", 1).await;
    let empty = async { while world.queue.counts().await != [0, 0, 0] {} };
    tokio::time::timeout(PATIENCE, empty)
        .await
        .expect("wake-ups are acknowledged");
    assert_eq!(world.function.attempts("plain-1"), [0_u32; 0]);
    assert!(world.versions("archive").await.is_empty());

    world.is_paused.store(false, Ordering::Relaxed);
    world.figures("ArchivedUploads", 1).await;
    stop.send(()).unwrap();
    assert!(running.await.unwrap());
    assert_eq!(world.function.attempts("plain-1"), [1]);
}

/// A worker that is told to stop finishes what it has begun, and begins no other version of that key: whoever comes next
/// is woken for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopping_worker_leaves_is_woken_again() {
    let Some(world) = World::new("leaves").await else {
        return;
    };
    world.put("plain-1").await;
    let turns = world.turns();
    turns.stop();
    let taken = turns.take(wake_up("plain-1"), None).await;
    assert!(taken.is_done());
    assert_eq!(world.function.attempts("plain-1"), [0_u32; 0]);
    assert_eq!(world.queue.counts().await, [1, 0, 0]);

    let nowhere = format!("{}-that-is-not-there", world.queue.url);
    let turns = world.turns_to(&nowhere);
    turns.stop();
    let taken = turns.take(wake_up("plain-1"), None).await;
    assert!(
        !taken.is_done(),
        "a wake-up is lost only when another is sent"
    );
}
