//! Tests on a kernel of their own: user-mode Linux, a kernel that runs as a program. It has the memory controller of cgroup v2
//! and a group to divide, whatever the machine around it has or lets us do.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::program::{Program, find};
use crate::stages::Done;

/// The kernel, of Debian's package `user-mode-linux`.
const KERNEL: &str = "linux.uml";
/// How long the tests may take, start of the kernel included, in seconds.
const WITHIN_S: &str = "900";
/// What of the crate's tests is about memory and processes. The others hold time limits that one slow processor cannot.
const TESTS: [&str; 4] = ["cgroup::", "limits::", "pool::", "starting::"];

/// How long the kernel may take to start and stop, in seconds.
const START_WITHIN_S: &str = "60";

/// What comes before the last exit code.
const ENDED: &str = "it ended with ";
/// The end of every script: says how it went, and stops the kernel.
const END: &str = "echo \"it ended with $?\"
echo o > /proc/sysrq-trigger
read -r forever
";

/// Runs tests of `lambda-host` in control groups; their closing lines go to `closing`.
pub(crate) fn test(closing: &mut Vec<String>) -> Result<Done> {
    if find(KERNEL).is_none() {
        return Ok(Done::Skipped(format!(
            "no {KERNEL} here, which is Debian's user-mode-linux"
        )));
    }
    if let Err(why) = boot(
        START_WITHIN_S,
        &format!("mount -t proc proc /proc\n{END}"),
        closing,
    ) {
        return Ok(Done::Skipped(format!(
            "{KERNEL} does not start here: {why:#}"
        )));
    }
    let tests = build()?;
    boot(WITHIN_S, &script(&tests), closing)?;
    Ok(Done::quietly())
}

/// Starts the kernel with this script, and fails unless it comes to its end with exit code 0.
fn boot(within_s: &str, script: &str, closing: &mut Vec<String>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let init = folder.path().join("init.sh");
    fs::write(&init, script)?;
    let (lines, outcome) = Program::new("timeout")
        .args([within_s, KERNEL])
        // Its memory is a file that takes up what is used.
        .args(["mem=4G", "rootfstype=hostfs", "ro", "quiet"])
        .args(["con=null", "con0=null,fd:1"])
        .args([format!("uml_dir={}", folder.path().display())])
        .args(["init=/bin/bash", "--"])
        .args([&init])
        .run_and_keep(|line| line.starts_with("test result:") || line.starts_with(ENDED));
    let code = lines
        .iter()
        .find_map(|line| line.strip_prefix(ENDED))
        .map(str::to_owned);
    closing.extend(lines.into_iter().filter(|line| !line.starts_with(ENDED)));
    outcome?;
    match code.as_deref() {
        Some("0") => Ok(()),
        Some(code) => bail!("it ended with {code}"),
        None => bail!("the kernel stopped before the end"),
    }
}

/// Builds the crate's tests with the examples that they use, and returns the program of the tests. With all others, for so
/// they are the ones that ran before and are not built anew with other features.
fn build() -> Result<PathBuf> {
    let messages = Program::new("cargo")
        .args(["test", "--workspace", "--locked"])
        .args(["--no-run", "--message-format", "json"])
        .output()?;
    let is_ours = |it: &Value| {
        let manifest = it["manifest_path"].as_str().unwrap_or_default();
        it["target"]["name"] == "it" && Path::new(manifest).ends_with("lambda-host/Cargo.toml")
    };
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(is_ours)
        .find_map(|it| it["executable"].as_str().map(PathBuf::from))
        .context("cargo named no program of the tests")
}

/// What the kernel starts: makes a group with the memory controller, and runs the tests alone in it.
fn script(tests: &Path) -> String {
    let (tests, filters) = (tests.display(), TESTS.join(" "));
    format!(
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/dev/own/tmp TMPDIR=/dev/own/tmp
mount -t proc proc /proc
# All else is read only; a folder of the machine's must not be covered, for the tests may be below it.
mkdir -p /dev/own && mount -t tmpfs tmpfs /dev/own && mkdir /dev/own/tmp /dev/own/cgroup
mount -t cgroup2 cgroup2 /dev/own/cgroup
ip link set lo up
# Memory that is only reserved is no matter, as on any usual machine.
echo 1 > /proc/sys/vm/overcommit_memory
echo +memory > /dev/own/cgroup/cgroup.subtree_control
mkdir /dev/own/cgroup/delegated
# A test wants to see that the variables of whoever runs it are not inherited.
export CARGO_MANIFEST_DIR=/
bash -c 'echo 0 > /dev/own/cgroup/delegated/cgroup.procs && exec {tests} --color never {filters}' 2>&1
{END}"
    )
}
