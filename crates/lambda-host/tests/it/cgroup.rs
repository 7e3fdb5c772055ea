//! Memory held by the kernel. Where this process has no control group of its own to divide, each of these is skipped with
//! the reason; `cargo xtask test` runs all tests of this crate on a kernel of their own, where it has one.

use std::cell::RefCell;

use two_buckets_lambda_host::{Cgroups, Failure};

use crate::harness::{Function, cgroups, left_behind, skipped, until};

/// The control groups, or the word that the test is skipped and why.
fn delegated() -> Option<&'static Cgroups> {
    match cgroups() {
        Ok(cgroups) => Some(cgroups),
        Err(why) => {
            skipped(&format!("no control groups: {why}"));
            None
        }
    }
}

/// The group of a function's only environment.
async fn group_of(function: &Function, cgroups: &Cgroups) -> std::path::PathBuf {
    let environment = function.acquire().await.unwrap();
    cgroups
        .folder()
        .join(format!("environment-{}", environment.id()))
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_taken_and_given_back_within_a_moment_counts() {
    if delegated().is_none() {
        return;
    }
    // Too short for anybody who looks ten times a second, and the taker is not the runtime.
    let spike = r#"
exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&3
read -r line <&3
head -c 200000000 /dev/zero | tail -c 200000000 | true
sleep 1000
"#;
    let function = Function::script(spike, |it| it.memory_mib = 128);
    let failure = function.invoke("{}").await.unwrap_err();
    assert_eq!(failure, Failure::OutOfMemory { limit_mib: 128 });
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_within_the_limit_is_not_taken_for_one_by_memory() {
    if delegated().is_none() {
        return;
    }
    let function = Function::new(|it| it.memory_mib = 128);
    for (event, expected) in [("exit 137", "exit status: 137"), ("abort", "SIGABRT")] {
        let failure = function.invoke(event).await.unwrap_err();
        assert!(
            matches!(failure, Failure::Exited { ref how, .. } if how.contains(expected)),
            "{failure}"
        );
    }
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_takes_too_much_memory_is_told_as_that() {
    if delegated().is_none() {
        return;
    }
    let function = Function::script("head -c 500000000 /dev/zero | tail -c 500000000", |it| {
        it.memory_mib = 128;
    });
    let Failure::Init { cause, .. } = function.acquire().await.err().unwrap() else {
        panic!("no failed start");
    };
    assert_eq!(*cause, Failure::OutOfMemory { limit_mib: 128 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_is_in_its_group_before_its_first_instruction_with_its_own_variables() {
    let Some(cgroups) = delegated() else { return };
    let function = Function::new(|it| {
        it.command = vec![
            "/bin/cat".into(),
            "/proc/self/cgroup".into(),
            "/proc/self/environ".into(),
        ];
    });
    let Failure::Init { output, .. } = function.acquire().await.err().unwrap() else {
        panic!("no failed start");
    };
    let output = String::from_utf8_lossy(&output).into_owned();
    let (group, variables) = output.split_once('\n').unwrap();
    assert!(group.contains("/environment-"), "{group}");
    let names: Vec<_> = variables
        .split('\0')
        .filter_map(|it| it.split_once('=').map(|it| it.0))
        .collect();
    assert!(names.contains(&"AWS_LAMBDA_RUNTIME_API"));
    for foreign in ["PWD", "OLDPWD", "SHLVL", "_"] {
        assert!(!names.contains(&foreign), "{foreign}");
    }
    assert!(cgroups.folder().is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hides_from_all_else_ends_with_its_environment() {
    let Some(cgroups) = delegated() else { return };
    // It left the group of processes, lost its parent and every variable before anybody looked.
    let hide = r#"
exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
env -i setsid sh -c 'sleep 86423 & sleep 86423 &'
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&3
sleep 1000
"#;
    let function = Function::script(hide, |_| {});
    let group = group_of(&function, cgroups).await;
    let hidden = || {
        std::fs::read_dir("/proc").unwrap().flatten().any(|it| {
            let line = std::fs::read(it.path().join("cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == b"86423")
        })
    };
    until(hidden).await;
    assert!(group.is_dir());
    function.host.stop().await;
    assert!(!hidden());
    assert!(!group.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_is_told_the_limit_and_that_there_is_no_swap() {
    let Some(cgroups) = delegated() else { return };
    let function = Function::new(|it| it.memory_mib = 200);
    let group = group_of(&function, cgroups).await;
    let read = |file: &str| std::fs::read_to_string(group.join(file)).unwrap();
    assert_eq!(read("memory.max").trim(), (200 << 20).to_string());
    assert_eq!(read("memory.oom.group").trim(), "1");
    if group.join("memory.swap.max").exists() {
        assert_eq!(read("memory.swap.max").trim(), "0");
    }
    let response = function.invoke("echo hi").await.unwrap();
    assert!(response.memory_bytes_max <= 200 << 20);
    function.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_server_left_in_a_group_is_ended_when_the_next_one_starts() {
    if delegated().is_none() {
        return;
    }
    let child = RefCell::new(left_behind());
    until(|| child.borrow_mut().try_wait().unwrap().is_some()).await;
}
