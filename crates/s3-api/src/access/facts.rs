//! What a request says to the conditions of policies (S3 User Guide, "Amazon S3 condition key examples"; Service
//! Authorization Reference, "Condition keys for Amazon S3").

use http::{HeaderMap, Method, header};
use s3s::dto::CopySource;

use super::Asked;
use crate::auth::{Version, Way, unique};
use crate::policy::{Context, Value};
use crate::refusal::Refusal;

/// Headers that are condition keys by the same name. `x-amz-content-sha256` may be a parameter too and is not among
/// them, and `x-amz-copy-source` has several ways to write one thing.
const HEADERS: &[&str] = &[
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// Gathers them. A header that counts and was sent twice is refused: it must not mean one thing here and another
/// behind.
pub(crate) fn of(asked: &Asked<'_>) -> Result<Context, Refusal> {
    let mut context = Context::default();
    context.set("aws:CurrentTime", Value::Time(asked.now));
    context.set("aws:EpochTime", Value::Time(asked.now));
    if let Some(peer) = asked.peer {
        context.set("aws:SourceIp", Value::Ip(peer.address.to_canonical()));
    }
    let over_tls = asked.peer.is_some_and(|peer| peer.over_tls);
    context.set("aws:SecureTransport", Value::Bool(over_tls));
    for (key, name) in [
        ("aws:UserAgent", header::USER_AGENT),
        ("aws:Referer", header::REFERER),
    ] {
        // Not ASCII is not a refusal here: these two decide nothing else.
        let value = asked
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        context.set_text(key, value);
    }
    signature(asked, &mut context);
    for name in HEADERS {
        context.set_text(&format!("s3:{name}"), unique(asked.headers, name)?);
    }
    if let Some(CopySource::Bucket { bucket, key, .. }) = copy_source(asked.headers) {
        context.set(
            "s3:x-amz-copy-source",
            Value::Text(format!("{bucket}/{key}")),
        );
    }
    if *asked.method != Method::GET && *asked.method != Method::HEAD {
        for name in ["if-match", "if-none-match"] {
            // An empty one is no condition to anybody.
            let value = unique(asked.headers, name)?.filter(|value| !value.is_empty());
            context.set_text(&format!("s3:{name}"), value);
        }
    }
    if *asked.method == Method::GET && asked.target.key.is_none() {
        context.set_text("s3:prefix", asked.query.unique("prefix"));
        context.set_text("s3:delimiter", asked.query.unique("delimiter"));
        let count = asked.query.unique("max-keys");
        if let Some(count) = count.and_then(|count| count.parse::<u32>().ok()) {
            context.set("s3:max-keys", Value::Number(count.into()));
        }
    }
    context.set_text("s3:VersionId", asked.query.unique("versionId"));
    if let Some(creates) = creates_object(asked) {
        context.set("s3:ObjectCreationOperation", Value::Bool(creates));
    }
    Ok(context)
}

fn signature(asked: &Asked<'_>, context: &mut Context) {
    let way = match asked.signed.way {
        Way::Header => "REST-HEADER",
        Way::Query => "REST-QUERY-STRING",
        Way::Form => "POST",
    };
    context.set_text("s3:authType", Some(way));
    let version = match asked.signed.version {
        Version::V2 => "AWS",
        Version::V4 => "AWS4-HMAC-SHA256",
    };
    context.set_text("s3:signatureversion", Some(version));
    if let Some(at) = asked.signed.at {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds are exact in an f64 for 285,000 years"
        )]
        let age_millis = asked.now.since(at).as_millis() as f64;
        context.set("s3:signatureAge", Value::Number(age_millis));
    }
    context.set_text(
        "s3:x-amz-content-sha256",
        asked.signed.content_sha256.as_deref(),
    );
}

/// Whether the request makes an object appear; none where it has nothing to do with making one. Beginning an upload
/// and sending parts do not (S3 User Guide, "Enforce conditional writes on Amazon S3 buckets").
fn creates_object(asked: &Asked<'_>) -> Option<bool> {
    asked.target.key.as_ref()?;
    let has = |name| asked.query.has(name);
    match asked.method.as_str() {
        "PUT" if has("acl") || has("tagging") => None,
        "PUT" => Some(!has("uploadId")),
        "POST" if has("uploads") => Some(false),
        "POST" if has("uploadId") => Some(true),
        _ => None,
    }
}

/// The source of a copy, read as s3s does behind us; none if there is none or it cannot be read, which fails there.
pub(super) fn copy_source(headers: &HeaderMap) -> Option<CopySource> {
    let mut values = headers.get_all("x-amz-copy-source").iter();
    let (Some(one), None) = (values.next(), values.next()) else {
        return None;
    };
    CopySource::parse(one.to_str().ok()?).ok()
}
