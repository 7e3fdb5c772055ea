//! Files come in, a function runs on each, and they are kept.
//!
//! [`run`] is the whole program around one function: the server with its S3 endpoint, page and workers, and the
//! commands that speak to it. A program of your own is one line in `main`, and a [`Processor`]:
//!
//! ```no_run
//! use two_buckets::{Incoming, ProcessError, Processor, Report};
//!
//! struct CountLines;
//!
//! impl Processor for CountLines {
//!     async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
//!         let text = upload.content.bytes(10 << 20).await?;
//!         let lines = text.iter().filter(|byte| **byte == b'\n').count();
//!         Report::from_json(format!("{{\"lines\": {lines}}}"))
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     two_buckets::run(CountLines)
//! }
//! ```
//!
//! When `process` gives `Ok`, the file is moved to the archive; when it fails, the file stays in staging and is tried
//! again, or is set aside with the reason. A panic, a killed process or a lost lease is a failed attempt like any other.
//! A function runs at least once for each file, and may run again: what it does elsewhere should bear that, with
//! [`Incoming::idempotency_key`] or [`Incoming::token`].
//!
//! # Read a file of any size
//!
//! [`Content::stream`] holds one piece in memory, and ends with an error unless the bytes are those that were uploaded.
//!
//! ```
//! use futures::StreamExt as _;
//! use two_buckets::{Incoming, ProcessError};
//!
//! async fn longest_line(upload: &Incoming) -> Result<usize, ProcessError> {
//!     let (mut longest, mut current) = (0, 0);
//!     let mut body = upload.content.stream().await?;
//!     while let Some(piece) = body.next().await {
//!         for byte in piece? {
//!             current = if byte == b'\n' { 0 } else { current + 1 };
//!             longest = longest.max(current);
//!         }
//!     }
//!     Ok(longest)
//! }
//! ```
//!
//! # Read it with a library that is not async
//!
//! [`Incoming::blocking`] gives work a thread of its own, where the file is a [`std::io::Read`] ([`Blocking::reader`],
//! checked like the stream), or a [`std::io::Seek`] too ([`Blocking::seek_reader`]), and an output a [`std::io::Write`]
//! ([`Blocking::output`]). A checksum that is not right is an error at the end of what is read, and an output that was
//! not finished is never there.
//!
//! ```
//! use std::io::{BufRead as _, Write as _};
//! use two_buckets::{Incoming, ProcessError, Processor, Report};
//!
//! /// Keeps the lines with an error in them beside each log file.
//! struct Errors;
//!
//! impl Processor for Errors {
//!     async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
//!         upload
//!             .blocking(|upload| {
//!                 let mut errors = upload.output("errors.txt", "text/plain")?;
//!                 let mut count = 0_u64;
//!                 for line in upload.reader().lines() {
//!                     let line = line?;
//!                     if line.contains("ERROR") {
//!                         writeln!(errors, "{line}")?;
//!                         count += 1;
//!                     }
//!                 }
//!                 let at = errors.finish()?;
//!                 Report::from_json(format!("{{\"errors\": {count}, \"at\": \"{}\"}}", at.version_id))
//!             })
//!             .await
//!     }
//! }
//! ```
//!
//! # Read a part of it
//!
//! ```
//! use two_buckets::objects::{ByteRange, read_to_bytes};
//! use two_buckets::{Incoming, ProcessError};
//!
//! async fn is_parquet(upload: &Incoming) -> Result<bool, ProcessError> {
//!     if upload.content.size_bytes() < 12 {
//!         return Ok(false);
//!     }
//!     let end = upload.content.read(Some(ByteRange::Last { length: 4 })).await?;
//!     Ok(&read_to_bytes(end, 4).await?[..] == b"PAR1")
//! }
//! ```
//!
//! # Write what you make of it
//!
//! Outputs are in the archive bucket under `_results/{key}/{version id}/{name}`, the same in every attempt.
//!
//! ```
//! use two_buckets::{Incoming, ProcessError};
//!
//! async fn shout(upload: &Incoming) -> Result<(), ProcessError> {
//!     let text = upload.content.bytes(1 << 20).await?.to_ascii_uppercase();
//!     upload.outputs.put_bytes("loud.txt", "text/plain", text).await?;
//!     Ok(())
//! }
//! ```
//!
//! # Fail, for now or for good
//!
//! ```
//! use two_buckets::{Incoming, ProcessError};
//!
//! async fn checked(upload: &Incoming) -> Result<serde_json::Value, ProcessError> {
//!     let bytes = upload.content.bytes(1 << 20).await?;
//!     // The file will not get better: it is set aside with this reason.
//!     serde_json::from_slice(&bytes)
//!         .map_err(|error| ProcessError::permanent(error).context("it is no JSON"))
//! }
//!
//! fn announced(found: std::io::Result<()>) -> Result<(), ProcessError> {
//!     // The other side may be back later: the file is tried again after a wait.
//!     found.map_err(|error| ProcessError::transient(error).context("the index does not answer"))
//! }
//! ```
//!
//! # Say what happens
//!
//! `two-buckets logs KEY --follow` and the page show the log of each attempt, and how far it is.
//!
//! ```
//! use std::io::Write as _;
//! use two_buckets::Incoming;
//!
//! fn page_was_read(upload: &Incoming, page: u64, pages: u64) {
//!     upload.progress.say(page, Some(pages), "pages read");
//!     // Writing to it cannot fail.
//!     _ = writeln!(upload.log.clone(), "page {page} is read");
//! }
//! ```
//!
//! # Ask for a later attempt
//!
//! ```
//! use std::time::Duration;
//! use two_buckets::{Incoming, ProcessError};
//!
//! fn is_too_busy(upload: &Incoming, seconds: u64) -> ProcessError {
//!     upload.retry_after.at_least(Duration::from_secs(seconds));
//!     ProcessError::transient(format!("attempt {} of it: the service is busy", upload.attempt))
//! }
//! ```
//!
//! # Compute for long, and stop when nobody waits any more
//!
//! The future is dropped then (the server stops, the lease is lost), which ends what it awaits. A thread goes on: reads
//! and writes of [`Incoming::blocking`] fail, and work between them asks now and then. Async work that it does not own
//! itself awaits [`Cancellation::cancelled`].
//!
//! ```
//! use two_buckets::{Incoming, ProcessError, Processor, Report};
//!
//! struct Heavy;
//!
//! impl Processor for Heavy {
//!     async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
//!         upload
//!             .blocking(|upload| {
//!                 let bytes = upload.bytes(64 << 20)?;
//!                 let mut sum = 0_u64;
//!                 for piece in bytes.chunks(1 << 20) {
//!                     upload.still_wanted()?;
//!                     sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
//!                 }
//!                 Report::from_json(format!("{{\"sum\": {sum}}}"))
//!             })
//!             .await
//!     }
//! }
//! ```
//!
//! # Choose a function at the start
//!
//! ```
//! use std::sync::Arc;
//! use two_buckets::{DynProcessor, describe::Describe};
//! # use two_buckets::{Incoming, ProcessError, Processor, Report};
//! # struct Mine;
//! # impl Processor for Mine {
//! #     async fn process(&self, _: Incoming) -> Result<Report, ProcessError> { Ok(Report::default()) }
//! # }
//!
//! fn chosen(is_mine: bool) -> Arc<dyn DynProcessor> {
//!     if is_mine { Arc::new(Mine) } else { Arc::new(Describe) }
//! }
//! ```
//!
//! Without Rust, the same program runs a command of any language on each file: see [`command`].

#[cfg(not(any(feature = "local", feature = "aws")))]
compile_error!("choose a host for the function: the feature `local`, `aws` or both");

#[cfg(all(feature = "local", feature = "aws"))]
mod batch;
#[cfg(feature = "local")]
mod cli;
#[cfg(feature = "local")]
mod clock;
#[cfg(feature = "local")]
pub mod command;
#[cfg(feature = "local")]
mod config;
#[cfg(all(feature = "local", feature = "aws"))]
mod deployment;
pub mod describe;
#[cfg(feature = "local")]
mod failure;
#[cfg(feature = "local")]
mod faults;
#[cfg(feature = "local")]
mod function;
#[cfg(feature = "local")]
mod job;
#[cfg(feature = "local")]
mod logs;
#[cfg(feature = "local")]
mod meant;
#[cfg(feature = "local")]
mod metrics;
#[cfg(feature = "local")]
mod notifications;
#[cfg(feature = "aws")]
mod on_lambda;
#[cfg(feature = "local")]
mod private_file;
#[cfg(feature = "local")]
mod program;
#[cfg(feature = "local")]
mod root_key;
#[cfg(feature = "local")]
mod route;
#[cfg(feature = "local")]
mod server;
#[cfg(feature = "local")]
mod shell;
#[cfg(feature = "local")]
mod tls_client;
#[cfg(all(feature = "local", feature = "aws"))]
mod work;

use std::process::ExitCode;
use std::sync::Arc;

pub use two_buckets_objects as objects;
pub use two_buckets_pipeline::{
    AttemptLog, Blocking, CancelOnDrop, Cancellation, Content, DynProcessor, FencingToken,
    Incoming, LogExcerpt, Order, Outputs, ProcessError, Processing, Processor, Progress,
    ProgressAt, Reader, Report, RetryAfter, SeekReader, Writer,
};

#[cfg(not(feature = "local"))]
use on_lambda::run_elsewhere as run_here;
#[cfg(feature = "local")]
use program::run as run_here;

/// Runs the program with this function, to the end, and gives its exit code: 0 for success, 1 for what was tried and
/// failed, 2 for what must be typed or configured otherwise.
///
/// In an environment of AWS Lambda (`AWS_LAMBDA_RUNTIME_API` is set) and with the feature `aws`, that is the Lambda
/// function of a deployment, and the words of the command line mean nothing; everywhere else it is the program of the
/// command line, which needs the feature `local`. A function that is to be small is built with `aws` alone.
///
/// The name of the function's type is how people see it. Reads the process's arguments and environment, and installs
/// the process's logger and signal handlers, so call it once and from `main`.
pub fn run<P: Processor>(processor: P) -> ExitCode {
    run_any(Arc::new(processor))
}

/// All of it is compiled here, once, and not again in each program with a function of its own.
fn run_any(processor: Arc<dyn DynProcessor>) -> ExitCode {
    #[cfg(feature = "local")]
    if let Some(ended) = program::end_if_started_by_a_server() {
        return ended;
    }
    #[cfg(feature = "aws")]
    if on_lambda::is_here() {
        return on_lambda::run(processor);
    }
    run_here(processor)
}
