//! Why an invocation did not give a response.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::limits;

/// Why an invocation gave no response, or why no environment could be had.
///
/// After every variant but `Function`, `PayloadTooLarge` and `Stopped` the environment has ended: all its processes are gone
/// and its credentials may be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The function reported an error. Its environment goes on unless the runtime exits afterwards.
    Function {
        /// The class of the error, such as `KeyError` or `Runtime.UnhandledPromiseRejection`.
        error_type: String,
        /// What the function says about it; may be empty.
        message: String,
        /// The stack, innermost frame where the runtime puts it; may be empty.
        trace: Vec<String>,
    },
    /// The function did not answer before its deadline.
    TimedOut {
        /// The time it had.
        after: Duration,
        /// What the runtime did wrong meanwhile, if anything.
        note: Option<String>,
    },
    /// The runtime's process ended without an answer.
    Exited {
        /// How, in words: `exit status: 1` or `signal: 11 (SIGSEGV)`.
        how: String,
        /// What the runtime did wrong before, if anything.
        note: Option<String>,
    },
    /// The environment's processes took up more memory than the function may.
    OutOfMemory {
        /// The limit.
        limit_mib: u32,
    },
    /// The files in the environment's own folder took up more than they may.
    ScratchFull {
        /// The limit.
        limit_bytes: u64,
    },
    /// The environment did not get as far as asking for an invocation.
    Init {
        /// What happened.
        cause: Box<Failure>,
        /// What it wrote to stdout and stderr until then, at most `log_bytes_max`.
        output: Bytes,
    },
    /// The environment could not be started at all: the program is missing, there is no disk, there are no credentials.
    NotStarted {
        /// Why, in words.
        reason: String,
    },
    /// The event is larger than Lambda allows; it was not given to the function.
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The function's response is larger than Lambda allows.
    ResponseTooLarge,
    /// The runtime broke the rules of the Runtime API in a way after which nothing it says about this invocation can be believed.
    Protocol {
        /// What it did, in words.
        what: String,
    },
    /// The host is stopping or has stopped.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Function {
                error_type,
                message,
                ..
            } if message.is_empty() => write!(to, "the function failed with {error_type}"),
            Failure::Function {
                error_type,
                message,
                ..
            } => write!(to, "the function failed with {error_type}: {message}"),
            Failure::TimedOut { after, note } => {
                write!(to, "the function timed out after {} s", after.as_secs_f64())?;
                noted(to, note.as_deref())
            }
            Failure::Exited { how, note } => {
                write!(to, "the runtime ended without an answer ({how})")?;
                noted(to, note.as_deref())
            }
            Failure::OutOfMemory { limit_mib } => {
                write!(
                    to,
                    "the function used more than its {limit_mib} MiB of memory"
                )
            }
            Failure::ScratchFull { limit_bytes } => write!(
                to,
                "the function wrote more than {limit_bytes} bytes into its temporary folder"
            ),
            Failure::Init { cause, .. } => write!(to, "the function did not start: {cause}"),
            Failure::NotStarted { reason } => {
                write!(to, "the function could not be started: {reason}")
            }
            Failure::PayloadTooLarge { bytes } => write!(
                to,
                "the event has {bytes} bytes, more than the {} that a function takes",
                limits::PAYLOAD_BYTES_MAX
            ),
            Failure::ResponseTooLarge => write!(
                to,
                "the function's response is larger than {} bytes",
                limits::RESPONSE_BYTES_MAX
            ),
            Failure::Protocol { what } => write!(to, "the runtime broke the Runtime API: {what}"),
            Failure::Stopped => to.write_str("the host of the function is stopping"),
        }
    }
}

fn noted(to: &mut fmt::Formatter<'_>, note: Option<&str>) -> fmt::Result {
    match note {
        Some(note) => write!(to, "; before that, {note}"),
        None => Ok(()),
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Init { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
