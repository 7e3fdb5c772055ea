//! Between S3's words on the wire and ours.

use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::dto::{self, CopySource, ETagCondition, Owner};
use s3s::{S3Error, S3ErrorCode, S3Result};
use two_buckets_depot::{Depot, FoundObject, Selector, Versioning};
use two_buckets_objects::{
    Algorithm, BucketName, Checksum, ChecksumKind, ETag, Key, Metadata, ObjectRef, Tags, Timestamp,
    VersionId, WriteCondition,
};

use crate::digests;
use crate::pins::Reading;
use crate::refusal::Refusal;

pub(super) fn owner() -> Owner {
    Owner {
        display_name: None,
        id: Some(crate::unsupported::OWNER_ID.to_owned()),
    }
}

pub(super) fn bucket(name: &str) -> S3Result<BucketName> {
    name.parse().map_err(|error| {
        S3Error::with_message(
            S3ErrorCode::InvalidBucketName,
            format!("bucket {name}: {error}"),
        )
    })
}

pub(super) fn key(text: &str) -> S3Result<Key> {
    text.parse()
        .map_err(|error: two_buckets_objects::InvalidName| {
            let code = if text.is_empty() {
                S3ErrorCode::InvalidArgument
            } else {
                S3ErrorCode::KeyTooLongError
            };
            S3Error::with_message(code, error.to_string())
        })
}

pub(super) fn object(bucket_name: &str, key_text: &str) -> S3Result<ObjectRef> {
    Ok(ObjectRef {
        bucket: bucket(bucket_name)?,
        key: key(key_text)?,
    })
}

pub(super) fn selector(version_id: Option<&str>) -> S3Result<Selector> {
    match version_id {
        None => Ok(Selector::Current),
        Some("") => Err(invalid_argument("a version id must not be empty")),
        Some(id) => Ok(Selector::Version(VersionId::new(id))),
    }
}

pub(super) fn source(source: &CopySource) -> S3Result<(ObjectRef, Selector)> {
    match source {
        CopySource::Bucket {
            bucket,
            key,
            version_id,
        } => Ok((object(bucket, key)?, selector(version_id.as_deref())?)),
        _ => Err(not_implemented(
            "the source of a copy must be a bucket and a key",
        )),
    }
}

pub(super) fn invalid_argument(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message.into())
}

pub(super) fn not_implemented(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::NotImplemented, message.into())
}

pub(super) fn timestamp(time: Timestamp) -> dto::Timestamp {
    let nanos = i128::from(time.millis()) * 1_000_000;
    time::OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
        .into()
}

/// Whole seconds since the epoch, which is all that HTTP dates carry.
pub(super) fn http_seconds(time: Timestamp) -> i64 {
    time.millis().div_euclid(1000)
}

pub(super) fn etag(tag: &ETag) -> dto::ETag {
    dto::ETag::Strong(tag.as_str().to_owned())
}

/// The condition of a write (S3 API: only `If-None-Match: *` and `If-Match` with a tag exist for writes).
pub(super) fn write_condition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<WriteCondition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(WriteCondition::None),
        (None, Some(ETagCondition::Any)) => Ok(WriteCondition::IfNoneMatch),
        (Some(ETagCondition::ETag(dto::ETag::Strong(tag))), None) => {
            Ok(WriteCondition::IfMatch(ETag::new(tag)))
        }
        _ => Err(not_implemented(
            "a write can have If-None-Match: * or If-Match with one tag",
        )),
    }
}

/// What is kept beside the bytes, from the headers of a PUT, copy or multipart upload.
pub(super) fn metadata(headers: &HeaderMap, user: Option<dto::Metadata>) -> S3Result<Metadata> {
    let text = |name: HeaderName| -> S3Result<Option<String>> {
        let Some(value) = headers.get(&name) else {
            return Ok(None);
        };
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| invalid_argument(format!("the header {name} is not UTF-8")))?;
        Ok((!value.is_empty()).then(|| value.to_owned()))
    };
    let metadata = Metadata {
        content_type: text(http::header::CONTENT_TYPE)?,
        content_encoding: text(http::header::CONTENT_ENCODING)?,
        content_disposition: text(http::header::CONTENT_DISPOSITION)?,
        content_language: text(http::header::CONTENT_LANGUAGE)?,
        cache_control: text(http::header::CACHE_CONTROL)?,
        expires: text(crate::service::SENT_EXPIRES)?,
        website_redirect_location: text(HeaderName::from_static(
            "x-amz-website-redirect-location",
        ))?,
        user: user.unwrap_or_default().into_iter().collect(),
    };
    let size = metadata.user_bytes();
    if size > Metadata::USER_BYTES_MAX {
        return Err(S3Error::with_message(
            S3ErrorCode::MetadataTooLarge,
            format!(
                "the user metadata has {size} bytes, more than the most of {}",
                Metadata::USER_BYTES_MAX
            ),
        ));
    }
    Ok(metadata)
}

/// Tags as the header `x-amz-tagging` has them: a form.
pub(super) fn tags_of_header(header: Option<&str>) -> S3Result<Option<Tags>> {
    let Some(header) = header else {
        return Ok(None);
    };
    let query = crate::query::Query::parse(Some(header)).map_err(S3Error::from)?;
    tags(
        query
            .pairs()
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        Tags::COUNT_MAX,
    )
    .map(Some)
}

pub(super) fn tags(
    pairs: impl IntoIterator<Item = (String, String)>,
    count_max: usize,
) -> S3Result<Tags> {
    let invalid =
        |message: String| -> S3Error { Refusal::new(S3ErrorCode::InvalidTag, message).into() };
    let mut tags = Tags::default();
    for (name, value) in pairs {
        if name.is_empty() || name.chars().count() > Tags::NAME_CHARS_MAX {
            return Err(invalid(format!(
                "a tag's name must have 1 to {} characters",
                Tags::NAME_CHARS_MAX
            )));
        }
        if value.chars().count() > Tags::VALUE_CHARS_MAX {
            return Err(invalid(format!(
                "a tag's value must have at most {} characters",
                Tags::VALUE_CHARS_MAX
            )));
        }
        if name.starts_with("aws:") {
            return Err(invalid("tags named aws: are reserved".into()));
        }
        if tags.0.insert(name, value).is_some() {
            return Err(invalid("a tag's name must not come twice".into()));
        }
        if tags.0.len() > count_max {
            return Err(Refusal::too_many_tags(count_max).into());
        }
    }
    Ok(tags)
}

pub(super) fn tag_set(tags: &Tags) -> dto::TagSet {
    tags.0
        .iter()
        .map(|(name, value)| dto::Tag {
            key: Some(name.clone()),
            value: Some(value.clone()),
        })
        .collect()
}

pub(super) fn tags_of_set(set: dto::TagSet, count_max: usize) -> S3Result<Tags> {
    tags(
        set.into_iter()
            .map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())),
        count_max,
    )
}

/// A checksum in the five fields that S3 has for it.
#[derive(Default)]
pub(super) struct ChecksumFields {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) kind: Option<dto::ChecksumType>,
}

impl ChecksumFields {
    pub(super) fn of(checksum: Option<&Checksum>) -> Self {
        let mut fields = Self::default();
        let Some(checksum) = checksum else {
            return fields;
        };
        let text = Some(digests::text_of(checksum));
        match checksum.algorithm {
            Algorithm::Crc32 => fields.crc32 = text,
            Algorithm::Crc32c => fields.crc32c = text,
            Algorithm::Crc64Nvme => fields.crc64nvme = text,
            Algorithm::Sha1 => fields.sha1 = text,
            Algorithm::Sha256 => fields.sha256 = text,
        }
        fields.kind = Some(checksum_type(checksum.kind));
        fields
    }

    /// The one checksum that is there, if any; two are refused.
    pub(super) fn parse(self) -> S3Result<Option<Checksum>> {
        let mut found = None;
        for (algorithm, text) in [
            (Algorithm::Crc32, self.crc32),
            (Algorithm::Crc32c, self.crc32c),
            (Algorithm::Crc64Nvme, self.crc64nvme),
            (Algorithm::Sha1, self.sha1),
            (Algorithm::Sha256, self.sha256),
        ] {
            let Some(text) = text else { continue };
            if found.is_some() {
                return Err(Refusal::invalid_request("expecting a single checksum").into());
            }
            let (value, parts) = match text.rsplit_once('-') {
                Some((value, parts)) => (value, Some(parts)),
                None => (text.as_str(), None),
            };
            let mut checksum = digests::parse_checksum(algorithm, value)?;
            if let Some(parts) = parts {
                let parts = parts.parse().map_err(|_| {
                    Refusal::invalid_request("a composite checksum ends in the number of its parts")
                })?;
                checksum.kind = ChecksumKind::Composite { parts };
            }
            found = Some(checksum);
        }
        Ok(found)
    }
}

pub(super) fn checksum_type(kind: ChecksumKind) -> dto::ChecksumType {
    dto::ChecksumType::from_static(match kind {
        ChecksumKind::FullObject => dto::ChecksumType::FULL_OBJECT,
        ChecksumKind::Composite { .. } => dto::ChecksumType::COMPOSITE,
    })
}

pub(super) fn checksum_algorithm(algorithm: Algorithm) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from(algorithm.name().to_owned())
}

pub(super) fn algorithm(name: Option<&dto::ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    name.map(|name| {
        name.as_str()
            .parse()
            .map_err(|error| Refusal::invalid_request(format!("{error}")).into())
    })
    .transpose()
}

/// The one checksum S3 shows of an object: that of the algorithm its writer chose.
pub(super) fn shown_checksum(found: &FoundObject) -> Option<&Checksum> {
    let checksums = &found.info.checksums;
    checksums
        .iter()
        .find(|checksum| checksum.algorithm != Algorithm::Crc64Nvme)
        .or_else(|| checksums.first())
}

/// The version id that S3 shows: none in a bucket that never had versions.
pub(super) fn shown_version(
    depot: &Depot,
    bucket: &BucketName,
    version_id: &VersionId,
) -> two_buckets_depot::Result<Option<String>> {
    if version_id.is_null() && depot.bucket(bucket)?.versioning == Versioning::Unversioned {
        return Ok(None);
    }
    Ok(Some(version_id.as_str().to_owned()))
}

/// The version id that S3 shows of what a read found; none where it has no name yet.
pub(super) fn shown_version_of(
    depot: &Depot,
    reading: &Reading,
    found: &FoundObject,
) -> two_buckets_depot::Result<Option<String>> {
    if !reading.shows_version {
        return Ok(None);
    }
    shown_version(depot, &reading.at.bucket, &found.info.at.version_id)
}

pub(super) fn set_header(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// A limit from a query parameter: not negative, and no more than the most S3 gives at once.
pub(super) fn limit(name: &str, asked: Option<i32>) -> S3Result<usize> {
    match asked {
        None => Ok(two_buckets_objects::LIST_PAGE_MAX),
        Some(asked) => usize::try_from(asked)
            .map(|limit| limit.min(two_buckets_objects::LIST_PAGE_MAX))
            .map_err(|_| invalid_argument(format!("{name} must not be negative"))),
    }
}

/// A count for the wire. S3's own are 32 bits wide and ours are bounded far below.
pub(super) fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A size for the wire.
pub(super) fn size(size_bytes: u64) -> i64 {
    i64::try_from(size_bytes).unwrap_or(i64::MAX)
}
