//! Whose output is whose.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{Function, Written, within};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_at_the_start_is_the_first_invocations() {
    let function = Function::new(|it| it.handler = "speaks.first".into());
    let (_, first) = function.invoke_with_log("say one").await;
    let (_, second) = function.invoke_with_log("say two").await;
    assert_eq!(
        (&*first, &*second),
        ("hello from the start\none\n", "two\n")
    );
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_come_as_they_were_written_in_their_order() {
    let function = Function::new(|_| {});
    let environment = function.acquire().await.unwrap();
    let log = Written::default();
    within(environment.invoke(log.invocation("bytes")))
        .await
        .unwrap();
    let mut expected = b"\xff\xfe\x00".to_vec();
    expected.extend(vec![b'z'; 300_000]);
    expected.extend(b"Eno line's end");
    assert!(log.bytes() == expected, "{} bytes", log.bytes().len());
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_before_an_answer_is_complete_when_the_answer_is_there() {
    let function = Function::new(|_| {});
    for number in 0..300 {
        let (_, log) = function.invoke_with_log(&format!("say {number}")).await;
        assert_eq!(log, format!("{number}\n"));
    }
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_complete_though_the_log_is_slow() {
    let function = Function::new(|_| {});
    for _ in 0..3 {
        let environment = function.acquire().await.unwrap();
        let log = Written::default();
        let mut invocation = log.invocation("bytes");
        let fast = invocation.log.clone();
        let never = Mutex::new(std::sync::mpsc::channel::<()>());
        invocation.log = Arc::new(move |bytes| {
            let pause = never
                .lock()
                .unwrap()
                .1
                .recv_timeout(Duration::from_millis(30));
            assert!(pause.is_err());
            fast(bytes);
        });
        within(environment.invoke(invocation)).await.unwrap();
        assert_eq!(log.bytes().len(), 3 + 300_000 + 1 + 13);
    }
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_at_the_same_time_is_kept_apart() {
    let function = Function::new(|it| it.concurrency = 4);
    let mut all = Vec::new();
    for number in 0..40 {
        let host = function.host.clone();
        all.push(tokio::spawn(async move {
            let log = Written::default();
            let environment = host.acquire().await.unwrap();
            environment
                .invoke(log.invocation(&format!("say {number}")))
                .await
                .unwrap();
            assert_eq!(log.text(), format!("{number}\n"));
        }));
    }
    for one in all {
        within(one).await.unwrap();
    }
    assert!(function.host.facts().started <= 4);
    function.host.stop().await;
}
