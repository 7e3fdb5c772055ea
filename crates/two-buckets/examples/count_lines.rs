//! Says how many lines each file has.

use std::io::BufRead as _;
use std::process::ExitCode;

use two_buckets::{Incoming, ProcessError, Processor, Report};

struct CountLines;

impl Processor for CountLines {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        upload
            .blocking(|upload| {
                let mut lines = 0_u64;
                for line in upload.reader().lines() {
                    line?; // no UTF-8: the file is set aside with that as its reason
                    lines += 1;
                }
                Report::from_json(format!("{{\"lines\": {lines}}}"))
            })
            .await
    }
}

fn main() -> ExitCode {
    two_buckets::run(CountLines)
}
