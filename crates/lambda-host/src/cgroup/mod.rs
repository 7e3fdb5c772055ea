//! Memory held by the kernel: a control group (cgroup v2) for each environment, in a subtree that was delegated to us.
//!
//! In its group an environment cannot pass its memory for even a moment, all that it forks is in the group wherever it
//! goes to, and one write ends all of it. It needs a group of the server's own to make others in: systemd gives one by
//! `Delegate=yes`, and so does a container that may write its cgroups. Where there is none, [`Delegated::find`] says why, and
//! the host watches the resident size instead.
//!
//! # How a runtime gets into its group
//!
//! It must be there before its first instruction: what it had forked, or taken of memory, before it was moved would stay
//! counted outside. The kernel's own way (`CLONE_INTO_CGROUP`), and running code of ours between fork and exec, are `unsafe`
//! in Rust. Moving the pid from outside after the spawn is a race; moving the server there and back for the spawn would put
//! whatever else it starts or takes meanwhile into the group as well. So what is spawned is a small
//! program that moves itself and then becomes the runtime by exec, under the same pid: [`enter`]. No code of the
//! function runs before, and there is nothing to wait for. It is the server's own program again, because a shell would
//! change the variables that the runtime finds.

mod find;
mod group;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::{fmt, fs};

pub(crate) use group::Cgroup;

/// The first argument of a program that is started to enter a control group; the others are for [`enter`].
pub const ENTER: &str = "enter-cgroup";

/// The exit code of a program that did not get that far: what shells use for a program that they cannot find.
const NOT_ENTERED: u8 = 127;

/// The group that the server's own process moves to: a group with groups below may have no processes itself.
const SERVER: &str = "server";

/// What the groups of environments are called, before their names.
const ENVIRONMENT_PREFIX: &str = "environment-";

/// A group that this process has for itself and may make others in. Nothing has been changed yet.
#[derive(Debug)]
pub struct Delegated {
    folder: PathBuf,
}

/// The subtree in which environments have their groups. Cheap to clone; for all hosts of a process.
#[derive(Clone, Debug)]
pub struct Cgroups {
    folder: Arc<Path>,
    /// Started with [`ENTER`], it calls [`enter`].
    program: OsString,
}

/// Why environments can have no control groups here, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDelegated {
    reason: String,
}

impl fmt::Display for NotDelegated {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.reason)
    }
}

impl std::error::Error for NotDelegated {}

impl NotDelegated {
    fn because(reason: impl Into<String>) -> NotDelegated {
        NotDelegated {
            reason: reason.into(),
        }
    }
}

impl Delegated {
    /// Where the group is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes the group: moves this process into a group `server` below it and has the kernel limit memory in the groups
    /// beside that. What an earlier server left is ended and removed. Leaves all as it was when that fails.
    ///
    /// `program` is started for each environment, with [`ENTER`] as its first argument, and must then call [`enter`] with
    /// the others: `/proc/self/exe` where this program's own `main` does so.
    pub fn take(self, program: impl Into<OsString>) -> Result<Cgroups, NotDelegated> {
        let shown = self.folder.display();
        let left = group::below(&self.folder, ENVIRONMENT_PREFIX);
        let left: Vec<_> = left.into_iter().map(Cgroup::existing).collect();
        left.iter().for_each(Cgroup::kill);
        let server = self.folder.join(SERVER);
        match fs::create_dir(&server) {
            Err(why) if why.kind() != io::ErrorKind::AlreadyExists => {
                return Err(NotDelegated::because(format!(
                    "no group can be made in {shown}: {why}"
                )));
            }
            _ => {}
        }
        let taken = move_here(&server.join("cgroup.procs"))
            .and_then(|()| fs::write(self.folder.join("cgroup.subtree_control"), "+memory"));
        if let Err(why) = taken {
            // It may not have moved at all.
            move_here(&self.folder.join("cgroup.procs")).ok();
            fs::remove_dir(&server).ok();
            return Err(NotDelegated::because(format!(
                "the kernel does not limit memory in {shown}: {why}"
            )));
        }
        // They are removed with this, but for one whose processes are still ending: it is in nobody's way, and the next
        // server removes it.
        drop(left);
        Ok(Cgroups {
            folder: self.folder.into(),
            program: program.into(),
        })
    }
}

impl Cgroups {
    /// Where the groups are, for people.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the group of an environment, with its limit.
    pub(crate) fn make(&self, environment: &str, memory_bytes_max: u64) -> io::Result<Cgroup> {
        let name = format!("{ENVIRONMENT_PREFIX}{environment}");
        Cgroup::new(self.folder.join(name), memory_bytes_max)
    }

    /// A command that enters this group and becomes that program.
    pub(crate) fn command(&self, group: &Cgroup, program: &OsStr) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(ENTER).arg(group.procs()).arg(program);
        command
    }
}

/// Moves this process into a control group and becomes another program, with the same pid, variables and open files. Given
/// the arguments that follow [`ENTER`]: the group's `cgroup.procs`, the program, the program's arguments. Returns only when
/// that fails; it has then written the reason to stderr, and the process must end with this code.
pub fn enter(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let why = try_to_enter(arguments);
    // The host reads it; where it cannot, the exit is seen.
    writeln!(io::stderr(), "{ENTER}: {why}").ok();
    ExitCode::from(NOT_ENTERED)
}

/// Why no runtime came of what was started to enter a group, from its end and what it wrote; none if it did not end so.
pub(crate) fn not_entered(how: &str, output: &[u8]) -> Option<String> {
    let why = output.strip_prefix(ENTER.as_bytes())?.strip_prefix(b": ")?;
    let is_end = how == format!("exit status: {NOT_ENTERED}");
    is_end.then(|| String::from_utf8_lossy(why).trim_end().to_owned())
}

fn try_to_enter(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut arguments = arguments.into_iter();
    let (Some(procs), Some(program)) = (arguments.next(), arguments.next()) else {
        return format!(
            "{ENTER} takes the file cgroup.procs of a group, a program and its arguments"
        );
    };
    if let Err(why) = move_here(Path::new(&procs)) {
        return format!(
            "cannot enter the control group of {}: {why}",
            procs.display()
        );
    }
    let why = Command::new(&program).args(arguments).exec();
    format!("cannot start {}: {why}", program.display())
}

/// Moves the writing process, whatever its pid: 0 stands for it (cgroup-v2.rst, "Processes").
fn move_here(procs: &Path) -> io::Result<()> {
    // Opened and not made: what is no control group must not become a folder with a file in it.
    fs::OpenOptions::new()
        .write(true)
        .open(procs)
        .and_then(|mut file| file.write_all(b"0"))
}
