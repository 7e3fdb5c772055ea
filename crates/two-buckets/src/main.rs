//! The `two-buckets` program.

use std::process::ExitCode;

use two_buckets::{Incoming, ProcessError, Processor, Report};

/// Accepts every file and says nothing of it.
struct Accept;

impl Processor for Accept {
    async fn process(&self, _: Incoming) -> Result<Report, ProcessError> {
        Ok(Report::default())
    }
}

fn main() -> ExitCode {
    two_buckets::run(Accept)
}
