//! Files come in, a function runs on each, and they are kept.
//!
//! [`run`] is the whole program around one function: the server with its S3 endpoint, page and workers, and the
//! commands that speak to it. A program of your own is one line:
//!
//! ```no_run
//! # struct Mine;
//! # impl two_buckets::Processor for Mine {
//! #     async fn process(&self, _: two_buckets::Incoming) -> Result<two_buckets::Report, two_buckets::ProcessError> {
//! #         Ok(two_buckets::Report::default())
//! #     }
//! # }
//! fn main() -> std::process::ExitCode {
//!     two_buckets::run(Mine)
//! }
//! ```

mod cli;
mod clock;
mod config;
pub mod describe;
mod failure;
mod logs;
pub mod page;
mod private_file;
mod root_key;
mod server;
mod shell;
mod tls_client;

use std::io::Write as _;
use std::process::ExitCode;

pub use two_buckets_objects as objects;
pub use two_buckets_pipeline::{
    AttemptLog, Cancellation, Content, DynProcessor, Incoming, Outputs, ProcessError, Processor,
    Progress, ProgressAt, Report,
};

use cli::{Command, Stopped};
use config::{Environment, Settings};
use failure::Failure;

/// Runs the program of the command line with this function, to the end, and gives its exit code: 0 for success, 1
/// for what was tried and failed, 2 for what must be typed or configured otherwise.
///
/// The name of the function's type is how people see it. Reads the process's arguments and environment, and installs the process's
/// logger and signal handlers, so call it once and from `main`.
pub fn run<P: Processor>(processor: P) -> ExitCode {
    match run_command(processor) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell where standard error is gone.
            _ = writeln!(std::io::stderr(), "two-buckets: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run_command<P: Processor>(processor: P) -> Result<(), Failure> {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(Stopped::Printed(text)) => return cli::print_text(&text),
        Err(Stopped::Failed(failure)) => return Err(failure),
    };
    let environment = Environment::of_process();
    let settings = Settings::resolve(&invocation.flags, &environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime cannot start: {error}")))?;
    match invocation.command {
        Command::Serve => {
            logs::begin(&settings)?;
            runtime.block_on(server::run(processor, &settings, &environment))
        }
        command => runtime.block_on(cli::run(command, &settings, &environment)),
    }
}
