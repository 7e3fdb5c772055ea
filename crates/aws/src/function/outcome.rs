//! What an invocation's end means for the upload, by the same rules as where functions run on this machine.

use std::time::Duration;

use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use serde::Deserialize;
use two_buckets_events::answer::{is_among, kept};
use two_buckets_pipeline::{ProcessError, Report};

use crate::words::{chain, words};

/// What Lambda says where there is none of the function (Lambda API, `Invoke`, `X-Amz-Function-Error`).
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct FunctionError {
    error_type: String,
    error_message: String,
}

/// What the function answered, or what Lambda says in its place.
pub(super) fn of(
    answer: &InvokeOutput,
    permanent_errors: &[String],
) -> Result<Report, ProcessError> {
    let payload = answer.payload.as_ref().map_or(&[][..], AsRef::as_ref);
    if answer.function_error.is_none() {
        // Lambda answers with no bytes where a function returned nothing at all.
        let payload = if payload.is_empty() {
            &b"null"[..]
        } else {
            payload
        };
        return Ok(Report::new(kept(payload, Report::BYTES_MAX)).unwrap_or_default());
    }
    let FunctionError {
        error_type,
        error_message,
    } = serde_json::from_slice(payload).unwrap_or_default();
    let reason = match (error_type.as_str(), error_message.as_str()) {
        ("", "") => "the function failed and said nothing of why".to_owned(),
        ("", message) => format!("the function failed: {message}"),
        (error_type, "") => format!("the function failed with {error_type}"),
        (error_type, message) => format!("the function failed with {error_type}: {message}"),
    };
    Err(match error_type.as_str() {
        error_type if is_among(error_type, permanent_errors) => ProcessError::Permanent(reason),
        // The same file makes the same event and, as a rule, the same answer.
        "Function.ResponseSizeTooLarge" => ProcessError::Permanent(reason),
        "Runtime.ExitError" => ProcessError::Crashed(reason),
        _ => ProcessError::Transient(reason),
    })
}

/// Why there is no answer.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum NoAnswer {
    /// Lambda had no room and the function did not run: ask again, after this long at least.
    NoRoom {
        /// What Lambda says.
        why: String,
        /// How long it says to wait.
        wait_least: Duration,
    },
    /// What it means for the attempt.
    Failed(ProcessError),
}

/// What it means that a call was not answered as it should be. Whether the function has run is known only where Lambda
/// refused the call; elsewhere it may have run, or run still.
pub(super) fn of_no_answer(
    error: &SdkError<InvokeError, HttpResponse>,
    limit: Duration,
) -> NoAnswer {
    let no_room = |wait_least| NoAnswer::NoRoom {
        why: format!("there was no room for the function: {}", words(error)),
        wait_least,
    };
    match error {
        SdkError::ServiceError(refused) => match refused.err() {
            InvokeError::TooManyRequestsException(throttled) => {
                let wait = throttled.retry_after_seconds.as_deref();
                no_room(wait.and_then(seconds).unwrap_or_default())
            }
            InvokeError::Ec2ThrottledException(_)
            | InvokeError::EniLimitReachedException(_)
            | InvokeError::SubnetIpAddressLimitReachedException(_) => no_room(Duration::ZERO),
            InvokeError::RequestTooLargeException(_)
            | InvokeError::InvalidRequestContentException(_) => NoAnswer::Failed(
                ProcessError::Permanent(format!("the function was not called: {}", words(error))),
            ),
            // A right that is missing, a function that is gone: it is about no file, and none is to be set aside for it.
            _ if refused.raw().status().is_client_error() => NoAnswer::Failed(
                ProcessError::NotRun(format!("the function was not called: {}", words(error))),
            ),
            _ => NoAnswer::Failed(ProcessError::Transient(format!(
                "the function could not be called: {}",
                words(error)
            ))),
        },
        SdkError::TimeoutError(_) => NoAnswer::Failed(ProcessError::Transient(format!(
            "the function gave no answer within {} s; it may run still",
            limit.as_secs_f64()
        ))),
        other => NoAnswer::Failed(ProcessError::Transient(format!(
            "no answer of the function arrived; it may have run: {}",
            chain(other)
        ))),
    }
}

/// Seconds as a header says them.
fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}
