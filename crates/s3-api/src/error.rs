//! The store's errors as S3 says them.

use http::{HeaderMap, HeaderValue, header};
use s3s::{S3Error, S3ErrorCode};
use two_buckets_depot::Error;
use two_buckets_objects::Timestamp;

use crate::payload::BoxError;
use crate::refusal::Refusal;

/// The S3 code of a store's error. Broken disks are logged here, once.
pub(crate) fn of_depot(error: &Error) -> S3Error {
    let code = match error {
        Error::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
        Error::BucketExists(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
        Error::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
        Error::NoSuchKey { .. } => S3ErrorCode::NoSuchKey,
        Error::NoSuchVersion => S3ErrorCode::NoSuchVersion,
        Error::IsDeleteMarker { .. } => S3ErrorCode::MethodNotAllowed,
        Error::NoSuchUpload => S3ErrorCode::NoSuchUpload,
        Error::InvalidPart(_) => S3ErrorCode::InvalidPart,
        Error::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
        Error::EntityTooSmall { .. } => S3ErrorCode::EntityTooSmall,
        Error::EntityTooLarge { .. } => S3ErrorCode::EntityTooLarge,
        Error::ConditionFailed => S3ErrorCode::PreconditionFailed,
        Error::BadDigest { .. } => S3ErrorCode::BadDigest,
        Error::InvalidArgument(_) => S3ErrorCode::InvalidArgument,
        Error::DiskFull | Error::ReadOnly => {
            tracing::warn!(%error, "a request was refused");
            S3ErrorCode::ServiceUnavailable
        }
        Error::Io(_) | Error::Corrupt { .. } => {
            tracing::error!(%error, "the store failed");
            S3ErrorCode::InternalError
        }
        other => {
            tracing::error!(error = %other, "the store failed in a way that has no S3 code");
            S3ErrorCode::InternalError
        }
    };
    let mut answer = S3Error::with_message(code, error.to_string());
    if let Some(headers) = marker_headers(error) {
        answer.set_headers(headers);
    }
    answer
}

/// What S3 says of a delete marker beside the error.
fn marker_headers(error: &Error) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    match error {
        Error::NoSuchKey {
            delete_marker: Some(version_id),
        } => {
            let version_id = HeaderValue::try_from(version_id.as_str()).ok()?;
            headers.insert("x-amz-version-id", version_id);
        }
        Error::IsDeleteMarker { last_modified } => {
            headers.insert(header::ALLOW, HeaderValue::from_static("DELETE"));
            headers.insert(header::LAST_MODIFIED, http_date(*last_modified)?);
        }
        _ => return None,
    }
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    Some(headers)
}

/// A moment as HTTP writes it.
pub(crate) fn http_date(time: Timestamp) -> Option<HeaderValue> {
    let nanos = i128::from(time.millis()) * 1_000_000;
    let moment = time::OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    let mut text = Vec::new();
    s3s::dto::Timestamp::from(moment)
        .format(s3s::dto::TimestampFormat::HttpDate, &mut text)
        .ok()?;
    HeaderValue::from_bytes(&text).ok()
}

/// The error of a request's body: what the outer layer found wrong with it, or a connection that broke.
pub(crate) fn of_body(error: BoxError) -> S3Error {
    match error.downcast::<Refusal>() {
        Ok(refusal) => (*refusal).into(),
        Err(_) => S3Error::with_message(
            S3ErrorCode::IncompleteBody,
            "the connection ended within the body",
        ),
    }
}
