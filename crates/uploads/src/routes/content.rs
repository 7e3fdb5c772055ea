use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use two_buckets_objects::{ByteRange, ETag};

use super::uploads::visible;
use super::{Answer, From, upload_id};
use crate::attachment::content_disposition;
use crate::problem::Problem;
use crate::service::Api;
use crate::{Grants, Tracker};

/// Hands out a file's bytes, always as a download of no particular type: a file that is a page must never run as one
/// of ours, whatever it claims to be and wherever it is opened.
pub(crate) async fn download<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let id = upload_id(id)?;
    let upload = visible(&api.tracker, &caller, &id).await?.upload;
    let size = upload.size_bytes;
    let range = asked_range(&headers, &upload.etag)
        .map(|range| range.within(size))
        .transpose()
        .map_err(|error| Problem::RangeNotSatisfiable {
            size_bytes: error.size_bytes,
        })?;
    let from_to = range.as_ref().map(|range| ByteRange::FromTo {
        first: range.start,
        last: range.end - 1,
    });
    let body = api.tracker.content(&id, from_to).await?;

    let mut response = Response::new(Body::from_stream(body));
    let length = match &range {
        None => size,
        Some(range) => {
            let last = range.end - 1;
            let value = format!("bytes {}-{last}/{size}", range.start);
            response.headers_mut().insert(CONTENT_RANGE, ascii(&value));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            range.end - range.start
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(&upload.etag.quoted()) {
        headers.insert(ETAG, etag);
    }
    headers.insert(
        CONTENT_DISPOSITION,
        content_disposition(upload.key.as_str()),
    );
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn ascii(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("digits and letters are a header value")
}

/// The range to serve. What is no single range, or asks for the rest of another file (`If-Range`), means the whole
/// (RFC 9110, sections 13.1.5 and 14.2).
fn asked_range(headers: &HeaderMap, etag: &ETag) -> Option<ByteRange> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    let same_file = match headers.get(IF_RANGE) {
        None => true,
        Some(known) => known.as_bytes() == etag.quoted().as_bytes(),
    };
    same_file.then(|| parsed(range)).flatten()
}

/// A `Range` header with one range of bytes.
fn parsed(header: &str) -> Option<ByteRange> {
    let (unit, range) = header.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |digits: &str| {
        let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // A number too large to hold lies behind the end of every file.
        all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", length) => number(length).map(|length| ByteRange::Last { length }),
        (first, "") => number(first).map(|first| ByteRange::From { first }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::FromTo { first, last })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteRange, parsed};

    #[test]
    fn only_a_single_range_of_bytes_is_a_range() {
        for (header, range) in [
            ("bytes=0-0", ByteRange::FromTo { first: 0, last: 0 }),
            ("Bytes=5-", ByteRange::From { first: 5 }),
            ("bytes=-3", ByteRange::Last { length: 3 }),
            (
                "bytes=1-99999999999999999999",
                ByteRange::FromTo {
                    first: 1,
                    last: u64::MAX,
                },
            ),
        ] {
            assert_eq!(parsed(header), Some(range), "{header}");
        }
        for other in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=2-1",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=1--2",
            "bytes=--2",
        ] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
