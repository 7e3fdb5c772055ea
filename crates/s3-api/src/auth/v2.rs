//! Signature Version 2 in presigned URLs, which boto3 and `aws s3 presign` still make by default in us-east-1
//! (S3 User Guide, "Signing and authenticating REST requests", "Query string request authentication alternative").
//!
//! Stricter than S3: the URL may be valid for at most 7 days from now, and no parameter may be there that the
//! signature does not cover, so that nobody can make more of a URL than its maker meant.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use http::request::Parts;
use subtle::ConstantTimeEq as _;
use two_buckets_objects::Timestamp;

use super::v4::mismatch;
use crate::host::BucketOfHost;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::sign::{PRESIGNED_VALID_MAX, trimmed};
use crate::sts::{Sts, Who};

/// The parameters the signature covers: sub-resources and the overrides of response headers.
const SIGNED_PARAMETERS: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Parameters that belong to the signature itself, and the name of the operation, which decides nothing. boto3 repeats
/// the signed `content-type` and `content-md5` headers here, where they have no effect.
const TOLERATED_PARAMETERS: &[&str] = &[
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "x-id",
    "content-type",
    "content-md5",
];

/// Checks a presigned URL. `headers` are those sent and those the URL carries, the session token among them.
pub(super) fn presigned(
    parts: &Parts,
    query: &mut Query,
    headers: &HeaderMap,
    session_token: Option<&str>,
    sts: &Sts,
    now: Timestamp,
) -> Result<Who, Refusal> {
    let parameter = |name: &str| {
        query.unique(name).ok_or_else(|| {
            Refusal::access_denied(format!("the presigned URL needs {name} exactly once"))
        })
    };
    let access_key_id = parameter("AWSAccessKeyId")?;
    let signature = parameter("Signature")?;
    let expires = parameter("Expires")?;
    let expires_at = expires
        .parse::<i64>()
        .ok()
        .and_then(|seconds| seconds.checked_mul(1000))
        .map(Timestamp::from_millis)
        .ok_or_else(|| Refusal::access_denied("the presigned URL has no valid Expires"))?;
    if now > expires_at {
        return Err(Refusal::access_denied("the presigned URL has expired"));
    }
    // One second of grace, because Expires is in whole seconds.
    if expires_at.since(now) > PRESIGNED_VALID_MAX + Duration::from_secs(1) {
        return Err(Refusal::access_denied(
            "the presigned URL is valid for more than 7 days",
        ));
    }
    if let Some(unsigned) = query
        .names()
        .find(|name| !SIGNED_PARAMETERS.contains(name) && !TOLERATED_PARAMETERS.contains(name))
    {
        return Err(Refusal::access_denied(format!(
            "signature version 2 does not cover the parameter {unsigned}; use version 4"
        )));
    }
    let identity = sts.identify(access_key_id, session_token, now)?;

    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(parts.method.as_str().as_bytes());
    text.push(b'\n');
    for name in ["content-md5", "content-type"] {
        if let Some(value) = headers.get(name) {
            text.extend_from_slice(value.as_bytes());
        }
        text.push(b'\n');
    }
    text.extend_from_slice(expires.as_bytes());
    text.push(b'\n');
    let mut names: Vec<&str> = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-"))
        .collect();
    names.sort_unstable();
    for name in names {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        for (index, value) in headers.get_all(name).iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend(trimmed(value.as_bytes()));
        }
        text.push(b'\n');
    }
    text.extend_from_slice(resource(parts, query).as_bytes());

    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(identity.secret.as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(&text);
    let expected = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        return Err(mismatch());
    }
    query.take(|name| TOLERATED_PARAMETERS.contains(&name));
    Ok(identity.who)
}

/// The path as it was sent, with the bucket of a virtual host before it, and the covered parameters in order.
fn resource(parts: &Parts, query: &Query) -> String {
    let mut resource = String::new();
    if let Some(BucketOfHost(bucket)) = parts.extensions.get() {
        resource.push('/');
        resource.push_str(bucket);
    }
    resource.push_str(parts.uri.path());
    let mut covered: Vec<(&str, &str)> = query
        .pairs()
        .filter(|(name, _)| SIGNED_PARAMETERS.contains(name))
        .collect();
    covered.sort_unstable();
    for (index, (name, value)) in covered.into_iter().enumerate() {
        resource.push(if index == 0 { '?' } else { '&' });
        resource.push_str(name);
        if !value.is_empty() {
            resource.push('=');
            resource.push_str(value);
        }
    }
    resource
}
