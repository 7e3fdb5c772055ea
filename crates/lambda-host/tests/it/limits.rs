//! Memory and disk.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use two_buckets_lambda_host::Failure;

use crate::harness::{Function, LONG};

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_takes_too_much_memory_is_ended() {
    let function = Function::new(|it| it.memory_mib = 128);
    let failure = function.invoke("allocate 200").await.unwrap_err();
    assert_eq!(failure, Failure::OutOfMemory { limit_mib: 128 });
    assert_eq!(function.text("echo hi").await, "hi");
    function.host.stop().await;
}

/// Forks four that each take 60 MiB, two of which have left the group.
const HUNGRY: &str = r#"
exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&3
read -r line <&3
eat='(head -c 60000000 /dev/zero; sleep 1000) | tail -c 60000000'
for way in "" "" setsid setsid; do $way bash -c "$eat" & done
wait
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_all_its_processes_counts() {
    let function = Function::script(HUNGRY, |it| it.memory_mib = 200);
    let failure = function.invoke("{}").await.unwrap_err();
    assert_eq!(failure, Failure::OutOfMemory { limit_mib: 200 });
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_only_reserved_does_not_count() {
    // As Node does: far more address space than memory.
    let function = Function::new(|it| it.memory_mib = 128);
    let response = function.invoke("reserve 4000").await.unwrap();
    assert!(response.memory_bytes_max < 128 << 20);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_fills_its_folder_is_ended_and_the_folder_is_gone() {
    let function = Function::new(|it| it.scratch_bytes_max = 1 << 20);
    let failure = function.invoke("fill 3000000").await.unwrap_err();
    assert_eq!(
        failure,
        Failure::ScratchFull {
            limit_bytes: 1 << 20
        }
    );
    assert_eq!(function.scratch_folders().len(), 0);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_is_kept_between_invocations_and_empty_in_the_next_environment() {
    let function = Function::new(|it| it.recycle_after = 2);
    assert_eq!(function.text("write 10").await, "false");
    assert_eq!(function.text("write 10").await, "true");
    assert_eq!(function.text("write 10").await, "false");
    assert_eq!(function.host.facts().started, 2);
    let folder = function
        .folder
        .path()
        .join("scratch")
        .join(&function.scratch_folders()[0]);
    let mode = std::fs::metadata(folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    function.host.stop().await;
    assert_eq!(function.scratch_folders().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_cut_and_ends_at_the_deadline() {
    let function = Function::new(|it| {
        it.timeout = Duration::from_secs(1);
        it.log_bytes_max = 10_000;
    });
    let (result, log) = function.invoke_with_log("flood").await;
    assert!(matches!(result.unwrap_err(), Failure::TimedOut { .. }));
    let (kept, end) = log.split_once('\n').unwrap();
    assert_eq!(kept.len(), 10_000);
    assert!(
        end.ends_with(" more bytes of output were dropped)\n"),
        "{end}"
    );
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_gets_through_though_output_never_ends() {
    let function = Function::new(|it| it.timeout = LONG);
    assert_eq!(function.text("flood-and-answer").await, "answered");
    assert_eq!(function.text("echo hi").await, "hi");
    function.host.stop().await;
}
