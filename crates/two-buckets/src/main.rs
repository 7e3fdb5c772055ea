//! The `two-buckets` program.

use std::process::ExitCode;

use two_buckets::describe::Describe;

fn main() -> ExitCode {
    two_buckets::run(Describe)
}
