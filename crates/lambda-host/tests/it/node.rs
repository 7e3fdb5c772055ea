//! Node.js functions on the runtime that comes with the program, where `node` is installed, and on AWS's own client where
//! `TWO_BUCKETS_TEST_NODE_RIC` names the folder of an installed `aws-lambda-ric`. Both are held to the same.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use two_buckets_lambda_host::{Config, Failure, NODE_RUNTIME};

use crate::harness::{Function, named, skipped};

const MODULE: &str = r"
import { setTimeout as pause } from 'node:timers/promises'

console.log('loaded')

export const handler = async (event, context) => {
  console.log('working on', JSON.stringify(event))
  if (event.do === 'throw') throw new TypeError('it cannot be done')
  if (event.do === 'throw-words') throw 'only words'
  if (event.do === 'reject-unseen') { Promise.reject(new Error('nobody looked')); await pause(60_000) }
  if (event.do === 'throw-unseen') { setImmediate(() => { throw new Error('nobody caught') }); await pause(60_000) }
  if (event.do === 'hang') await pause(1_000_000)
  if (event.do === 'spin') for (;;) {}
  if (event.do === 'exit') process.exit(3)
  if (event.do === 'nothing') return
  if (event.do === 'eat') { globalThis.eaten = Buffer.alloc(400 << 20, 1); await pause(60_000) }
  return {
    got: event,
    requestId: context.awsRequestId,
    arn: context.invokedFunctionArn,
    name: context.functionName,
    left: context.getRemainingTimeInMillis(),
    trace: process.env._X_AMZN_TRACE_ID ?? null,
  }
}

export const text = 'no function'
export const group = { handler: async () => 'in a group' }
";

const COMMON: &str = r"
exports.handler = (event, context, callback) => {
  if (event.fail) return callback(new RangeError('called back'))
  if (event.wait) { setTimeout(() => { globalThis.waited = true }, 200); return callback(null, 'waited') }
  if (event.asks) return callback(null, globalThis.waited ?? false)
  if (event.now) { context.callbackWaitsForEmptyEventLoop = false; setTimeout(() => {}, 50000); return callback(null, 'at once') }
  if (event.never) return 5
  setTimeout(() => callback(null, { got: event }), 10)
}
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Ours,
    Awss,
}

fn has_node() -> bool {
    let version = Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let has = version.is_ok_and(|it| it.success());
    if !has {
        skipped("there is no node");
    }
    has
}

/// A function for each client that is there.
fn functions(change: impl Fn(&mut Config)) -> Vec<(Client, Function)> {
    if !has_node() {
        return Vec::new();
    }
    let mut all = Vec::new();
    for client in [Client::Ours, Client::Awss] {
        let ric = match client {
            Client::Ours => None,
            Client::Awss => match named(
                "TWO_BUCKETS_TEST_NODE_RIC",
                "the folder of an aws-lambda-ric",
            ) {
                Some(folder) => Some(folder),
                None => continue,
            },
        };
        all.push((
            client,
            Function::new(|it| {
                write_code(&it.folder);
                it.memory_mib = 256;
                change(it);
                it.command = match ric {
                    None => {
                        let runtime = it.folder.with_file_name("node.mjs");
                        std::fs::write(&runtime, NODE_RUNTIME).unwrap();
                        vec!["node".into(), runtime.into()]
                    }
                    Some(folder) => {
                        let folder = Path::new(&folder);
                        let bin = ["bin/index.mjs", "index.mjs"];
                        let bin = bin.iter().map(|it| folder.join(it)).find(|it| it.is_file());
                        vec![
                            "node".into(),
                            bin.unwrap().into(),
                            it.handler.clone().into(),
                        ]
                    }
                };
            }),
        ));
    }
    all
}

fn write_code(folder: &Path) {
    for (name, text) in [
        ("index.mjs", MODULE),
        ("common.js", COMMON),
        (
            "broken.mjs",
            "export const handler = async () => { syntax error",
        ),
        (
            "missing.mjs",
            "import 'no-such-module'\nexport const handler = async () => 1",
        ),
        ("throws.mjs", "throw new Error('at the start')"),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::create_dir(folder.join("deep")).unwrap();
    std::fs::write(
        folder.join("deep/module.cjs"),
        "exports.handler = async () => 'deep'",
    )
    .unwrap();
}

fn function_error(failure: Failure) -> (String, String, String) {
    match failure {
        Failure::Function {
            error_type,
            message,
            trace,
        } => (error_type, message, trace.join("\n")),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_function_answers_and_its_output_is_its_own() {
    for (client, function) in functions(|_| {}) {
        for number in 0..3 {
            let event = format!("{{\"number\":{number},\"name\":\"ä€😀\"}}");
            let (response, log) = function.invoke_with_log(&event).await;
            let response = response.unwrap();
            let said: serde_json::Value = serde_json::from_slice(&response.payload).unwrap();
            assert_eq!(said["got"]["number"], number);
            assert_eq!(said["got"]["name"], "ä€😀");
            assert_eq!(said["requestId"], response.request_id);
            assert_eq!(
                said["arn"],
                "arn:aws:lambda:eu-central-1:000000000000:function:sorter"
            );
            assert_eq!(said["name"], "sorter");
            assert!((1..=60_000).contains(&said["left"].as_i64().unwrap()));
            assert!(
                log.contains(&format!("working on {event}")),
                "{client:?} {log}"
            );
            assert_eq!(log.contains("loaded"), number == 0, "{client:?} {log}");
        }
        assert_eq!(function.text(r#"{"do":"nothing"}"#).await, "null");
        assert_eq!(function.host.facts().started, 1);
        function.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_functions_errors_have_type_message_and_stack_and_it_goes_on() {
    for (client, function) in functions(|_| {}) {
        let (result, log) = function.invoke_with_log(r#"{"do":"throw"}"#).await;
        let (error_type, message, trace) = function_error(result.unwrap_err());
        assert_eq!(
            (&*error_type, &*message),
            ("TypeError", "it cannot be done"),
            "{client:?}"
        );
        assert!(trace.contains("index.mjs"), "{client:?} {trace}");
        assert!(log.contains("it cannot be done"), "{client:?} {log}");
        let (error_type, message, _) = function_error(
            function
                .invoke(r#"{"do":"throw-words"}"#)
                .await
                .unwrap_err(),
        );
        assert_eq!(
            (&*error_type, &*message),
            ("string", "only words"),
            "{client:?}"
        );
        function.invoke("{}").await.unwrap();
        assert_eq!(function.host.facts().started, 1, "{client:?}");
        function.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_nobody_caught_are_told_and_end_the_process() {
    for (client, function) in functions(|_| {}) {
        for (event, expected, words) in [
            (
                r#"{"do":"reject-unseen"}"#,
                "Runtime.UnhandledPromiseRejection",
                "nobody looked",
            ),
            (r#"{"do":"throw-unseen"}"#, "Error", "nobody caught"),
        ] {
            let (result, log) = function.invoke_with_log(event).await;
            assert!(log.contains(words), "{client:?} {log}");
            match result.unwrap_err() {
                // aws-lambda-ric 4 ends without a report.
                Failure::Exited { .. } if client == Client::Awss => {}
                failure => {
                    let (error_type, message, _) = function_error(failure);
                    assert_eq!(error_type, expected, "{client:?}");
                    assert!(message.contains(words), "{client:?} {message}");
                }
            }
        }
        function.invoke("{}").await.unwrap();
        assert_eq!(function.host.facts().started, 3, "{client:?}");
        function.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_function_that_hangs_spins_exits_or_eats_memory_is_replaced() {
    for (client, function) in functions(|it| it.timeout = Duration::from_secs(3)) {
        for event in [r#"{"do":"hang"}"#, r#"{"do":"spin"}"#] {
            let failure = function.invoke(event).await.unwrap_err();
            assert!(
                matches!(failure, Failure::TimedOut { .. }),
                "{client:?} {failure}"
            );
        }
        let failure = function.invoke(r#"{"do":"eat"}"#).await.unwrap_err();
        assert_eq!(
            failure,
            Failure::OutOfMemory { limit_mib: 256 },
            "{client:?}"
        );
        let failure = function.invoke(r#"{"do":"exit"}"#).await.unwrap_err();
        assert!(
            matches!(failure, Failure::Exited { ref how, .. } if how == "exit status: 3"),
            "{client:?} {failure}"
        );
        function.invoke("{}").await.unwrap();
        function.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_work_as_on_lambda() {
    for (client, function) in functions(|it| it.handler = "common.handler".into()) {
        if client == Client::Awss && function.acquire().await.is_err() {
            // aws-lambda-ric 4 takes no callbacks.
            continue;
        }
        assert_eq!(
            function.text(r#"{"a":1}"#).await,
            r#"{"got":{"a":1}}"#,
            "{client:?}"
        );
        let (error_type, message, _) =
            function_error(function.invoke(r#"{"fail":true}"#).await.unwrap_err());
        assert_eq!(
            (&*error_type, &*message),
            ("RangeError", "called back"),
            "{client:?}"
        );
        // The answer waits for what is under way, and does not where that is not wanted.
        assert_eq!(
            function.text(r#"{"wait":true}"#).await,
            r#""waited""#,
            "{client:?}"
        );
        assert_eq!(
            function.text(r#"{"asks":true}"#).await,
            "true",
            "{client:?}"
        );
        assert_eq!(
            function.text(r#"{"never":true}"#).await,
            "null",
            "{client:?}"
        );
        assert_eq!(
            function.text(r#"{"now":true}"#).await,
            r#""at once""#,
            "{client:?}"
        );
        assert_eq!(function.host.facts().started, 1, "{client:?}");
        function.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_found_where_lambda_looks() {
    for (name, answer) in [
        ("deep/module.handler", "\"deep\""),
        ("index.group.handler", "\"in a group\""),
    ] {
        for (client, function) in functions(|it| it.handler = name.into()) {
            assert_eq!(function.text("{}").await, answer, "{client:?} {name}");
            function.host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_loaded_is_a_failed_start() {
    for (name, expected) in [
        ("broken.handler", "Runtime.UserCodeSyntaxError"),
        ("missing.handler", "Runtime.ImportModuleError"),
        ("nowhere.handler", "Runtime.ImportModuleError"),
        ("index.nothing", "Runtime.HandlerNotFound"),
        ("index.text", "Runtime.HandlerNotFound"),
        ("index", "Runtime.MalformedHandlerName"),
        ("../index.handler", "Runtime.MalformedHandlerName"),
        ("throws.handler", "Error"),
    ] {
        for (client, function) in functions(|it| it.handler = name.into()) {
            let failure = function.acquire().await.unwrap_err();
            let Failure::Init { cause, output } = failure else {
                panic!("{client:?} {name} {failure}");
            };
            let (error_type, _, _) = function_error(*cause);
            // AWS's own gives the system's error as it is when a module misses another.
            let is_plain = client == Client::Awss && error_type == "Error";
            assert!(
                error_type == expected || is_plain,
                "{client:?} {name} {error_type} {output:?}"
            );
            function.host.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_nobody_will_settle_is_no_success() {
    // AWS's own client answers null here.
    let code = "export const handler = () => new Promise(() => {})";
    for (client, function) in functions(|it| {
        std::fs::write(it.folder.join("open.mjs"), code).unwrap();
        it.handler = "open.handler".into();
    }) {
        if client == Client::Ours {
            let (error_type, ..) = function_error(function.invoke("{}").await.unwrap_err());
            assert_eq!(error_type, "Runtime.PromiseNeverSettled");
        }
        function.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streaming_handler_is_refused_in_words() {
    let code = "export const handler = awslambda.streamifyResponse(async (event, stream) => stream.end('x'))";
    for (client, function) in functions(|it| {
        std::fs::write(it.folder.join("stream.mjs"), code).unwrap();
        it.handler = "stream.handler".into();
    }) {
        match (client, function.acquire().await) {
            (Client::Ours, Err(failure)) => {
                assert!(
                    failure
                        .to_string()
                        .contains("streamifyResponse is not supported"),
                    "{failure}"
                );
            }
            // AWS's streams, and the stream is gathered.
            (Client::Awss, Ok(environment)) => {
                drop(environment);
                assert_eq!(function.text("{}").await, "x");
            }
            (client, other) => panic!("{client:?} {other:?}"),
        }
        function.host.stop().await;
    }
}
