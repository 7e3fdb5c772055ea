//! Time-outs, ends of processes, and that nothing of them is left.

use std::time::Duration;

use tokio::time::Instant;
use two_buckets_lambda_host::Failure;

use crate::harness::{Function, LONG, Written, processes_of, until, within};

const SHORT: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_hangs_times_out_and_the_next_event_gets_a_new_one() {
    let function = Function::new(|it| it.timeout = SHORT);
    assert_eq!(
        function.invoke("hang").await.unwrap_err(),
        Failure::TimedOut {
            after: SHORT,
            note: None
        }
    );
    assert_eq!(function.gone.lock().unwrap().len(), 1);
    assert_eq!(function.text("echo hi").await, "hi");
    assert_eq!(function.host.facts().started, 2);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_says_what_the_runtime_did_wrong_before() {
    let function = Function::new(|it| it.timeout = SHORT);
    let failure = function.invoke("for-another hang").await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the function timed out after 0.7 s; before that, it answered for a request that it was not given"
    );
    function.host.stop().await;
}

/// Asks for an event, then does what `$1` says when it is asked to end.
const DEAF: &str = r#"
exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&3
read -r line <&3
trap 'echo asked to end' TERM
while true; do sleep 1000 & wait; done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_ignores_sigterm_is_killed() {
    let function = Function::script(DEAF, |it| it.timeout = SHORT);
    let environment = function.acquire().await.unwrap();
    let id = environment.id().to_string();
    let log = Written::default();
    let began = Instant::now();
    let failure = within(environment.invoke(log.invocation("{}")))
        .await
        .unwrap_err();
    assert!(matches!(failure, Failure::TimedOut { .. }), "{failure}");
    assert!(log.text().contains("asked to end"), "{}", log.text());
    assert_eq!(processes_of(&id), Vec::<String>::new());
    // 700 ms to answer, 200 ms to end, and then it is killed.
    assert!(began.elapsed() < Duration::from_secs(8));
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_go_with_their_environment_wherever_they_went() {
    for event in ["children-and-hang", "children"] {
        let function = Function::new(|it| it.timeout = Duration::from_secs(2));
        let environment = function.acquire().await.unwrap();
        let id = environment.id().to_string();
        let log = Written::default();
        let invoked = tokio::spawn(environment.invoke(log.invocation(event)));
        // The runtime, and three sleeps.
        until(|| processes_of(&id).len() >= 4).await;
        let result = within(invoked).await.unwrap();
        if event == "children" {
            result.unwrap();
            assert!(processes_of(&id).len() >= 4);
            within(function.host.stop()).await;
        } else {
            assert!(matches!(result.unwrap_err(), Failure::TimedOut { .. }));
        }
        assert_eq!(processes_of(&id), Vec::<String>::new(), "{event}");
        function.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn children_go_also_when_the_runtime_ended_by_itself() {
    let function = Function::new(|it| it.handler = "leaves.children".into());
    let failure = function.acquire().await.unwrap_err();
    let Failure::Init { cause, .. } = failure else {
        panic!("{failure}");
    };
    assert_eq!(
        *cause,
        Failure::Exited {
            how: "exit status: 5".into(),
            note: None
        }
    );
    let id = function.gone.lock().unwrap()[0].clone();
    assert_eq!(processes_of(&id), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_is_seen_at_once_and_told_in_words() {
    let function = Function::new(|_| {});
    let began = Instant::now();
    for (event, how) in [
        ("exit 7", "exit status: 7"),
        ("abort", "signal: 6 (SIGABRT)"),
        ("exit 0", "exit status: 0"),
    ] {
        assert_eq!(
            function.invoke(event).await.unwrap_err(),
            Failure::Exited {
                how: how.into(),
                note: None
            }
        );
    }
    assert!(began.elapsed() < LONG / 4);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_exits_after_its_answer_has_answered() {
    let function = Function::new(|_| {});
    assert_eq!(function.text("exit-after 4").await, "answered");
    assert_eq!(function.text("echo hi").await, "hi");
    assert_eq!(function.host.facts().started, 2);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_answers_and_asks_for_no_more_is_ended_at_the_deadline() {
    let function = Function::new(|it| it.timeout = SHORT);
    assert_eq!(function.text("stay-after").await, "answered");
    // The next one waits for its place, and gets a new environment.
    assert_eq!(function.text("echo hi").await, "hi");
    assert_eq!(function.host.facts().started, 2);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_that_nobody_waits_for_is_ended() {
    let function = Function::new(|_| {});
    let environment = function.acquire().await.unwrap();
    let id = environment.id().to_string();
    let log = Written::default();
    let invoked = tokio::spawn(environment.invoke(log.invocation("children-and-hang")));
    until(|| processes_of(&id).len() >= 4).await;
    invoked.abort();
    assert!(invoked.await.unwrap_err().is_cancelled());
    until(|| function.gone.lock().unwrap().contains(&id)).await;
    assert_eq!(processes_of(&id), Vec::<String>::new());
    assert_eq!(function.text("echo hi").await, "hi");
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_fails_what_runs_and_leaves_nothing() {
    let function = Function::new(|it| it.concurrency = 2);
    let idle = function.acquire().await.unwrap();
    let busy = function.acquire().await.unwrap();
    let ids = [idle.id().to_string(), busy.id().to_string()];
    drop(idle);
    let log = Written::default();
    let invoked = tokio::spawn(busy.invoke(log.invocation("children-and-hang")));
    until(|| processes_of(&ids[1]).len() >= 4).await;
    within(async { tokio::join!(function.host.stop(), function.host.stop()) }).await;
    assert_eq!(invoked.await.unwrap().unwrap_err(), Failure::Stopped);
    for id in &ids {
        assert_eq!(processes_of(id), Vec::<String>::new());
    }
    assert_eq!(function.acquire().await.unwrap_err(), Failure::Stopped);
    assert_eq!(function.host.facts().ended, 2);
    assert_eq!(function.scratch_folders().len(), 0);
}
