//! Whatever ends the server, no process of a function or a command is left.
//!
//! A server that is told to stop ends them itself. One that is killed cannot, so where it runs such processes it starts a
//! second process of this program that waits for the end of its standard input, which only the server holds open, and
//! then ends what the server left. The processes are known by a variable that names a folder of this run alone, so the
//! next server's are never taken for them.
//!
//! The kernel could do it by `PR_SET_PDEATHSIG`, and does not serve: it has to be set in the child between fork and exec,
//! which is `unsafe`, or by a program put before every one that is run (`setpriv`), which is not everywhere; it is sent
//! when the *thread* that forked ends, and threads of a pool do; and it does not reach the children of the child.
//! Where there is no `/proc` nothing of this is done, and a function ends when it next asks for an event.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use two_buckets_lambda_host as lambda;

use crate::command::SCRATCH_VARIABLE;
use crate::failure::Failure;
use crate::root_key::random_text;

/// The variables by which processes are known: Lambda's own, which functions have, and that of commands.
pub(crate) const MARKS: [&str; 2] = ["TMPDIR", SCRATCH_VARIABLE];
/// The first argument of the process that waits. Nobody types it.
const WAITS: &str = "__end-strays";
/// The same for one that does not wait.
const AT_ONCE: &str = "__end-strays-now";
/// How long the name of a run is: enough never to meet the one before.
const NAME_LENGTH: usize = 8;

/// The folder of one run of the server, which its functions and commands have theirs in. Dropping it removes the folder,
/// when nothing uses it any more.
pub(super) struct RunFolder {
    path: PathBuf,
    waiting: Option<Waiting>,
}

impl RunFolder {
    /// Ends what an earlier server left, and makes a new folder below `scratch`. Only the holder of the data folder's lock
    /// may call this. Blocks for a moment.
    pub(super) fn make(scratch: &Path) -> Result<Self, Failure> {
        let unusable = |error: io::Error| {
            Failure::failed(format!(
                "the folder {} for what functions write cannot be made: {error}",
                scratch.display()
            ))
        };
        fs::create_dir_all(scratch).map_err(unusable)?;
        let scratch = scratch.canonicalize().map_err(unusable)?;
        lambda::end_strays(&MARKS, &scratch);
        lambda::clean(&scratch);
        let name = random_text(NAME_LENGTH, b"abcdefghijklmnopqrstuvwxyz234567")?;
        let path = scratch.join(name);
        fs::create_dir(&path).map_err(unusable)?;
        Ok(Self {
            path,
            waiting: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on, whatever is left here when this process is gone is ended.
    pub(super) fn watch(&mut self) {
        if cfg!(target_os = "linux") {
            match Waiting::start(&self.path) {
                Ok(waiting) => self.waiting = Some(waiting),
                Err(error) => tracing::warn!(
                    "should this server be killed, what it runs then ends only when the next one starts: {error}"
                ),
            }
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        drop(self.waiting.take());
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

/// Ends the processes that have their folders in that of a run, and this one with it, which takes a moment. This process
/// becomes another for it, so that no thread of ours starts new ones meanwhile.
pub(super) fn end_all_and_exit(run: &Path, code: i32) -> ! {
    if cfg!(target_os = "linux")
        && let Ok(program) = std::env::current_exe()
    {
        let error = Command::new(program)
            .arg(AT_ONCE)
            .arg(run)
            .arg(code.to_string())
            .exec();
        tracing::warn!("what runs may go on: {error}");
    }
    lambda::end_strays(&MARKS, run);
    std::process::exit(code);
}

/// The process that waits for our end.
struct Waiting(Child);

impl Waiting {
    fn start(run: &Path) -> io::Result<Self> {
        Command::new(std::env::current_exe()?)
            .arg(WAITS)
            .arg(run)
            .env_clear()
            .current_dir("/")
            // Nothing is ever written to it: it ends when we do.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // So that a terminal's Ctrl-C does not reach it.
            .process_group(0)
            .spawn()
            .map(Self)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It had nothing to end, or was ended by somebody else.
        self.0.wait().ok();
    }
}

/// Ends strays, if this process was started for that; none if it was not.
pub(crate) fn end_if_asked(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let asked = arguments.nth(1)?;
    if asked == WAITS {
        // An error is an end too.
        io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
    } else if asked != AT_ONCE {
        return None;
    }
    let Some(run) = arguments.next() else {
        return Some(ExitCode::from(2));
    };
    lambda::end_strays(&MARKS, Path::new(&run));
    let code = arguments
        .next()
        .and_then(|code| code.to_str()?.parse().ok());
    Some(code.map_or(ExitCode::SUCCESS, |code: u8| ExitCode::from(code)))
}
