//! What the server's own program does when it is started to enter a control group.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    assert!(
        arguments
            .next()
            .is_some_and(|it| it == two_buckets_lambda_host::ENTER)
    );
    two_buckets_lambda_host::enter(arguments)
}
