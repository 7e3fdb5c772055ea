//! The Lambda function that processes and archives the files that wake-ups name, with the processor that comes with the
//! program. One with a processor of your own is made in the same way, with that in the place of `Describe`.

use std::process::ExitCode;

use two_buckets::describe::Describe;

fn main() -> ExitCode {
    two_buckets::run(Describe)
}
