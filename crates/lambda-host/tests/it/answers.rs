//! What the Runtime API says and how answers come back.

use two_buckets_lambda_host::{Failure, PAYLOAD_BYTES_MAX, RESPONSE_BYTES_MAX};

use crate::harness::{Function, Written, within};

/// A runtime as Lambda's documentation shows it, on bash alone.
const BOOTSTRAP: &str = r#"
set -eu
call() { # METHOD PATH BODY
  exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
  printf '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "$1" "/2018-06-01/runtime/$2" "${#3}" "$3" >&3
  cat <&3
  exec 3>&-
}
while true; do
  answer=$(call GET invocation/next "" | tr -d '\r')
  id=$(sed -n 's/^lambda-runtime-aws-request-id: //Ip' <<<"$answer")
  event=$(sed '1,/^$/d' <<<"$answer")
  echo "working on $event"
  call POST "invocation/$id/response" "{\"got\": $event}" >/dev/null
done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_shell_bootstrap_answers() {
    let function = Function::script(BOOTSTRAP, |_| {});
    for number in 1..=3 {
        let (response, log) = function.invoke_with_log(&number.to_string()).await;
        let payload = response.unwrap().payload;
        assert_eq!(payload, format!("{{\"got\": {number}}}").as_bytes());
        assert_eq!(log, format!("working on {number}\n"));
    }
    assert_eq!(function.host.facts().started, 1);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_headers_are_those_of_the_runtime_api() {
    let function = Function::new(|_| {});
    let environment = function.acquire().await.unwrap();
    let mut invocation = two_buckets_lambda_host::Invocation::new("head ");
    invocation.trace_id = Some("Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1".into());
    let response = environment.invoke(invocation).await.unwrap();
    let head = String::from_utf8(response.payload.to_vec()).unwrap();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|it| it.split_once(": "));
        lines
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
            .unwrap_or_else(|| panic!("no {name} in {head}"))
            .1
            .to_owned()
    };
    assert_eq!(header("Lambda-Runtime-Aws-Request-Id"), response.request_id);
    assert_eq!(response.request_id.len(), 36);
    assert_eq!(
        header("Lambda-Runtime-Invoked-Function-Arn"),
        "arn:aws:lambda:eu-central-1:000000000000:function:sorter"
    );
    assert_eq!(
        header("Lambda-Runtime-Trace-Id"),
        "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1"
    );
    assert_eq!(header("Content-Type"), "application/json");
    let deadline: u64 = header("Lambda-Runtime-Deadline-Ms").parse().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let left = i128::from(deadline) - i128::try_from(now).unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_keeps_its_type_message_and_stack() {
    let function = Function::new(|_| {});
    let function = &function;
    let failure = |event| async move { function.invoke(event).await.unwrap_err() };
    assert_eq!(
        failure(
            r#"fails {"errorType":"KeyError","errorMessage":"'key'","stackTrace":["  File a\n","  File b\n"]}"#
        )
        .await,
        Failure::Function {
            error_type: "KeyError".into(),
            message: "'key'".into(),
            trace: vec!["  File a".into(), "  File b".into()],
        }
    );
    assert_eq!(
        failure("fails no JSON at all").await,
        Failure::Function {
            error_type: "Unhandled".into(),
            message: "no JSON at all".into(),
            trace: Vec::new(),
        }
    );
    // The environment goes on.
    assert_eq!(function.text("echo hi").await, "hi");
    assert_eq!(function.host.facts().started, 1);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_answer_changes_nothing() {
    let function = Function::new(|_| {});
    let log = Written::default();
    let environment = function.acquire().await.unwrap();
    let response = within(environment.invoke(log.invocation("twice"))).await;
    assert_eq!(response.unwrap().payload, "first");
    // Once it takes the next event, all it wrote about the last one is there.
    assert_eq!(function.text("echo next").await, "next");
    let log = log.text();
    assert_eq!(log, "HTTP/1.1 202 Accepted\nHTTP/1.1 400 Bad Request\n");
    assert_eq!(function.host.facts().started, 1);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_another_request_is_refused() {
    let function = Function::new(|_| {});
    function.text("echo first").await;
    let (response, log) = function.invoke_with_log("for-another then").await;
    assert_eq!(response.unwrap().payload, "mine");
    assert_eq!(log, "HTTP/1.1 400 Bad Request\nHTTP/1.1 400 Bad Request\n");
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_the_next_event_without_an_answer_ends_the_environment() {
    let function = Function::new(|_| {});
    let failure = function.invoke("asks-again").await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the runtime broke the Runtime API: it asked for the next invocation before it answered the one it had"
    );
    assert_eq!(function.text("echo again").await, "again");
    assert_eq!(function.host.facts().started, 2);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_no_answer() {
    let function = Function::new(|_| {});
    let failure = function.invoke("cut").await.unwrap_err();
    assert_eq!(
        failure,
        Failure::Protocol {
            what: "its answer broke off before it was complete".into()
        }
    );
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_its_own_port_hurts_nothing() {
    let function = Function::new(|_| {});
    let (response, log) = function.invoke_with_log("garbage").await;
    assert_eq!(response.unwrap().payload, "still here");
    assert!(
        log.ends_with("HTTP/1.1 404 Not Found\nHTTP/1.1 405 Method Not Allowed\n"),
        "{log}"
    );
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_end_at_lambdas_bound() {
    let function = Function::new(|_| {});
    let largest = format!("echo {}", "a".repeat(PAYLOAD_BYTES_MAX - 5));
    assert_eq!(function.text(&largest).await.len(), PAYLOAD_BYTES_MAX - 5);
    let failure = function.invoke(&(largest + "a")).await.unwrap_err();
    assert_eq!(
        failure,
        Failure::PayloadTooLarge {
            bytes: PAYLOAD_BYTES_MAX + 1
        }
    );
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_end_at_lambdas_bound() {
    let function = Function::new(|_| {});
    let largest = function
        .invoke(&format!("large {RESPONSE_BYTES_MAX}"))
        .await;
    assert_eq!(largest.unwrap().payload.len(), RESPONSE_BYTES_MAX);
    let over = format!("large {}", RESPONSE_BYTES_MAX + 1);
    let log = Written::default();
    let environment = function.acquire().await.unwrap();
    let result = within(environment.invoke(log.invocation(&over))).await;
    assert_eq!(result.unwrap_err(), Failure::ResponseTooLarge);
    // The environment goes on.
    assert_eq!(function.text("echo hi").await, "hi");
    assert_eq!(log.text(), "HTTP/1.1 413 Payload Too Large\n");
    assert_eq!(function.host.facts().started, 1);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_response_is_gathered_and_its_trailers_are_its_error() {
    let function = Function::new(|_| {});
    assert_eq!(function.text("stream ").await, "hello world");
    // {"errorType":"Boom","errorMessage":"half way"}
    let trailers = "stream Lambda-Runtime-Function-Error-Type: Runtime.StreamError|Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJCb29tIiwiZXJyb3JNZXNzYWdlIjoiaGFsZiB3YXkifQ==|";
    assert_eq!(
        function.invoke(trailers).await.unwrap_err(),
        Failure::Function {
            error_type: "Boom".into(),
            message: "half way".into(),
            trace: Vec::new()
        }
    );
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_heard_though_the_runtime_ends_at_once() {
    let function = Function::new(|_| {});
    for _ in 0..20 {
        let failure = function.invoke("fails-and-exits").await.unwrap_err();
        assert!(
            matches!(failure, Failure::Function { ref error_type, .. } if error_type == "LastWords"),
            "{failure}"
        );
    }
    function.host.stop().await;
}
