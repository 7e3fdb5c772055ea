//! The program of the command line.

use std::io::Write as _;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use two_buckets_lambda_host as lambda;
use two_buckets_pipeline::DynProcessor;

use crate::cli::{self, Command, Stopped};
use crate::config::{Environment, Settings};
use crate::failure::Failure;
use crate::{job, logs, server};

/// Becomes what a server started this program as, if one did: the runtime of a function, which has the variables of
/// Lambda, or what ends the processes that a killed server left.
pub(crate) fn end_if_started_by_a_server() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == lambda::ENTER) {
        return Some(lambda::enter(arguments));
    }
    server::strays::end_if_asked(std::env::args_os())
}

/// Runs the command that was typed.
pub(crate) fn run(processor: Arc<dyn DynProcessor>) -> ExitCode {
    match run_command(processor) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell where standard error is gone.
            _ = writeln!(std::io::stderr(), "two-buckets: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run_command(processor: Arc<dyn DynProcessor>) -> Result<(), Failure> {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(Stopped::Printed(text)) => return cli::print_text(&text),
        Err(Stopped::Failed(failure)) => return Err(failure),
    };
    let environment = Environment::of_process();
    let mut settings = Settings::resolve(&invocation.flags, &environment)?;
    settings.suit(&*processor);
    if let Command::Job(Some(job)) = &invocation.command {
        logs::begin(&settings)?;
        return job::run::run(processor, job, &settings, &environment);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime cannot start: {error}")))?;
    // Boxed, for what `block_on` is given is compiled once for each of its ways to wait, with all that it awaits.
    let command: Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>> = match invocation.command
    {
        Command::Serve => {
            logs::begin(&settings)?;
            let words = cli::words(&invocation.flags);
            Box::pin(server::run(processor, &settings, &environment, words))
        }
        #[cfg(feature = "aws")]
        Command::Work => {
            logs::begin(&settings)?;
            Box::pin(crate::work::run(processor, &settings))
        }
        #[cfg(feature = "aws")]
        Command::Job(_) => {
            logs::begin(&settings)?;
            Box::pin(crate::batch::run(processor, &settings, &environment))
        }
        #[cfg(not(feature = "aws"))]
        Command::Work => {
            return Err(Failure::usage(
                "this program was built without AWS (the feature `aws`), so there is no work here",
            ));
        }
        #[cfg(not(feature = "aws"))]
        Command::Job(_) => return Err(Failure::usage("which file? --key and --version name it")),
        command => {
            // What the service in this process has to say beside its answer; a server says it in its own log.
            if settings.is_on_aws() {
                logs::begin_for_a_command(&settings)?;
            }
            Box::pin(cli::run(command, &settings, &environment))
        }
    };
    runtime.block_on(command)
}
