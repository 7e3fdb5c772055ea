//! Metadata as S3 gives and takes it.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::DateTime;
use two_buckets_objects::{
    Algorithm, ETag, Error, Metadata, ObjectInfo, ObjectRef, Result, Timestamp, VersionId,
    VersionRef,
};

use super::checksums::{checksum_in, parse};
use super::failure::name;

/// What a HEAD said of a version.
pub(super) fn info(at: &ObjectRef, head: &HeadObjectOutput) -> Result<ObjectInfo> {
    let missing = |what: &str| Error::Unavailable {
        reason: format!("{}: S3 answers without {what}", name(at)),
        source: None,
    };
    let size = head
        .content_length()
        .and_then(|size| u64::try_from(size).ok());
    let checksum = |algorithm: Algorithm| {
        parse(
            algorithm,
            checksum_in!(head, algorithm)?,
            head.checksum_type(),
        )
    };
    Ok(ObjectInfo {
        at: VersionRef {
            bucket: at.bucket.clone(),
            key: at.key.clone(),
            version_id: version_id(head.version_id()),
        },
        size_bytes: size.ok_or_else(|| missing("a length"))?,
        etag: ETag::new(head.e_tag().ok_or_else(|| missing("an ETag"))?),
        last_modified: timestamp(
            head.last_modified()
                .ok_or_else(|| missing("a time of its last change"))?,
        ),
        checksums: Algorithm::ALL.into_iter().filter_map(checksum).collect(),
        metadata: metadata(head),
    })
}

fn metadata(head: &HeadObjectOutput) -> Metadata {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let user = head.metadata().into_iter().flatten();
    Metadata {
        content_type: owned(head.content_type()),
        content_encoding: head.content_encoding().and_then(without_chunking),
        content_disposition: owned(head.content_disposition()),
        content_language: owned(head.content_language()),
        cache_control: owned(head.cache_control()),
        expires: owned(head.expires_string()),
        website_redirect_location: owned(head.website_redirect_location()),
        user: user
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect(),
    }
}

/// `aws-chunked` is of the transfer; some stores keep it.
fn without_chunking(encoding: &str) -> Option<String> {
    let kept: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|one| !one.eq_ignore_ascii_case("aws-chunked") && !one.is_empty())
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// An answer without a version is that of a bucket that never had versioning.
pub(super) fn version_id(id: Option<&str>) -> VersionId {
    VersionId::new(id.filter(|id| !id.is_empty()).unwrap_or(VersionId::NULL))
}

pub(super) fn timestamp(time: &DateTime) -> Timestamp {
    // Out of range only some 300 million years away.
    Timestamp::from_millis(time.to_millis().unwrap_or(i64::MAX))
}

/// Sets all metadata but `Expires` on whatever of the SDK takes it.
macro_rules! with_metadata {
    ($builder:expr, $metadata:expr) => {{
        let metadata: &two_buckets_objects::Metadata = $metadata;
        $builder
            .set_content_type(metadata.content_type.clone())
            .set_content_encoding(metadata.content_encoding.clone())
            .set_content_disposition(metadata.content_disposition.clone())
            .set_content_language(metadata.content_language.clone())
            .set_cache_control(metadata.cache_control.clone())
            .set_website_redirect_location(metadata.website_redirect_location.clone())
            .set_metadata(Some(metadata.user.clone().into_iter().collect()))
    }};
}

pub(super) use with_metadata;

/// Sets `Expires` on a request before it is signed. S3 keeps any text there, the SDK sends only dates.
pub(super) fn setting_expires(
    expires: Option<String>,
) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static {
    move |request| {
        if let Some(expires) = &expires {
            request.headers_mut().insert("expires", expires.clone());
        }
    }
}

/// S3 counts the names and values of the user's pairs and refuses more than 2 KB; said before a call is made for it.
pub(super) fn check_fits(at: &ObjectRef, metadata: &Metadata) -> Result<()> {
    let bytes = metadata.user_bytes();
    if bytes <= Metadata::USER_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Refused {
        reason: format!(
            "{}: its own metadata and what the pipeline adds have {bytes} bytes; S3 takes {}",
            name(at),
            Metadata::USER_BYTES_MAX
        ),
    })
}
