//! Processes whose host is gone: how they are known, and ended.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::members::signal_exactly;
use crate::procfs;

/// How long killed processes may take to be gone, looked at once more each time. The kernel ends them at once, but for
/// those that wait for a disk that does not answer.
const GONE_WAIT_MAX: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// How often it is looked for those that the killed ones started meanwhile.
const LOOKS_MAX: u32 = 10;

/// Ends every process that has one of these variables with a path below this folder as its value, and waits until they are
/// gone. For folders that no running host has, or one whose program ends at once. Children inherit variables, so what they
/// started is found as well, whatever group it is in. Blocks for a moment.
pub fn end_strays(variables: &[&str], below: &Path) {
    let marks: Vec<Vec<u8>> = variables
        .iter()
        .map(|name| [name.as_bytes(), b"=", below.as_os_str().as_bytes(), b"/"].concat())
        .collect();
    for _ in 0..LOOKS_MAX {
        let killed = kill(&marks);
        if killed.is_empty() {
            return;
        }
        wait_for(&killed);
    }
    tracing::error!(folder = %below.display(), "some processes of an ended server cannot be killed");
}

/// Kills all that have such a mark, and gives those that there were.
fn kill(marks: &[Vec<u8>]) -> Vec<OwnedFd> {
    let is_mark = |variable: &[u8]| marks.iter().any(|mark| variable.starts_with(mark));
    let own = i32::try_from(std::process::id()).ok();
    procfs::processes()
        .iter()
        .filter(|process| !process.is_dead && Some(process.pid) != own)
        .filter(|process| procfs::has_variable(process.pid, is_mark))
        .filter_map(|process| signal_exactly(process, Signal::KILL))
        .collect()
}

/// Waits until these have ended: a descriptor of a process can be read from then on (`man 2 pidfd_open`).
fn wait_for(killed: &[OwnedFd]) {
    for descriptor in killed {
        // An interrupted or too long wait is followed by another look anyhow.
        poll(
            &mut [PollFd::new(descriptor, PollFlags::IN)],
            Some(&GONE_WAIT_MAX),
        )
        .ok();
    }
}
