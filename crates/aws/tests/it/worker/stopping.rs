//! What ends a turn in the middle of its key, and a function in the middle of its run.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use two_buckets_aws::worker::{Bounds, SystemClock, TurnsOptions};
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{Clock as _, State};
use two_buckets_s3_api::Fault;

use super::world::{PATIENCE, World, wake_up};
use crate::queue::event;

fn in_time(wait: Duration) -> Timestamp {
    SystemClock.now().after(wait)
}

/// An invocation that runs until these moments, from now.
fn bounds(begin: Duration, process: Duration) -> Bounds {
    Bounds {
        begin_until: in_time(begin),
        process_until: in_time(process),
        drop_at: in_time(PATIENCE),
        answer_by: in_time(PATIENCE),
    }
}

/// What comes to its turn late in an invocation, behind others of its batch, has no time left: its key is put back.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_begins_nothing_in_the_second_half_of_its_invocation() {
    let Some(world) = World::new("late-turn").await else {
        return;
    };
    world.put("plain-1").await;
    let late = bounds(Duration::ZERO, PATIENCE);
    let taken = world.turns().take(wake_up("plain-1"), Some(late)).await;
    assert!(taken.is_done());
    assert_eq!(world.function.attempts("plain-1"), [0_u32; 0]);
    assert_eq!(world.queue.counts().await, [1, 0, 0]);
}

/// A key may have many versions. The sweep at the end of the pause finds the rest, so nobody is woken for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_heard_of_between_two_versions_of_a_key() {
    let Some(world) = World::new("paused-between").await else {
        return;
    };
    world.put("plain-1").await;
    world.put("plain-1").await;
    let is_paused = world.is_paused.clone();
    world.s3.strike(move |name, before| {
        // Longer than a pause is not heard of.
        (name == "CopyObject" && before == 0).then(|| {
            is_paused.store(true, Ordering::Relaxed);
            Fault::Delayed {
                by: Duration::from_secs(6),
                took_effect: true,
            }
        })
    });
    let taken = world.turns().take(wake_up("plain-1"), None).await;
    assert!(taken.is_done());
    assert_eq!(world.function.attempts("plain-1"), [1]);
    assert_eq!(world.versions("archive").await["plain-1"].len(), 1);
    assert_eq!(world.versions("staging").await["plain-1"].len(), 1);
    assert_eq!(world.queue.counts().await, [0, 0, 0]);
}

/// A machine that is taken away is not kept by a key that has many versions.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_begins_no_other_version_of_its_key() {
    let Some(world) = World::new("stops-between").await else {
        return;
    };
    world.put("plain-1").await;
    world.put("plain-1").await;
    let (stop, stopped) = oneshot::channel::<()>();
    let stop = Mutex::new(Some(stop));
    world.s3.strike(move |name, before| {
        (name == "CopyObject" && before == 0).then(|| {
            stop.lock().unwrap().take().unwrap().send(()).unwrap();
            Fault::Delayed {
                by: Duration::from_secs(3),
                took_effect: true,
            }
        })
    });
    world.queue.send(&event(&["plain-1"])).await;
    let running = world.worker().run(async {
        stopped.await.unwrap();
    });
    let has_ended = Box::pin(tokio::time::timeout(PATIENCE, running))
        .await
        .unwrap();
    assert!(has_ended, "nothing was cut off");
    assert_eq!(world.function.attempts("plain-1"), [1]);
    assert_eq!(world.versions("staging").await["plain-1"].len(), 1);
    let waiting: usize = world.queue.counts().await.iter().sum();
    assert!(waiting > 0, "its key is woken again");
}

/// One that never ends is set aside in time, and one that had no time is not charged for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_had_its_time_has_had_an_attempt_and_one_that_was_cut_short_has_not() {
    let Some(world) = World::new("its-time").await else {
        return;
    };
    let turns = world.turns_with(TurnsOptions {
        processing_time_max: Some(Duration::from_secs(1)),
        ..world.options()
    });
    world.put("hang-1").await;
    let turn = turns.take(wake_up("hang-1"), None);
    tokio::time::timeout(PATIENCE, turn).await.expect("it ends");
    let row = world.row("hang-1").await;
    assert_eq!((row.state, row.attempts), (State::Pending, 1));
    let reason = row.reason.unwrap();
    assert!(reason.contains("the longest that it may take"), "{reason}");

    let turns = world.turns_with(TurnsOptions {
        processing_time_max: Some(PATIENCE),
        ..world.options()
    });
    world.put("hang-2").await;
    let short = bounds(PATIENCE, Duration::from_secs(1));
    turns.take(wake_up("hang-2"), Some(short)).await;
    let row = world.row("hang-2").await;
    assert_eq!((row.state, row.attempts), (State::Pending, 0));
    let reason = row.reason.unwrap();
    assert!(
        reason.contains("the invocation in which it ran ends"),
        "{reason}"
    );
}
