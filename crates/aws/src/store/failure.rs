//! The one place where S3's failures become the store's.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::operation::BuildError;
use two_buckets_objects::{Error, ObjectRef, VersionRef};

use super::retries::was_never_reached;
use crate::words::words;

/// What a call would have done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// It changes nothing, or nothing that its repetition would not change in the same way.
    Read,
    /// It makes something to be seen.
    Write,
}

/// How a message names an object.
pub(super) fn name(at: &ObjectRef) -> String {
    format!("{}/{}", at.bucket, at.key)
}

/// How a message names a version.
pub(super) fn name_of_version(at: &VersionRef) -> String {
    format!("version {} of {}/{}", at.version_id, at.bucket, at.key)
}

/// What a failed call on `what` means (S3 API, "Error responses").
///
/// Some answers are taken to be less than they say. 403 and everything about credentials, a wrong region and 501 are
/// `Unavailable` and not `Refused`: they are about us or the store and not about the file, and a file is not to be set
/// aside because a role lacks a permission. 502 and 504 of a write are `Unknown`, because they are said by whoever stands before the store.
pub(super) fn failure<E>(what: &str, does: Does, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let reason = format!("{what}: {}", words(&error));
    match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            answered(what, does, status, answer.err().code(), reason)
        }
        // Nothing was sent: what the file brings with it is no request that can be made, and never will be.
        SdkError::ConstructionFailure(_) if is_unbuildable(&error) => Error::Refused { reason },
        // Nothing was sent: no credentials.
        SdkError::ConstructionFailure(_) => unavailable(reason, error),
        SdkError::DispatchFailure(failure)
            if failure
                .as_connector_error()
                .is_some_and(|error| was_never_reached(error)) =>
        {
            unavailable(reason, error)
        }
        _ => match does {
            Does::Read => unavailable(reason, error),
            Does::Write => Error::Unknown {
                reason,
                source: Some(Box::new(error)),
            },
        },
    }
}

/// Whether the SDK found a value that no request can carry, such as a header beyond visible ASCII.
fn is_unbuildable(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .any(<dyn StdError>::is::<BuildError>)
}

fn unavailable(reason: String, error: impl StdError + Send + Sync + 'static) -> Error {
    Error::Unavailable {
        reason,
        source: Some(Box::new(error)),
    }
}

/// The meaning of an answer, by its code where it has one: inside a 200 and behind a HEAD there is only one of the two.
fn answered(what: &str, does: Does, status: u16, code: Option<&str>, reason: String) -> Error {
    let not_now = |reason| match does {
        Does::Read => Error::Unavailable {
            reason,
            source: None,
        },
        Does::Write => Error::NotWritten {
            reason,
            source: None,
        },
    };
    match (code.unwrap_or_default(), status) {
        ("NoSuchUpload", _) => not_now(reason),
        ("NoSuchKey" | "NoSuchVersion" | "NoSuchBucket" | "NotFound", _) | (_, 404) => {
            Error::NotFound { what: what.into() }
        }
        // A delete marker, asked for as a version.
        ("MethodNotAllowed", _) | (_, 405) if does == Does::Read => {
            Error::NotFound { what: what.into() }
        }
        ("PreconditionFailed", _) | (_, 412) => Error::ConditionFailed { key: what.into() },
        ("BadDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch", _) => {
            Error::Integrity { reason }
        }
        // It is in a storage class that must be restored first: that is about the file.
        ("InvalidObjectState", _) => Error::Refused { reason },
        ("RequestTimeout", _) | (_, 409 | 429) => not_now(reason),
        (
            "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "NotImplemented",
            _,
        )
        | (_, 300..=399 | 401 | 403 | 501) => Error::Unavailable {
            reason,
            source: None,
        },
        (code, _) if code.starts_with("KMS.") => Error::Unavailable {
            reason,
            source: None,
        },
        // A success without a code is one that the SDK could not read: XML cannot hold every key, and S3 repeats the key
        // of an upload of parts.
        (_, 502 | 504) | ("", 200..=299) if does == Does::Write => Error::Unknown {
            reason,
            source: None,
        },
        // The answer to a HEAD has no code; an expired token reads so.
        ("", 400) => Error::Unavailable {
            reason,
            source: None,
        },
        (_, 400..=499) => Error::Refused { reason },
        // 5xx, and an error inside a 200.
        _ => not_now(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(does: Does, status: u16, code: &str) -> &'static str {
        let code = (!code.is_empty()).then_some(code);
        match answered("staging/a", does, status, code, "said".into()) {
            Error::NotFound { .. } => "not found",
            Error::ConditionFailed { .. } => "condition",
            Error::NotWritten { .. } => "not written",
            Error::Unknown { .. } => "unknown",
            Error::Integrity { .. } => "integrity",
            Error::Refused { .. } => "refused",
            Error::Unavailable { .. } => "unavailable",
            _ => "another",
        }
    }

    #[test]
    fn an_answer_means_what_its_caller_does_next() {
        use Does::{Read, Write};
        for (does, status, code, wanted) in [
            (Read, 404, "", "not found"),
            (Read, 404, "NoSuchBucket", "not found"),
            (Read, 405, "", "not found"),
            (Write, 405, "MethodNotAllowed", "refused"),
            (Write, 412, "PreconditionFailed", "condition"),
            (Write, 200, "PreconditionFailed", "condition"),
            (Write, 409, "ConditionalRequestConflict", "not written"),
            (Write, 409, "OperationAborted", "not written"),
            (Write, 404, "NoSuchUpload", "not written"),
            (Write, 503, "SlowDown", "not written"),
            (Write, 500, "InternalError", "not written"),
            (Write, 200, "InternalError", "not written"),
            (Write, 200, "SlowDown", "not written"),
            (Write, 200, "", "unknown"),
            (Write, 400, "RequestTimeout", "not written"),
            (Write, 502, "", "unknown"),
            (Write, 504, "", "unknown"),
            (Read, 504, "", "unavailable"),
            (Read, 503, "", "unavailable"),
            (Read, 400, "", "unavailable"),
            (Write, 400, "ExpiredToken", "unavailable"),
            (Write, 400, "KMS.DisabledException", "unavailable"),
            (Write, 403, "AccessDenied", "unavailable"),
            (Read, 301, "PermanentRedirect", "unavailable"),
            (Write, 403, "InvalidObjectState", "refused"),
            (Write, 400, "MetadataTooLarge", "refused"),
            (Read, 416, "InvalidRange", "refused"),
            (Write, 501, "NotImplemented", "unavailable"),
            (
                Read,
                400,
                "IllegalLocationConstraintException",
                "unavailable",
            ),
            (Write, 400, "BadDigest", "integrity"),
        ] {
            assert_eq!(kind(does, status, code), wanted, "{status} {code}");
        }
    }
}
