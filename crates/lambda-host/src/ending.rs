//! How the processes of an environment are ended: asked to (SIGTERM), given time, then killed (SIGKILL), until none is left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cgroup::Cgroup;
use crate::members::{Look, Members};
use crate::process::Process;
use crate::procfs::Seen;
use crate::scanner::Scanner;

/// How long to wait for killed processes. The kernel ends them at once, but for those that wait for a disk that does not answer.
const GONE_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long to wait between two looks at what is left: short at first, as most are gone at once.
const PAUSE_FIRST: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Ends all processes of an environment. `kill_after` is their time between SIGTERM and SIGKILL; with none, SIGKILL is all
/// they get.
pub(crate) async fn end(
    process: &mut Process,
    members: &Arc<Mutex<Members>>,
    cgroup: Option<&Cgroup>,
    scanner: &Scanner,
    kill_after: Duration,
) {
    if !kill_after.is_zero() {
        send(members, scanner, Signal::TERM).await;
        let until = Instant::now() + kill_after;
        // Whether they are gone or not, SIGKILL comes next.
        timeout_at(until, gone(process, members, cgroup, scanner, None))
            .await
            .ok();
    }
    let until = Instant::now() + GONE_WAIT_MAX;
    let killed = gone(process, members, cgroup, scanner, Some(Signal::KILL));
    if timeout_at(until, killed).await.is_err() || !process.reap() {
        tracing::error!(
            pid = process.pid().as_raw_nonzero().get(),
            "some processes of a function cannot be killed"
        );
    }
}

async fn send(members: &Arc<Mutex<Members>>, scanner: &Scanner, signal: Signal) {
    let left = look(members, scanner).await;
    lock(members).signal(&left, signal);
}

/// Returns when the runtime has ended and none of the others is left, and sends them a signal before each look.
async fn gone(
    process: &Process,
    members: &Arc<Mutex<Members>>,
    cgroup: Option<&Cgroup>,
    scanner: &Scanner,
    signal: Option<Signal>,
) {
    let mut pause = PAUSE_FIRST;
    loop {
        if let Some(signal) = signal {
            if signal == Signal::KILL
                && let Some(cgroup) = cgroup
            {
                cgroup.kill();
            }
            // A process may have moved itself out of its control group.
            send(members, scanner, signal).await;
        }
        let is_populated = cgroup.is_some_and(Cgroup::is_populated);
        if process.ended().is_some() && !is_populated && look(members, scanner).await.is_empty() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn look(members: &Arc<Mutex<Members>>, scanner: &Scanner) -> Vec<Seen> {
    let all = scanner.processes(Duration::ZERO).await;
    let members = members.clone();
    // Fails only when the program is being torn down.
    tokio::task::spawn_blocking(move || lock(&members).among(&all, Look::Thorough))
        .await
        .unwrap_or_default()
}

fn lock(members: &Mutex<Members>) -> std::sync::MutexGuard<'_, Members> {
    members.lock().unwrap_or_else(PoisonError::into_inner)
}
