//! The Lambda function that finds what no wake-up told of, on a schedule.

use std::io::Write as _;
use std::process::ExitCode;

use two_buckets_aws::lambda;

#[tokio::main]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var_os(name)?.into_string().ok();
    match lambda::run_sweep(variable).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell where standard error is gone.
            _ = writeln!(std::io::stderr(), "sweep: {error}");
            ExitCode::FAILURE
        }
    }
}
