//! The processor that runs a program of any language on each file.
//!
//! The program is started anew for each file, without a shell unless one is asked for, as a process group of its own.
//!
//! | | |
//! |---|---|
//! | the file | on standard input; or, where an argument has `{path}` in it, as a file of that name, and nothing is on standard input |
//! | facts | in the environment: `TWO_BUCKETS_BUCKET`, `_KEY`, `_VERSION_ID`, `_SIZE`, `_ETAG`, `_MEDIA_TYPE` (empty if unknown), `_ATTEMPT`, `_IDEMPOTENCY_KEY`, `_PATH` (where it is a file), `_SCRATCH` (the folder that such files are in, by which its processes are known) |
//! | exit code 0 | success; it need not have read its input |
//! | exit code 65 | the file cannot be processed: it is set aside as failed. 65 is `EX_DATAERR` of `sysexits.h`; another code can be set |
//! | other codes | it may work later: tried again after a wait |
//! | ended by a signal | crashed: tried again at once, and counted |
//! | standard output | the result, unless it is [named as an output](Settings::output). A JSON object up to 64 KiB is the report; other text up to that is kept as `{"stdout": "…"}`; more, or what is no text, becomes the output `_results/{key}/{version id}/stdout` in the archive, and the report says where |
//! | standard output named `NAME:TYPE` | the output `_results/{key}/{version id}/NAME` of that media type, however short it is; the report says where. Nothing at all is no output and no report |
//! | standard error | the log: `two-buckets logs KEY` |
//!
//! Of the server's environment it gets `PATH`, `HOME`, `LANG` and `TMPDIR`, and what is named for it; never the
//! server's own variables, which may hold its keys.
//!
//! **Names that strangers chose.** A key never becomes an argument or part of a path: the file that `{path}` names is
//! called `file`, with the key's extension if that is short and plain, in a folder of ours, so it neither begins with
//! a hyphen nor leaves the folder. A program that uses `TWO_BUCKETS_KEY` has to quote it, and to put `--` before it
//! where it is an argument of another program.
//!
//! **Bounds.** After its time-out the whole process group is sent SIGTERM and, five seconds later, SIGKILL. When the
//! program ends, what it left behind in its group is killed. Files for `{path}` are removed when the run ends, and at
//! the start of a server what one before it left; together they take no more than a bound. It is no sandbox: the
//! program is run as the server's user, and a process that leaves the group is not found while the server runs. When the
//! server itself is killed, the programs that ran are killed as well, and the files are tried again.

mod arguments;
mod child;
mod lookup;
mod output;
mod result;
mod scratch;
mod standard_output;
mod tail;
mod variables;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use two_buckets_pipeline::{Incoming, ProcessError, Processor, Report};

pub use arguments::{InvalidCommand, Program};
use child::{Child, Ended};
pub(crate) use lookup::look_up;
pub use output::{InvalidOutput, Output};
use scratch::Scratch;
pub(crate) use variables::SCRATCH_VARIABLE;

/// What is run, and within what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program with its arguments.
    pub program: Program,
    /// The longest run.
    pub timeout: Duration,
    /// The exit code that means that the file cannot be processed; not 0.
    pub permanent_exit: u8,
    /// What standard output is kept as; none for the report it is by itself.
    pub output: Option<Output>,
    /// Variables of its environment beside the facts. Names that begin with `TWO_BUCKETS_` are not passed on.
    pub variables: Vec<(OsString, OsString)>,
    /// Where files for `{path}` are; the folder is ours alone, and emptied at the start.
    pub scratch: PathBuf,
    /// The most bytes of files in it at a time. A run waits for room; a larger file is refused.
    pub scratch_bytes_max: u64,
    /// The most bytes of standard output; a run that writes more is stopped, and the file is refused.
    pub stdout_bytes_max: u64,
}

impl Settings {
    /// The time-out unless said otherwise: the longest that a function may take on Lambda (Lambda quotas).
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_mins(15);
    /// `EX_DATAERR` of `sysexits.h`: "the input data was incorrect in some way".
    pub const PERMANENT_EXIT_DEFAULT: u8 = 65;
    /// The bound of the scratch folder unless said otherwise.
    pub const SCRATCH_BYTES_MAX_DEFAULT: u64 = 10 << 30;
    /// The bound of standard output unless said otherwise.
    pub const STDOUT_BYTES_MAX_DEFAULT: u64 = 1 << 30;
    /// What is passed on of the server's environment.
    pub const PASSED_ON: [&'static str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

    /// Settings for a program, all else as by default, with nothing in its environment but the facts.
    pub fn new(program: Program, scratch: PathBuf) -> Self {
        Self {
            program,
            timeout: Self::TIMEOUT_DEFAULT,
            permanent_exit: Self::PERMANENT_EXIT_DEFAULT,
            output: None,
            variables: Vec::new(),
            scratch,
            scratch_bytes_max: Self::SCRATCH_BYTES_MAX_DEFAULT,
            stdout_bytes_max: Self::STDOUT_BYTES_MAX_DEFAULT,
        }
    }
}

/// Runs a program on each file; see [the module](self).
#[derive(Debug)]
pub struct Command {
    settings: Settings,
    scratch: Scratch,
}

impl Command {
    /// Gets ready to run the program: removes what is in the scratch folder. Blocks on the disk.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let scratch = Scratch::empty(&settings.scratch, settings.scratch_bytes_max)?;
        Ok(Self { settings, scratch })
    }

    fn exited(&self, code: i32, last_words: &str) -> ProcessError {
        let mut reason = format!("the program ended with exit code {code}");
        if !last_words.is_empty() {
            reason.push_str(": ");
            reason.push_str(last_words);
        }
        if code == i32::from(self.settings.permanent_exit) {
            ProcessError::Permanent(reason)
        } else {
            ProcessError::Transient(reason)
        }
    }
}

impl Processor for Command {
    fn name(&self) -> String {
        format!("command {}", self.settings.program.name())
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        // Removed when it is dropped, however this ends; and after the process, which is declared behind it.
        let file = if self.settings.program.wants_path() {
            Some(self.scratch.file(&upload).await?)
        } else {
            None
        };
        let child = Child::start(&self.settings, &upload, file.as_ref())?;
        match child.run(&self.settings, &upload).await? {
            Ended::Succeeded(written) => written.report(),
            Ended::Failed { code, last_words } => Err(self.exited(code, &last_words)),
            Ended::Signalled { signal } => Err(ProcessError::Crashed(format!(
                "the program was ended by signal {signal}"
            ))),
        }
    }
}
