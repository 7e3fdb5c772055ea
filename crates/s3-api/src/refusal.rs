use std::fmt;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode};

/// Why the outer layer refuses a request: an S3 code with its status, and a sentence for the person who reads it.
/// Carries no secret and no signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: S3ErrorCode,
    pub(crate) message: String,
    /// The status of a code that s3s does not know.
    status: Option<StatusCode>,
}

impl Refusal {
    pub(crate) fn new(code: S3ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            status: None,
        }
    }

    fn custom(code: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            code: S3ErrorCode::Custom(code.into()),
            message: message.into(),
            status: Some(status),
        }
    }

    /// The body is not the one whose SHA-256 was signed.
    pub(crate) fn content_sha256_mismatch() -> Self {
        Self::custom(
            "XAmzContentSHA256Mismatch",
            StatusCode::BAD_REQUEST,
            "the body's SHA-256 is not the one in x-amz-content-sha256",
        )
    }

    /// What follows the last chunk is not as S3's aws-chunked wants it.
    pub(crate) fn malformed_trailer(message: impl Into<String>) -> Self {
        Self::custom("MalformedTrailerError", StatusCode::BAD_REQUEST, message)
    }

    /// More tags than an object or bucket can have.
    pub(crate) fn too_many_tags(count_max: usize) -> Self {
        Self::custom(
            "BadRequest",
            StatusCode::BAD_REQUEST,
            format!("there must be at most {count_max} tags"),
        )
    }

    /// The bucket has no public access block, and none can be set.
    pub(crate) fn no_public_access_block() -> Self {
        Self::custom(
            "NoSuchPublicAccessBlockConfiguration",
            StatusCode::NOT_FOUND,
            "the bucket has no public access block",
        )
    }

    /// No rule of the bucket allows this origin what it asks for.
    pub(crate) fn cors_forbidden(message: impl Into<String>) -> Self {
        Self::custom("AccessForbidden", StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(S3ErrorCode::AccessDenied, message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(S3ErrorCode::InvalidRequest, message)
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(S3ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(S3ErrorCode::NotImplemented, message)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        let mut error = S3Error::with_message(refusal.code, refusal.message);
        if let Some(status) = refusal.status {
            error.set_status_code(status);
        }
        error
    }
}
