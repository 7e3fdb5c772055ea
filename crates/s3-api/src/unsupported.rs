//! Headers that ask for what is not there. They are refused, because a client that asks for encryption or a lock and
//! is answered 200 believes that it got it.

use http::{HeaderMap, Method};
use s3s::S3ErrorCode;

use crate::auth::unique;
use crate::query::Query;
use crate::refusal::Refusal;

/// The canonical id of the one owner of everything here: the SHA-256 of `two-buckets`.
pub(crate) const OWNER_ID: &str =
    "2d73e6047fc56932f2bd997033cdf6889c910815e4ac6cfe5bcd9cc264f32174";

/// Refuses a request with a header that asks for what is not there.
pub(crate) fn refuse(headers: &HeaderMap) -> Result<(), Refusal> {
    for name in headers.keys().map(http::HeaderName::as_str) {
        if name.starts_with("x-amz-server-side-encryption")
            || name.starts_with("x-amz-copy-source-server-side-encryption")
        {
            return Err(Refusal::not_implemented(
                "encryption at rest is not supported; the disk can do that",
            ));
        }
        if name.starts_with("x-amz-object-lock-") || name == "x-amz-bypass-governance-retention" {
            return Err(Refusal::not_implemented("object lock is not supported"));
        }
        if name.starts_with("x-amz-grant-") {
            return Err(lists_not_supported());
        }
        if matches!(
            name,
            "x-amz-write-offset-bytes" | "x-amz-mfa" | "x-amz-rename-source"
        ) {
            return Err(Refusal::not_implemented(format!(
                "the header {name} is not supported"
            )));
        }
    }
    if unique(headers, "x-amz-acl")?.is_some_and(|acl| acl != "private") {
        return Err(lists_not_supported());
    }
    if let Some(class) = unique(headers, "x-amz-storage-class")?
        && class != "STANDARD"
    {
        return Err(Refusal::new(
            S3ErrorCode::InvalidStorageClass,
            format!("the storage class {class} is not supported; there is STANDARD only"),
        ));
    }
    if unique(headers, "x-amz-bucket-object-lock-enabled")?
        .is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    {
        return Err(Refusal::not_implemented("object lock is not supported"));
    }
    if unique(headers, "x-amz-object-ownership")?
        .is_some_and(|value| value != "BucketOwnerEnforced")
    {
        return Err(lists_not_supported());
    }
    for name in [
        "x-amz-expected-bucket-owner",
        "x-amz-source-expected-bucket-owner",
    ] {
        if unique(headers, name)?.is_some_and(|owner| owner != OWNER_ID) {
            return Err(Refusal::access_denied(
                "the bucket has another owner than expected",
            ));
        }
    }
    Ok(())
}

/// Refuses to put a version by its id: a put makes a version and never replaces one, and who names one would believe
/// that it did.
pub(crate) fn refuse_version(method: &Method, query: &Query) -> Result<(), Refusal> {
    let is_of_a_version = query.has("acl") || query.has("tagging");
    if *method == Method::PUT && query.has("versionId") && !is_of_a_version {
        return Err(Refusal::new(
            S3ErrorCode::InvalidArgument,
            "this operation does not accept a version id",
        ));
    }
    Ok(())
}

fn lists_not_supported() -> Refusal {
    Refusal::new(
        S3ErrorCode::AccessControlListNotSupported,
        "access control lists are not supported; everything is private to its owner",
    )
}
