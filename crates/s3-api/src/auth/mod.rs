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
pub(crate) use v4::{ChunkSigner, sts_header};

use crate::payload::PayloadKind;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::sign::SESSION_TOKEN;
use crate::sts::{Sts, Who};

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
    /// Who signed it.
    pub(crate) who: Who,
    /// How it was signed, for conditions.
    pub(crate) signed: Signed,
}

/// How a request was signed, as conditions of policies ask for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Signed {
    /// `s3:authType`.
    pub(crate) way: Way,
    /// `s3:signatureversion`.
    pub(crate) version: Version,
    /// When; version 2 does not tell.
    pub(crate) at: Option<Timestamp>,
    /// What was signed of the payload, if the request said so.
    pub(crate) content_sha256: Option<String>,
}

/// Where a signature was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Header,
    Query,
    /// In the fields of a form.
    Form,
}

/// By which rules a signature was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    V2,
    V4,
}

/// Checks the signature and takes it out of the request, so that nothing behind can read or log it. Headers that a
/// presigned URL carries as query parameters become headers.
pub(crate) fn authenticate(
    parts: &mut Parts,
    query: &mut Query,
    sts: &Sts,
    now: Timestamp,
) -> Result<Authenticated, Refusal> {
    let authenticated = check(parts, query, sts, now)?;
    parts.headers.remove(http::header::AUTHORIZATION);
    parts.headers.remove(SESSION_TOKEN);
    Ok(authenticated)
}

fn check(
    parts: &mut Parts,
    query: &mut Query,
    sts: &Sts,
    now: Timestamp,
) -> Result<Authenticated, Refusal> {
    let by_header = parts.headers.contains_key(http::header::AUTHORIZATION);
    let by_v4_query = query.has_ignoring_case("x-amz-signature");
    let by_v2_query = query.has("Signature") || query.has("AWSAccessKeyId");
    match (by_header, by_v4_query, by_v2_query) {
        (false, false, false) => Err(Refusal::access_denied("the request is not signed")),
        (true, false, false) => {
            if query.has_ignoring_case(SESSION_TOKEN) {
                return Err(token_elsewhere("x-amz-security-token"));
            }
            v4::header(parts, query, sts, now)
        }
        (false, true, false) => {
            if parts.headers.contains_key(SESSION_TOKEN) {
                return Err(token_elsewhere("X-Amz-Security-Token"));
            }
            let authenticated = v4::presigned(parts, query, sts, now)?;
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
            Ok(authenticated)
        }
        (false, false, true) => {
            if parts.headers.contains_key(SESSION_TOKEN) {
                return Err(token_elsewhere("x-amz-security-token"));
            }
            let token = query.unique(SESSION_TOKEN).map(str::to_owned);
            if token.is_none() && query.has_ignoring_case(SESSION_TOKEN) {
                return Err(Refusal::invalid_argument(
                    "x-amz-security-token must be there once and in lower case",
                ));
            }
            let hoisted = take_hoisted(query)?;
            let mut headers = parts.headers.clone();
            // Version 2 signs the parameter as the header it would be.
            if let Some(token) = &token {
                let value = HeaderValue::try_from(token).map_err(|_| {
                    Refusal::new(S3ErrorCode::InvalidToken, "the session token is malformed")
                })?;
                headers.insert(SESSION_TOKEN, value);
            }
            for (name, value) in hoisted.clone() {
                insert_hoisted(&mut headers, name, value)?;
            }
            let who = v2::presigned(parts, query, &headers, token.as_deref(), sts, now)?;
            for (name, _) in hoisted {
                if name.as_str().starts_with("x-amz-checksum-")
                    || name == "x-amz-sdk-checksum-algorithm"
                {
                    headers.remove(name);
                }
            }
            parts.headers = headers;
            let content_sha256 = unique(&parts.headers, "x-amz-content-sha256")?.map(str::to_owned);
            let payload = match PayloadKind::of_header(&parts.headers)? {
                None => PayloadKind::Unsigned,
                Some(PayloadKind::SignedChunks { .. }) => {
                    return Err(Refusal::invalid_request(
                        "chunk signatures need a signature version 4 in the Authorization header",
                    ));
                }
                Some(kind) => kind,
            };
            Ok(Authenticated {
                payload,
                who,
                signed: Signed {
                    way: Way::Query,
                    version: Version::V2,
                    at: None,
                    content_sha256,
                },
            })
        }
        _ => Err(Refusal::invalid_argument(
            "only one way of signing is allowed: the Authorization header or query parameters",
        )),
    }
}

/// A token in another place than the signature could have been put there by anybody, and two could disagree.
fn token_elsewhere(right: &str) -> Refusal {
    Refusal::invalid_argument(format!(
        "the session token must be where the signature is, as {right}"
    ))
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
