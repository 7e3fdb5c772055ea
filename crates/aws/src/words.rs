//! What goes into messages of a failed call.

use std::error::Error as StdError;
use std::fmt::Write as _;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What the service said, or the chain of causes. No header of a request is in it, and nothing
/// of an answer but its code and its sentence.
pub(crate) fn words<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let SdkError::ServiceError(answer) = error {
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().unwrap_or("no code");
        return match answer.err().message() {
            Some(message) => format!("the service answers {status} {code}: {message}"),
            None => format!("the service answers {status} {code}"),
        };
    }
    chain(error)
}

/// An error with its causes, the outermost first.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        write!(words, ": {cause}").expect("a String takes every write");
        next = cause.source();
    }
    words
}
