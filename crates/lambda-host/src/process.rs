//! The runtime's process: how it is started, whether it has ended, and how it and all of its kind are ended.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, prlimit, waitid,
};

use crate::cgroup::Cgroup;
use crate::config::Config;

/// A child process that leads a process group of its own. When it is dropped before it was waited for, as when the
/// program's runtime is torn down, the group is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
}

impl Process {
    /// Starts the runtime with these variables and no others, nothing on stdin, and stdout and stderr into the pipe. In a
    /// control group, a program that is missing shows as a process that ends: [`not_entered`](crate::cgroup::not_entered).
    pub(crate) fn start(
        config: &Config,
        cgroup: Option<&Cgroup>,
        variables: Vec<(OsString, OsString)>,
        output: OwnedFd,
    ) -> Result<Process, String> {
        let program = config.command.first().map(OsString::as_os_str);
        let program = in_folder(program.unwrap_or_default(), &config.folder);
        let said = |why: std::io::Error| format!("cannot start {}: {why}", program.display());
        let errors = output.try_clone().map_err(said)?;
        let mut command = match config.cgroups.as_ref().zip(cgroup) {
            Some((cgroups, cgroup)) => cgroups.command(cgroup, program.as_os_str()),
            None => Command::new(&program),
        };
        let child = command
            .args(config.command.iter().skip(1))
            .env_clear()
            .envs(variables)
            .current_dir(&config.folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(said)?;
        let pid = Pid::from_child(&child);
        // As on Lambda, a crash leaves no core file. It may have ended already.
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        without_core_files(pid, none);
        Ok(Process { child, pid })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// How the process ended, if it has. It stays a zombie, so its number stays its own.
    pub(crate) fn ended(&self) -> Option<String> {
        ended(self.pid)
    }

    /// Takes the ended process off the system's list. True when it was there to be taken.
    pub(crate) fn reap(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }
}

/// How a child of ours ended, if it has, without taking it off the system's list.
pub(crate) fn ended(pid: Pid) -> Option<String> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = match waitid(WaitId::Pid(pid), options) {
        Ok(None) => return None,
        Ok(Some(status)) => status,
        Err(_) => return Some("no child of ours any more".to_owned()),
    };
    let raw = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code << 8,
        (None, Some(signal)) => signal,
        (None, None) => return Some("in an unknown way".to_owned()),
    };
    Some(ExitStatus::from_raw(raw).to_string())
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            kill_process_group(self.pid, Signal::KILL).ok();
        }
    }
}

#[cfg(target_os = "linux")]
fn without_core_files(pid: Pid, none: Rlimit) {
    prlimit(Some(pid), Resource::Core, none).ok();
}

#[cfg(not(target_os = "linux"))]
fn without_core_files(_pid: Pid, _none: Rlimit) {}

/// A program named with a folder is one of the function's own; another is looked for on the search path.
fn in_folder(program: &OsStr, folder: &Path) -> PathBuf {
    if program.as_bytes().contains(&b'/') {
        // An absolute path stays what it is.
        folder.join(program)
    } else {
        PathBuf::from(program)
    }
}
