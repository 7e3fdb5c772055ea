//! Rust's own client, `lambda_runtime`.

use std::time::Duration;

use two_buckets_lambda_host::Failure;

use crate::harness::{Function, example};

fn function(timeout: Duration) -> Function {
    Function::new(|it| {
        it.command = vec![example("function").into()];
        it.timeout = timeout;
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_function_answers_and_knows_its_context() {
    let function = function(crate::harness::LONG);
    let mut last = String::new();
    for number in 0..3 {
        let event = format!("{{\"number\":{number}}}");
        let (response, log) = function.invoke_with_log(&event).await;
        let response = response.unwrap();
        let said: serde_json::Value = serde_json::from_slice(&response.payload).unwrap();
        assert_eq!(said["got"]["number"], number);
        assert_eq!(said["request_id"], response.request_id);
        assert_eq!(
            said["arn"],
            "arn:aws:lambda:eu-central-1:000000000000:function:sorter"
        );
        assert_eq!(
            (&said["name"], &said["memory"]),
            (&"sorter".into(), &512.into())
        );
        assert!(said["deadline"].as_u64().unwrap() > 1_700_000_000_000);
        assert_eq!(log, format!("working on {event}\n"));
        assert_ne!(response.request_id, last);
        last = response.request_id;
    }
    assert_eq!(function.host.facts().started, 1);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_functions_errors_and_panics_are_its_own_and_it_goes_on() {
    let function = function(crate::harness::LONG);
    let Failure::Function { message, .. } = function.invoke(r#"{"do":"fail"}"#).await.unwrap_err()
    else {
        panic!("no failure of the function");
    };
    assert_eq!(message, "it cannot be done");
    let (result, log) = function.invoke_with_log(r#"{"do":"panic"}"#).await;
    let Failure::Function { message, .. } = result.unwrap_err() else {
        panic!("no failure of the function");
    };
    assert!(message.contains("it went wrong"), "{message}");
    assert!(log.contains("it went wrong"), "{log}");
    function.invoke("{}").await.unwrap();
    assert_eq!(function.host.facts().started, 1);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_function_that_hangs_or_exits_is_replaced() {
    let function = function(Duration::from_secs(1));
    let hung = function.invoke(r#"{"do":"hang"}"#).await.unwrap_err();
    assert!(matches!(hung, Failure::TimedOut { .. }), "{hung}");
    let ended = function.invoke(r#"{"do":"exit"}"#).await.unwrap_err();
    assert!(
        matches!(ended, Failure::Exited { ref how, .. } if how == "exit status: 3"),
        "{ended}"
    );
    function.invoke("{}").await.unwrap();
    assert_eq!(function.host.facts().started, 3);
    function.host.stop().await;
}
