//! Which failed writes the SDK may repeat by itself.

use std::error::Error as StdError;
use std::io::ErrorKind;

use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::RetryClassifierPriority;

/// Lets a write be repeated only when the last attempt certainly did nothing: S3 put it off (503, 429), or it was never
/// reached. By itself the SDK repeats after time-outs, cut connections and 500 as well. Had the first attempt landed,
/// the second would be answered 412 by the first one's own object, or make a second version: an answer that is not
/// true of the call. As it is, the last attempt's answer is the call's.
#[derive(Debug)]
pub(crate) struct OnlyWhatDidNothing;

impl ClassifyRetry for OnlyWhatDidNothing {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        let did_nothing = match context.response() {
            Some(response) => matches!(response.status().as_u16(), 429 | 503),
            None => error
                .as_connector_error()
                .is_some_and(|error| was_never_reached(error)),
        };
        if did_nothing {
            // The SDK's own classifiers decide.
            RetryAction::NoActionIndicated
        } else {
            RetryAction::RetryForbidden
        }
    }

    fn name(&self) -> &'static str {
        "only writes that did nothing"
    }

    /// A verdict of "forbidden" ends the classification, so this one comes first.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_before(RetryClassifierPriority::http_status_code_classifier())
    }
}

/// Whether a connection could not even be made.
pub(super) fn was_never_reached(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::AddrNotAvailable
            );
        }
        next = error.source();
    }
    false
}
