//! What failures of S3 and STS mean to a caller of the upload API.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use two_buckets_uploads::{Error, scope_does_not_fit};

use crate::words::words;

/// A multipart call that failed (S3 API, "Error responses").
pub(super) fn failed<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let reason = words(&error);
    match &error {
        SdkError::ServiceError(answer) => answered(
            answer.raw().status().as_u16(),
            answer.err().code().unwrap_or_default(),
            answer.err().message(),
            reason,
        ),
        _ => never_answered(reason, error),
    }
}

/// What S3 says of the request is the caller's to know. That a role lacks a permission or a bucket is gone is not: it is
/// logged, and told as a breakage.
fn answered(status: u16, code: &str, message: Option<&str>, reason: String) -> Error {
    match (code, status) {
        ("NoSuchUpload", _) => no_such_upload(),
        ("PreconditionFailed", _) | (_, 412) => Error::Conflict {
            reason: "there is another file under this key already".into(),
        },
        // Of a write under the same key at the same moment; the parts are lost (S3 User Guide, "conditional writes").
        ("ConditionalRequestConflict", _) | (_, 409) => Error::Conflict {
            reason: "another file was written under this key at the same moment; send this one again from the beginning"
                .into(),
        },
        ("RequestTimeout" | "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired", _)
        | (_, 429) => unavailable(reason),
        (code, _) if code.starts_with("KMS.Throttling") => unavailable(reason),
        (_, 300..=399 | 401 | 403 | 404) => broken(&reason),
        (code, _) if code.starts_with("KMS.") => broken(&reason),
        (_, 400..=499) => Error::Refused {
            reason: message.unwrap_or("S3 refuses it").to_owned(),
        },
        // 5xx, and an error inside a 200.
        _ => unavailable(reason),
    }
}

/// A session that was not begun (STS API, `AssumeRole`, and "Common Error Types").
pub(super) fn not_assumed<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let reason = words(&error);
    match &error {
        SdkError::ServiceError(answer) => assumption_answered(
            answer.raw().status().as_u16(),
            answer.err().code().unwrap_or_default(),
            reason,
        ),
        _ => never_answered(reason, error),
    }
}

fn assumption_answered(status: u16, code: &str, reason: String) -> Error {
    // Some services' codes end so, and those of others do not.
    match (code.trim_end_matches("Exception"), status) {
        ("PackedPolicyTooLarge", _) => scope_does_not_fit(),
        ("ExpiredToken" | "Throttling" | "RequestLimitExceeded", _) | (_, 429 | 500..=599) => {
            unavailable(reason)
        }
        _ => Error::Broken {
            reason: format!("the uploader role cannot be assumed: {reason}"),
            source: None,
        },
    }
}

pub(super) fn no_such_upload() -> Error {
    Error::NotFound {
        what: "a multipart upload of this key with this id".into(),
    }
}

/// An answer that lacks what it must have.
pub(super) fn without(what: &str) -> Error {
    unavailable(format!("S3 answers without {what}"))
}

fn never_answered(reason: String, error: impl StdError + Send + Sync + 'static) -> Error {
    Error::Unavailable {
        reason,
        source: Some(Box::new(error)),
    }
}

fn unavailable(reason: String) -> Error {
    Error::Unavailable {
        reason,
        source: None,
    }
}

fn broken(reason: &str) -> Error {
    Error::Broken {
        reason: format!("S3 does not carry a multipart upload: {reason}"),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: &Error) -> &'static str {
        match error {
            Error::NotFound { .. } => "not found",
            Error::Conflict { .. } => "conflict",
            Error::Refused { .. } => "refused",
            Error::Unavailable { .. } => "unavailable",
            Error::Broken { .. } => "broken",
        }
    }

    #[test]
    fn what_s3_says_of_a_request_is_told_and_what_it_says_of_us_is_not() {
        for (status, code, wanted) in [
            (404, "NoSuchUpload", "not found"),
            (200, "NoSuchUpload", "not found"),
            (412, "PreconditionFailed", "conflict"),
            (200, "PreconditionFailed", "conflict"),
            (409, "ConditionalRequestConflict", "conflict"),
            (400, "InvalidPart", "refused"),
            (400, "InvalidPartOrder", "refused"),
            (400, "EntityTooSmall", "refused"),
            (400, "MetadataTooLarge", "refused"),
            (400, "RequestTimeout", "unavailable"),
            (400, "ExpiredToken", "unavailable"),
            (403, "AccessDenied", "broken"),
            (404, "NoSuchBucket", "broken"),
            (301, "PermanentRedirect", "broken"),
            (400, "KMS.DisabledException", "broken"),
            (400, "KMS.ThrottlingException", "unavailable"),
            (200, "InternalError", "unavailable"),
            (500, "InternalError", "unavailable"),
            (503, "SlowDown", "unavailable"),
            (429, "", "unavailable"),
        ] {
            let error = answered(status, code, Some("said"), "reason".into());
            assert_eq!(kind(&error), wanted, "{status} {code}");
        }
    }

    #[test]
    fn a_policy_that_does_not_fit_is_about_the_key_and_a_role_is_about_us() {
        for (status, code, wanted) in [
            (400, "PackedPolicyTooLarge", "refused"),
            (400, "PackedPolicyTooLargeException", "refused"),
            (400, "MalformedPolicyDocument", "broken"),
            (400, "ValidationError", "broken"),
            (403, "AccessDenied", "broken"),
            (403, "ExpiredToken", "unavailable"),
            (400, "Throttling", "unavailable"),
            (503, "ServiceUnavailable", "unavailable"),
        ] {
            let error = assumption_answered(status, code, "reason".into());
            assert_eq!(kind(&error), wanted, "{status} {code}");
        }
    }
}
