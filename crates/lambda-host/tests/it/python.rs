//! Python's own client, `awslambdaric`, where `TWO_BUCKETS_TEST_PYTHON` names a Python that has it.

use std::time::Duration;

use two_buckets_lambda_host::{Config, Failure};

use crate::harness::{Function, LONG, named};

const CODE: &str = r#"
import json, os, sys, time

print("loaded")

def handler(event, context):
    what = event.get("do")
    print("working on", json.dumps(event))
    if what == "raise":
        return {}["key"]
    if what == "hang":
        time.sleep(1000)
    if what == "exit":
        sys.exit(3)
    if what == "die":
        os._exit(4)
    if what == "eat":
        eaten = bytearray(300 * 1024 * 1024)
        for at in range(0, len(eaten), 4096):
            eaten[at] = 1
        time.sleep(1000)
    if what == "large":
        return "a" * event["bytes"]
    return {"got": event, "request_id": context.aws_request_id, "arn": context.invoked_function_arn,
            "left": context.get_remaining_time_in_millis(), "region": os.environ["AWS_REGION"]}
"#;

fn function(change: impl FnOnce(&mut Config)) -> Option<Function> {
    let python = named("TWO_BUCKETS_TEST_PYTHON", "a Python with awslambdaric")?;
    Some(Function::new(|it| {
        std::fs::write(it.folder.join("index.py"), CODE).unwrap();
        std::fs::write(it.folder.join("broken.py"), "import no_such_module\n").unwrap();
        it.command = vec![
            python,
            "-m".into(),
            "awslambdaric".into(),
            it.handler.clone().into(),
        ];
        change(it);
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_function_answers_and_its_output_is_its_own() {
    let Some(function) = function(|_| {}) else {
        return;
    };
    for number in 0..3 {
        let event = format!("{{\"number\": {number}}}");
        let (response, log) = function.invoke_with_log(&event).await;
        let response = response.unwrap();
        let said: serde_json::Value = serde_json::from_slice(&response.payload).unwrap();
        assert_eq!(said["got"]["number"], number);
        assert_eq!(said["request_id"], response.request_id);
        assert_eq!(said["region"], "eu-central-1");
        let left = said["left"].as_u64().unwrap();
        assert!((1..=60_000).contains(&left), "{left}");
        assert!(log.contains(&format!("working on {event}")), "{log}");
        assert_eq!(log.contains("loaded"), number == 0, "{log}");
    }
    assert_eq!(function.host.facts().started, 1);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_exception_has_its_type_message_and_stack() {
    let Some(function) = function(|_| {}) else {
        return;
    };
    let failure = function.invoke(r#"{"do": "raise"}"#).await.unwrap_err();
    let Failure::Function {
        error_type,
        message,
        trace,
    } = failure
    else {
        panic!("{failure}");
    };
    assert_eq!((&*error_type, &*message), ("KeyError", "'key'"));
    assert!(trace.iter().any(|it| it.contains("index.py")), "{trace:?}");
    function.invoke("{}").await.unwrap();
    assert_eq!(function.host.facts().started, 1);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_function_that_hangs_exits_or_eats_memory_is_replaced() {
    let Some(function) = function(|it| {
        it.timeout = Duration::from_secs(3);
        it.memory_mib = 200;
    }) else {
        return;
    };
    let failed = |event: &'static str| {
        let function = &function;
        async move { function.invoke(event).await.unwrap_err() }
    };
    let hung = failed(r#"{"do": "hang"}"#).await;
    assert!(matches!(hung, Failure::TimedOut { .. }), "{hung}");
    let eaten = failed(r#"{"do": "eat"}"#).await;
    assert_eq!(eaten, Failure::OutOfMemory { limit_mib: 200 });
    let died = failed(r#"{"do": "die"}"#).await;
    assert!(
        matches!(died, Failure::Exited { ref how, .. } if how == "exit status: 4"),
        "{died}"
    );
    let exited = failed(r#"{"do": "exit"}"#).await;
    assert!(
        matches!(exited, Failure::Exited { .. } | Failure::Function { .. }),
        "{exited}"
    );
    function.invoke("{}").await.unwrap();
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_module_that_cannot_be_loaded_is_a_failed_start() {
    let Some(function) = function(|it| {
        it.handler = "broken.handler".into();
        *it.command.last_mut().unwrap() = "broken.handler".into();
    }) else {
        return;
    };
    let failure = function.acquire().await.unwrap_err();
    let Failure::Init { cause, .. } = failure else {
        panic!("{failure}");
    };
    let Failure::Function {
        error_type,
        message,
        ..
    } = *cause
    else {
        panic!("{cause}");
    };
    assert_eq!(error_type, "Runtime.ImportModuleError");
    assert!(message.contains("no_such_module"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_response_that_is_too_large_is_a_failure() {
    let Some(function) = function(|it| it.timeout = LONG) else {
        return;
    };
    let failure = function
        .invoke(r#"{"do": "large", "bytes": 7000000}"#)
        .await
        .unwrap_err();
    assert_eq!(failure, Failure::ResponseTooLarge);
    function.invoke("{}").await.unwrap();
    function.host.stop().await;
}
