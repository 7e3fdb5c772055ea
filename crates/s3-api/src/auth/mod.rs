//! Who sent a request: every request must carry one valid signature, or it is refused.
//!
//! s3s could check signatures too, but it takes `SigV2` headers of any age, presigned URLs of any length, and leaves
//! `host` and `x-amz-*` unsigned if the client likes. So the check is here, whole, and s3s gets requests that passed it.

mod form;
mod v2;
mod v4;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::S3ErrorCode;
use two_buckets_objects::Timestamp;

pub(crate) use form::form;
pub(crate) use v4::ChunkSigner;

use crate::Credentials;
use crate::payload::PayloadKind;
use crate::query::Query;
use crate::refusal::Refusal;

/// Query parameters that belong to a signature and to no operation.
const SIGNATURE_PARAMETERS: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// A request whose signature holds.
pub(crate) struct Authenticated {
    /// How its body is framed and what is signed of it.
    pub(crate) payload: PayloadKind,
}

/// Checks the signature and takes it out of the request, so that nothing behind can read or log it. Headers that a
/// presigned URL carries as query parameters become headers.
pub(crate) fn authenticate(
    parts: &mut Parts,
    query: &mut Query,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Authenticated, Refusal> {
    if parts.headers.contains_key("x-amz-security-token")
        || query.has_ignoring_case("x-amz-security-token")
    {
        return Err(Refusal::new(
            S3ErrorCode::InvalidToken,
            "session tokens are not known here yet",
        ));
    }
    let by_header = parts.headers.contains_key(http::header::AUTHORIZATION);
    let by_v4_query = query.has_ignoring_case("x-amz-signature");
    let by_v2_query = query.has("Signature") || query.has("AWSAccessKeyId");
    match (by_header, by_v4_query, by_v2_query) {
        (false, false, false) => Err(Refusal::access_denied("the request is not signed")),
        (true, false, false) => {
            let payload = v4::header(parts, query, credentials, now)?;
            parts.headers.remove(http::header::AUTHORIZATION);
            Ok(Authenticated { payload })
        }
        (false, true, false) => {
            let payload = v4::presigned(parts, query, credentials, now)?;
            for (name, value) in take_hoisted(query)? {
                // S3 does not look at checksums in a presigned URL, and the JavaScript SDK puts that of an empty
                // body there (aws/aws-sdk-js-v3#6810).
                if name.as_str().starts_with("x-amz-checksum-")
                    || name == "x-amz-sdk-checksum-algorithm"
                {
                    continue;
                }
                insert_hoisted(&mut parts.headers, name, value)?;
            }
            Ok(Authenticated { payload })
        }
        (false, false, true) => {
            let hoisted = take_hoisted(query)?;
            let mut headers = parts.headers.clone();
            for (name, value) in hoisted.clone() {
                insert_hoisted(&mut headers, name, value)?;
            }
            v2::presigned(parts, query, &headers, credentials, now)?;
            for (name, _) in hoisted {
                if name.as_str().starts_with("x-amz-checksum-")
                    || name == "x-amz-sdk-checksum-algorithm"
                {
                    headers.remove(name);
                }
            }
            parts.headers = headers;
            let payload = match PayloadKind::of_header(&parts.headers)? {
                None => PayloadKind::Unsigned,
                Some(PayloadKind::SignedChunks { .. }) => {
                    return Err(Refusal::invalid_request(
                        "chunk signatures need a signature version 4 in the Authorization header",
                    ));
                }
                Some(kind) => kind,
            };
            Ok(Authenticated { payload })
        }
        _ => Err(Refusal::invalid_argument(
            "only one way of signing is allowed: the Authorization header or query parameters",
        )),
    }
}

/// Takes the `x-amz-*` parameters that are headers in another place out of the query.
fn take_hoisted(query: &mut Query) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
    let mut hoisted = Vec::new();
    for (name, value) in query.take(|name| name.to_ascii_lowercase().starts_with("x-amz-")) {
        let lower = name.to_ascii_lowercase();
        if SIGNATURE_PARAMETERS.contains(&lower.as_str()) {
            continue;
        }
        let refused = || {
            Refusal::invalid_argument(format!(
                "the query parameter {lower} cannot be read as a header"
            ))
        };
        hoisted.push((
            HeaderName::try_from(lower.as_str()).map_err(|_| refused())?,
            HeaderValue::try_from(value).map_err(|_| refused())?,
        ));
    }
    Ok(hoisted)
}

fn insert_hoisted(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: HeaderValue,
) -> Result<(), Refusal> {
    match headers.get(&name) {
        None => {
            headers.insert(name, value);
            Ok(())
        }
        Some(there) if *there == value => Ok(()),
        Some(_) => Err(Refusal::invalid_argument(format!(
            "{name} is a header and a query parameter with different values"
        ))),
    }
}

/// The one value of a header, or none; a header sent twice is refused.
pub(crate) fn unique<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refusal::invalid_request(format!(
            "the header {name} was sent more than once"
        )));
    }
    first
        .to_str()
        .map(Some)
        .map_err(|_| Refusal::invalid_request(format!("the header {name} is not ASCII")))
}
