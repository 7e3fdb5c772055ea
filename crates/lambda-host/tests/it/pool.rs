//! How many environments there are, and how long they live.

use std::time::Duration;

use two_buckets_lambda_host::Outcome;

use crate::harness::{Function, Written, processes_of, until, within};

#[tokio::test(flavor = "multi_thread")]
async fn no_more_run_at_a_time_than_may() {
    let function = Function::new(|it| it.concurrency = 2);
    let first = function.acquire().await.unwrap();
    let second = function.acquire().await.unwrap();
    assert_ne!(first.id(), second.id());
    let third = function.host.acquire();
    tokio::pin!(third);
    assert!(futures_are_pending(&mut third).await);
    let id = first.id().clone();
    drop(first);
    assert_eq!(*within(third).await.unwrap().id(), id);
    drop(second);
    function.host.stop().await;
}

async fn futures_are_pending(future: &mut (impl Future + Unpin)) -> bool {
    tokio::time::timeout(Duration::ZERO, future).await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_ends_after_its_invocations() {
    let function = Function::new(|it| it.recycle_after = 3);
    for _ in 0..7 {
        function.text("echo hi").await;
    }
    assert_eq!(function.host.facts().started, 3);
    function.host.stop().await;
    assert_eq!(function.gone.lock().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_environment_ends_in_time() {
    let function = Function::new(|it| it.idle_timeout = Duration::from_millis(300));
    function.text("echo hi").await;
    until(|| function.host.facts().ended == 1).await;
    assert_eq!(function.scratch_folders().len(), 0);
    // One that is held is not idle.
    let held = function.acquire().await.unwrap();
    tokio::time::timeout(Duration::from_millis(700), std::future::pending::<()>())
        .await
        .unwrap_err();
    let log = Written::default();
    within(held.invoke(log.invocation("echo hi")))
        .await
        .unwrap();
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_is_too_old_takes_no_more() {
    let function = Function::new(|it| it.life_max = Duration::from_millis(400));
    function.text("echo hi").await;
    until(|| function.host.facts().ended == 1).await;
    function.text("echo hi").await;
    assert_eq!(function.host.facts().started, 2);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_environment_that_dies_is_replaced_unseen() {
    let function = Function::new(|_| {});
    for _ in 0..5 {
        let environment = function.acquire().await.unwrap();
        let id = environment.id().to_string();
        // It asks for the next event, and is killed while it waits for it.
        let dying = Written::default().invocation("die-soon");
        within(environment.invoke(dying)).await.unwrap();
        until(|| processes_of(&id).is_empty()).await;
        assert_eq!(function.text("echo hi").await, "hi");
    }
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_response_says_how_long_the_start_took() {
    let function = Function::new(|_| {});
    let first = function.invoke("echo hi").await.unwrap();
    let second = function.invoke("echo hi").await.unwrap();
    assert!(first.init_duration.is_some());
    assert_eq!(second.init_duration, None);
    assert_ne!(first.request_id, second.request_id);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invocations_are_counted_by_how_they_ended() {
    let function = Function::new(|it| it.timeout = Duration::from_millis(500));
    for _ in 0..3 {
        function.text("echo hi").await;
    }
    for how in ["fails", "exit 3", "hang"] {
        function.invoke(how).await.unwrap_err();
    }
    let dropped = function.acquire().await.unwrap();
    let log = Written::default();
    tokio::time::timeout(Duration::ZERO, dropped.invoke(log.invocation("hang")))
        .await
        .unwrap_err();
    let facts = function.host.facts();
    let ended = |outcome| facts.invocations_of(outcome);
    assert_eq!(ended(Outcome::Succeeded), 3);
    assert_eq!(ended(Outcome::FunctionError), 1);
    assert_eq!(ended(Outcome::Exited), 1);
    assert_eq!(ended(Outcome::TimedOut), 1);
    assert_eq!(ended(Outcome::Stopped), 1, "nobody waited for it");
    assert_eq!(facts.invocations.iter().sum::<u64>(), 7);
    assert_eq!(facts.start_failures, 0);
    function.host.stop().await;

    let broken = Function::new(|it| it.handler = "exits.early".into());
    broken.acquire().await.unwrap_err();
    assert_eq!(broken.host.facts().start_failures, 1);
    assert_eq!(broken.host.facts().invocations.iter().sum::<u64>(), 0);
    broken.host.stop().await;
}
