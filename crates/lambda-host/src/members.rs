//! Which processes belong to an environment, and how they are ended.
//!
//! The runtime leads a process group of its own, and its children are in it unless they leave it (`setsid`). Those are
//! found by the variable that marks the environment, which children inherit, or by descent: a process whose parent was
//! seen to belong, belongs. One that does both, clears its variables and loses its parent between two looks, escapes; only a
//! control group holds it, where there are some.
//!
//! The leader is not waited for before all are gone: as long as it is a zombie, neither its pid nor its group's number
//! can be given to somebody else's process, so a signal to the group cannot hit a stranger.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::cgroup::Cgroup;
use crate::procfs::{self, Seen};

#[derive(Debug)]
pub(crate) struct Members {
    leader: Pid,
    /// `NAME=value` as it stands among the variables of every process of the environment.
    mark: Vec<u8>,
    /// The control group that all of them are in, unless they left it.
    cgroup: Option<Arc<Cgroup>>,
    /// Pid and start of all that were ever seen to belong.
    known: HashSet<(i32, u64)>,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// By group, control group and descent.
    Quick,
    /// By the mark too, which reads the variables of every process.
    Thorough,
}

impl Members {
    pub(crate) fn new(leader: Pid, mark: Vec<u8>, cgroup: Option<Arc<Cgroup>>) -> Members {
        Members {
            leader,
            mark,
            cgroup,
            known: HashSet::new(),
        }
    }

    /// This process and what descends from it, whatever group it is in.
    pub(crate) fn of_this_process() -> Members {
        let leader = rustix::process::getpid();
        let this = procfs::process(leader.as_raw_nonzero().get());
        Members {
            leader,
            mark: Vec::new(),
            cgroup: None,
            known: this.into_iter().map(|it| (it.pid, it.started)).collect(),
        }
    }

    /// Those of `all` that belong and still run.
    pub(crate) fn among(&mut self, all: &[Seen], look: Look) -> Vec<Seen> {
        let leader = self.leader.as_raw_nonzero().get();
        let held = self.cgroup.as_ref().map(|it| it.pids()).unwrap_or_default();
        let families = procfs::by_parent(all);
        let mut to_follow: Vec<Seen> = all
            .iter()
            .filter(|it| {
                it.group == leader
                    || held.contains(&it.pid)
                    || self.known.contains(&(it.pid, it.started))
                    || (look == Look::Thorough
                        && procfs::has_variable(it.pid, |variable| variable == self.mark))
            })
            .copied()
            .collect();
        let mut belong: HashSet<i32> = to_follow.iter().map(|it| it.pid).collect();
        let mut members = Vec::new();
        while let Some(process) = to_follow.pop() {
            self.known.insert((process.pid, process.started));
            members.push(process);
            for child in families.get(&process.pid).into_iter().flatten() {
                if belong.insert(child.pid) {
                    to_follow.push(*child);
                }
            }
        }
        let seen: HashSet<(i32, u64)> = all.iter().map(|it| (it.pid, it.started)).collect();
        self.known.retain(|it| seen.contains(it));
        members.retain(|it| !it.is_dead);
        members
    }

    /// Sends a signal to the group, and to each of these that is outside of it.
    pub(crate) fn signal(&self, members: &[Seen], signal: Signal) {
        // Fails when the group is empty, which is what is wanted.
        kill_process_group(self.leader, signal).ok();
        let leader = self.leader.as_raw_nonzero().get();
        for member in members.iter().filter(|it| it.group != leader) {
            signal_exactly(member, signal);
        }
    }
}

/// Signals this process and no other that got its pid meanwhile: the descriptor is opened first, then it is looked whether
/// the pid still means the process that was seen. Gives the descriptor of one that was there.
pub(crate) fn signal_exactly(member: &Seen, signal: Signal) -> Option<OwnedFd> {
    let pid = Pid::from_raw(member.pid)?;
    let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    if procfs::process(member.pid)?.started != member.started {
        return None;
    }
    // It may have ended since.
    pidfd_send_signal(&descriptor, signal).ok();
    Some(descriptor)
}
