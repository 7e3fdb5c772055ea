//! The Lambda function.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use two_buckets_aws::lambda;
use two_buckets_pipeline::DynProcessor;

/// Lambda says by this where its Runtime API is (Lambda Developer Guide, "Defined runtime environment variables").
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Whether this process is an execution environment of Lambda.
pub(crate) fn is_here() -> bool {
    variable(RUNTIME_API).is_some_and(|address| !address.is_empty())
}

/// Serves invocations until Lambda ends the process.
pub(crate) fn run(processor: Arc<dyn DynProcessor>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime
            .block_on(lambda::run_processor(processor, variable))
            .map_err(|error| error.to_string()),
        Err(error) => Err(format!("the runtime cannot start: {error}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => fail(1, &sentence),
    }
}

/// There is nothing else in this program.
#[cfg(not(feature = "local"))]
pub(crate) fn run_elsewhere(_: Arc<dyn DynProcessor>) -> ExitCode {
    fail(
        2,
        "this program was built to be a Lambda function (the feature `aws` without `local`), and Lambda is not here: \
         AWS_LAMBDA_RUNTIME_API is not set",
    )
}

fn fail(code: u8, sentence: &str) -> ExitCode {
    // Nobody is left to tell where standard error is gone.
    _ = writeln!(std::io::stderr(), "two-buckets: {sentence}");
    ExitCode::from(code)
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok()
}
