//! Starts that fail, configurations that cannot be, and what an environment finds when it starts.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_lambda_host::{Config, Failure, Host};

use crate::harness::{Function, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_never_asks_times_out() {
    let limit = Duration::from_millis(500);
    let function = Function::new(|it| {
        it.handler = "never.asks".into();
        it.init_timeout = limit;
    });
    let failure = function.acquire().await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the function did not start: the function timed out after 0.5 s"
    );
    assert_eq!(function.host.facts().ended, 1);
    assert_eq!(function.gone.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_exits_at_once_says_what_it_wrote() {
    let function = Function::new(|it| it.handler = "exits.early".into());
    let Failure::Init { cause, output } = function.acquire().await.unwrap_err() else {
        panic!("no failed start");
    };
    assert!(matches!(*cause, Failure::Exited { ref how, .. } if how == "exit status: 3"));
    assert_eq!(output, "no such table\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_failed_is_told_in_the_runtimes_own_words() {
    let function = Function::new(|it| it.handler = "reports.init".into());
    // The report and the exit come close together, and the report counts.
    for _ in 0..20 {
        let failure = function.acquire().await.unwrap_err();
        assert!(
            failure.to_string().contains("no module named six"),
            "{failure}"
        );
    }
    let Failure::Init { cause, .. } = function.acquire().await.unwrap_err() else {
        panic!("no failed start");
    };
    assert_eq!(
        *cause,
        Failure::Function {
            error_type: "Runtime.ImportModuleError".into(),
            message: "no module named six".into(),
            trace: vec!["a".into(), "b".into()],
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_named() {
    let function = Function::new(|it| it.command = vec!["./no-such-bootstrap".into()]);
    let failure = function.acquire().await.unwrap_err().to_string();
    assert!(
        failure.contains("no-such-bootstrap: No such file or directory"),
        "{failure}"
    );
    assert_eq!(function.scratch_folders().len(), 0);
    assert_eq!(function.gone.lock().unwrap().len(), 1);
    // Its place is free again.
    function.acquire().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_without_credentials_is_not_started() {
    let function = Function::new(|it| it.new_environment = Arc::new(|_| Err("no role".into())));
    assert_eq!(
        function.acquire().await.unwrap_err(),
        Failure::NotStarted {
            reason: "no role".into()
        }
    );
    assert_eq!(function.gone.lock().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_nobody_waits_for_is_not_started_to_the_end() {
    let function = Function::new(|it| it.handler = "never.asks".into());
    let host = function.host.clone();
    let waiting = tokio::spawn(async move { host.acquire().await.map(|_| ()) });
    crate::harness::until(|| function.host.facts().started == 1).await;
    waiting.abort();
    crate::harness::until(|| function.host.facts().ended == 1).await;
    within(function.host.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_lambdas_and_nothing_is_inherited() {
    let function = Function::new(|it| {
        it.variables = vec![
            ("ARCHIVE".into(), "archive".into()),
            ("TZ".into(), "Europe/Rome".into()),
        ];
        it.new_environment = Arc::new(|_| {
            let key: OsString = "AWS_ACCESS_KEY_ID".into();
            Ok(vec![(key, "TBOWN".into())])
        });
    });
    let environment = function.acquire().await.unwrap();
    let id = environment.id().to_string();
    drop(environment);
    let text = function.text("variables").await;
    let all: std::collections::BTreeMap<&str, &str> =
        text.lines().filter_map(|it| it.split_once('=')).collect();
    let code = function.folder.path().join("code");
    let scratch = function
        .folder
        .path()
        .canonicalize()
        .unwrap()
        .join("scratch")
        .join(&id);
    for (name, value) in [
        ("_HANDLER", "index.handler"),
        ("ARCHIVE", "archive"),
        ("TZ", "Europe/Rome"),
        ("LANG", "en_US.UTF-8"),
        ("AWS_ACCESS_KEY_ID", "TBOWN"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_LAMBDA_FUNCTION_NAME", "sorter"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/sorter"),
        ("LAMBDA_TASK_ROOT", code.to_str().unwrap()),
        ("TMPDIR", scratch.to_str().unwrap()),
    ] {
        assert_eq!(all.get(name), Some(&value), "{name}");
    }
    assert!(all["AWS_LAMBDA_LOG_STREAM_NAME"].ends_with(&format!("/[$LATEST]{id}")));
    assert!(all["AWS_LAMBDA_RUNTIME_API"].starts_with("127.0.0.1:"));
    // What the server itself was started with; cargo sets this for tests.
    assert!(std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
    let known = ["PATH", "HOME", "LAMBDA_RUNTIME_DIR"];
    for name in all.keys().filter(|it| !known.contains(it)) {
        assert!(!name.starts_with("CARGO"), "{name} was inherited");
    }
    assert_eq!(
        function.text("folder").await,
        code.canonicalize().unwrap().to_str().unwrap()
    );
    function.host.stop().await;
}

#[test]
fn every_problem_of_a_configuration_is_named_and_no_value_is_shown() {
    let config = Config {
        name: "a b".into(),
        region: String::new(),
        command: Vec::new(),
        folder: "/no/such/folder".into(),
        handler: String::new(),
        variables: vec![
            ("AWS_SECRET_ACCESS_KEY".into(), "hidden1".into()),
            ("aws_lambda_runtime_api".into(), "hidden2".into()),
            ("AWS_LAMBDA_EXEC_WRAPPER".into(), "/opt/wrapper".into()),
            ("A=B".into(), "hidden3".into()),
        ],
        concurrency: 0,
        memory_mib: 64,
        cgroups: None,
        timeout: Duration::ZERO,
        init_timeout: Duration::from_secs(1),
        kill_after: Duration::ZERO,
        idle_timeout: Duration::from_secs(1),
        recycle_after: 0,
        life_max: Duration::from_secs(1),
        scratch: "/".into(),
        scratch_bytes_max: 0,
        log_bytes_max: 0,
        new_environment: Arc::new(|_| Ok(Vec::new())),
        environment_ended: Arc::new(|_| {}),
    };
    assert!(!format!("{config:?}").contains("hidden"));
    let invalid = Host::start(config).unwrap_err();
    let problems = invalid.problems();
    assert_eq!(problems.len(), 12, "{problems:#?}");
    assert!(!invalid.to_string().contains("hidden"));
}
