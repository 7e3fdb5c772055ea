//! The two buckets: made on the first start, checked on every other.

use two_buckets_depot::{ConfigKind, Depot, Error, Versioning};
use two_buckets_objects::BucketName;
use two_buckets_uploads::WebOrigin;

use crate::failure::Failure;

/// The name of the rule that lets the page upload; a document with only this rule is ours to renew.
const PAGE_RULE: &str = "two-buckets-page";
/// The name of the rule that gives up uploads nobody completes; a document with only this rule is ours to renew.
const ABORT_RULE: &str = "two-buckets-abort-incomplete";
/// What a script on the page may read of an answer beside what every script may. Each must be named: with credentials
/// `*` stands for nothing (Fetch, "CORS protocol and credentials"), and S3 does not take it.
const EXPOSED_HEADERS: &[&str] = &[
    "ETag",
    "Location",
    "x-amz-version-id",
    "x-amz-request-id",
    // Uppy asks for it at every refusal, and a browser complains of each header that it may not show.
    "x-amz-error-code",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
];

/// Sees to it that the bucket is there and versioned. One that somebody made without versioning is refused: its
/// versions may be overwritten in place, so they cannot be verified before they are deleted.
///
/// A new bucket gives up uploads that nobody completed within this many days, and so does one whose rule is still ours;
/// rules that somebody else set stay, and so does it if there are none any more.
pub(super) fn ensure(
    depot: &Depot,
    bucket: &BucketName,
    abort_incomplete_days: u32,
) -> Result<(), Failure> {
    let lifecycle = lifecycle_preset(abort_incomplete_days);
    match depot.bucket(bucket) {
        Ok(found) if found.versioning == Versioning::Enabled => {
            return renew_lifecycle(depot, bucket, &lifecycle);
        }
        Ok(_) => {
            return Err(Failure::usage(format!(
                "the bucket {bucket} exists without versioning, and what is in it may have been overwritten in place; \
                 choose another bucket, or empty it and delete it"
            )));
        }
        Err(Error::NoSuchBucket(_)) => {}
        Err(error) => return Err(broken(bucket, &error)),
    }
    depot
        .create_bucket(bucket)
        .and_then(|()| depot.set_versioning(bucket, Versioning::Enabled))
        .map_err(|error| broken(bucket, &error))?;
    depot
        .set_bucket_config(bucket, ConfigKind::Lifecycle, Some(lifecycle.as_bytes()))
        .map_err(|error| broken(bucket, &error))?;
    tracing::info!(%bucket, "made the bucket {bucket} with versioning");
    Ok(())
}

fn renew_lifecycle(depot: &Depot, bucket: &BucketName, wanted: &str) -> Result<(), Failure> {
    let present = depot
        .bucket_config(bucket, ConfigKind::Lifecycle)
        .map_err(|error| broken(bucket, &error))?;
    let is_ours = present.is_some_and(|present| {
        let text = String::from_utf8_lossy(&present);
        text != wanted && text.contains(ABORT_RULE) && text.matches("<Rule>").count() == 1
    });
    if !is_ours {
        return Ok(());
    }
    depot
        .set_bucket_config(bucket, ConfigKind::Lifecycle, Some(wanted.as_bytes()))
        .map_err(|error| broken(bucket, &error))
}

/// Lets the pages of these origins upload to the staging bucket from a browser. Rules that somebody else set stay.
pub(super) fn allow_pages(
    depot: &Depot,
    staging: &BucketName,
    pages: &[WebOrigin],
) -> Result<(), Failure> {
    let present = depot
        .bucket_config(staging, ConfigKind::Cors)
        .map_err(|error| broken(staging, &error))?;
    let wanted = cors_preset(pages);
    if let Some(present) = present {
        if present == wanted.as_bytes() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&present);
        let is_ours = text.contains(PAGE_RULE) && text.matches("<CORSRule>").count() == 1;
        if !is_ours {
            tracing::warn!(
                bucket = %staging,
                "the staging bucket has cross-origin rules of its own, so the page can upload only if they allow {}",
                pages.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
            );
            return Ok(());
        }
    }
    depot
        .set_bucket_config(staging, ConfigKind::Cors, Some(wanted.as_bytes()))
        .map_err(|error| broken(staging, &error))
}

fn cors_preset(pages: &[WebOrigin]) -> String {
    // An origin has no character that XML would need escaped, and no more has the name of a header.
    let origins = elements("AllowedOrigin", pages);
    let exposed = elements("ExposeHeader", EXPOSED_HEADERS);
    format!(
        "<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><CORSRule><ID>{PAGE_RULE}</ID>\
         {origins}<AllowedMethod>PUT</AllowedMethod><AllowedMethod>POST</AllowedMethod><AllowedMethod>GET</AllowedMethod>\
         <AllowedMethod>HEAD</AllowedMethod><AllowedMethod>DELETE</AllowedMethod><AllowedHeader>*</AllowedHeader>\
         {exposed}<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>"
    )
}

fn elements(name: &str, texts: &[impl std::fmt::Display]) -> String {
    let elements: Vec<String> = texts
        .iter()
        .map(|text| format!("<{name}>{text}</{name}>"))
        .collect();
    elements.concat()
}

fn lifecycle_preset(abort_incomplete_days: u32) -> String {
    format!(
        "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>\
         <ID>{ABORT_RULE}</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>{abort_incomplete_days}</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
    )
}

fn broken(bucket: &BucketName, error: &Error) -> Failure {
    Failure::failed(format!("the bucket {bucket} cannot be prepared: {error}"))
}
