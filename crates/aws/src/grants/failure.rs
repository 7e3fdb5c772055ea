//! What failures of S3 and STS mean to a caller of the upload API.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use two_buckets_uploads::{Error, scope_does_not_fit};

use crate::words::words;

/// A multipart call that failed (S3 API, "Error responses").
///
/// What S3 says of the request is the caller's to know. That a role lacks a permission or a bucket is gone is not: it is
/// logged, and told as a breakage.
pub(super) fn failed<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let SdkError::ServiceError(answer) = &error else {
        return unavailable(&error);
    };
    let status = answer.raw().status().as_u16();
    match (answer.err().code().unwrap_or_default(), status) {
        ("NoSuchUpload", _) => no_such_upload(),
        ("PreconditionFailed", _) | (_, 412) => Error::Conflict {
            reason: "there is another file under this key already".into(),
        },
        // Of a write under the same key at the same moment; the parts are lost (S3 User Guide, "conditional writes").
        ("ConditionalRequestConflict", _) | (_, 409) => Error::Conflict {
            reason: "another file was written under this key at the same moment; send this one again from the beginning"
                .into(),
        },
        ("NoSuchBucket", _) | (_, 300..=399 | 401 | 403 | 404) => broken(error),
        ("RequestTimeout" | "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired", _) => {
            unavailable(&error)
        }
        (code, _) if code.starts_with("KMS.") => broken(error),
        (_, 429) => unavailable(&error),
        (_, 400..=499) => Error::Refused {
            reason: answer.err().message().unwrap_or("S3 refuses it").to_owned(),
        },
        // 5xx, and an error inside a 200.
        _ => unavailable(&error),
    }
}

/// A session that was not begun (STS API, `AssumeRole`, and "Common Error Types").
pub(super) fn not_assumed<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let SdkError::ServiceError(answer) = &error else {
        return unavailable(&error);
    };
    let status = answer.raw().status().as_u16();
    match (answer.err().code().unwrap_or_default(), status) {
        ("PackedPolicyTooLarge" | "PackedPolicyTooLargeException", _) => scope_does_not_fit(),
        ("ExpiredToken" | "ExpiredTokenException" | "Throttling" | "ThrottlingException", _)
        | (_, 429 | 500..=599) => unavailable(&error),
        _ => Error::Broken {
            reason: format!("the uploader role cannot be assumed: {}", words(&error)),
            source: Some(Box::new(error)),
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
    Error::Unavailable {
        reason: format!("S3 answers without {what}"),
        source: None,
    }
}

fn unavailable<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    Error::Unavailable {
        reason: words(error),
        source: None,
    }
}

fn broken<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    Error::Broken {
        reason: format!("S3 does not carry a multipart upload: {}", words(&error)),
        source: Some(Box::new(error)),
    }
}
