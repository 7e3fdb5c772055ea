//! The two buckets: made on the first start, checked on every other.

use two_buckets_depot::{ConfigKind, Depot, Error, Versioning};
use two_buckets_objects::BucketName;
use two_buckets_uploads::WebOrigin;

use crate::failure::Failure;

/// The name of the rule that lets the page upload; a document with only this rule is ours to renew.
const PAGE_RULE: &str = "two-buckets-page";
/// After how many days the parts of an upload that was never completed are removed, unless the user says otherwise.
const ABORT_INCOMPLETE_DAYS: u32 = 7;

/// Sees to it that the bucket is there and versioned. One that somebody made without versioning is refused: its
/// versions may be overwritten in place, so they cannot be verified before they are deleted.
pub(super) fn ensure(depot: &Depot, bucket: &BucketName) -> Result<(), Failure> {
    match depot.bucket(bucket) {
        Ok(found) if found.versioning == Versioning::Enabled => return Ok(()),
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
    let lifecycle = lifecycle_preset();
    depot
        .set_bucket_config(bucket, ConfigKind::Lifecycle, Some(lifecycle.as_bytes()))
        .map_err(|error| broken(bucket, &error))?;
    tracing::info!(%bucket, "made the bucket {bucket} with versioning");
    Ok(())
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
    // An origin has no character that XML would need escaped.
    let origins: Vec<String> = pages.iter().map(ToString::to_string).collect();
    let origins = format!(
        "<AllowedOrigin>{}</AllowedOrigin>",
        origins.join("</AllowedOrigin><AllowedOrigin>")
    );
    // The ETag and the version id must be exposed by name, or a page's script cannot read them (Fetch, "CORS
    // protocol and HTTP caches"; S3 User Guide, "Elements of a CORS configuration").
    format!(
        "<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><CORSRule><ID>{PAGE_RULE}</ID>\
         {origins}<AllowedMethod>PUT</AllowedMethod><AllowedMethod>POST</AllowedMethod><AllowedMethod>GET</AllowedMethod>\
         <AllowedMethod>HEAD</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
         <ExposeHeader>x-amz-version-id</ExposeHeader><MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>"
    )
}

fn lifecycle_preset() -> String {
    format!(
        "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>\
         <ID>two-buckets-abort-incomplete</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>{ABORT_INCOMPLETE_DAYS}</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
    )
}

fn broken(bucket: &BucketName, error: &Error) -> Failure {
    Failure::failed(format!("the bucket {bucket} cannot be prepared: {error}"))
}
