//! `CopyObject` and `UploadPartCopy`.

use http::HeaderMap;
use s3s::dto::{
    self, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, ETagCondition,
    UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use two_buckets_depot::{CopyMetadata, CopyObject, FoundObject, Selector, UploadId};
use two_buckets_objects::{
    ByteRange, ETag, ObjectInfo, ObjectRef, SINGLE_PUT_SIZE_BYTES_MAX, WriteCondition,
};

use super::{Backend, access_of, convert, own, own_parts};
use crate::access::{Access, Need};
use crate::error::of_depot;
use crate::payload::entity_too_large;
use crate::pins::{Own, Reading};

/// What must hold of a copy's source.
struct SourceConditions {
    matches: Option<ETagCondition>,
    none_matches: Option<ETagCondition>,
    modified_since: Option<dto::Timestamp>,
    unmodified_since: Option<dto::Timestamp>,
}

impl SourceConditions {
    /// S3 answers 412 to each that does not hold (S3 API, `CopyObject`).
    fn check(&self, source: &ObjectInfo) -> S3Result<()> {
        let names = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(tag) => tag.value() == source.etag.as_str(),
        };
        let modified = convert::http_seconds(source.last_modified);
        let seconds =
            |time: &dto::Timestamp| time::OffsetDateTime::from(time.clone()).unix_timestamp();
        let matches = match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) => names(condition),
            (None, Some(since)) => modified <= seconds(since),
            (None, None) => true,
        };
        let is_new = match (&self.none_matches, &self.modified_since) {
            (Some(condition), _) => !names(condition),
            (None, Some(since)) => modified > seconds(since),
            (None, None) => true,
        };
        if matches && is_new {
            return Ok(());
        }
        Err(S3Error::with_message(
            S3ErrorCode::PreconditionFailed,
            "the source is not as the x-amz-copy-source-if headers say",
        ))
    }
}

impl Backend {
    pub(super) async fn copy_object(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let to = convert::object(&input.bucket, &input.key)?;
        self.check_writable(&access, &to)?;
        let (from, version) = convert::source(&input.copy_source)?;
        let replace = is_replace(
            "x-amz-metadata-directive",
            input
                .metadata_directive
                .as_ref()
                .map(dto::MetadataDirective::as_str),
        )?;
        let replace_tags = is_replace(
            "x-amz-tagging-directive",
            input
                .tagging_directive
                .as_ref()
                .map(dto::TaggingDirective::as_str),
        )?;
        if from == to && version == Selector::Current && !replace && !replace_tags {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                "a copy onto itself must change something: metadata, tags, or name a version",
            ));
        }
        let reading = Reading::of(&access, from.clone(), version.clone())?;
        let own = Own::written(&access, &to);
        let metadata = if replace {
            CopyMetadata::Replace(convert::metadata(&req.headers, input.metadata)?)
        } else {
            CopyMetadata::Keep(Vec::new())
        };
        let tags = if replace_tags {
            Some(convert::tags_of_header(input.tagging.as_deref())?.unwrap_or_default())
        } else {
            None
        };
        let conditions = SourceConditions {
            matches: input.copy_source_if_match,
            none_matches: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let condition = condition_of_headers(&req.headers)?;
        let checksum = convert::algorithm(input.checksum_algorithm.as_ref())?;
        let (copied, written, version_id, source_version) = self
            .store
            .run(move |depot| {
                let source = reading.find(depot).map_err(|e| of_source(&e))?;
                if tags.is_none() && !source.tags.0.is_empty() {
                    check_tags_may_go(&access, &from, &version, &to)?;
                }
                conditions.check(&source.info)?;
                if source.info.size_bytes > SINGLE_PUT_SIZE_BYTES_MAX {
                    return Err(S3Error::with_message(
                        S3ErrorCode::InvalidRequest,
                        format!(
                            "the source has more than the most of {SINGLE_PUT_SIZE_BYTES_MAX} bytes; copy it in parts"
                        ),
                    ));
                }
                let source_version = convert::shown_version_of(depot, &reading, &source)
                    .map_err(|e| of_depot(&e))?;
                let options = CopyObject {
                    condition,
                    // Holds the source still between the look above and the copy.
                    source_etag: Some(source.info.etag.clone()),
                    metadata,
                    tags,
                    checksum,
                };
                if let Some(own) = own {
                    let copied = own::copy(depot, &own, source, &options)?;
                    let written = own::written(&copied);
                    return Ok((copied, written, None, source_version));
                }
                let exactly = Selector::Version(source.info.at.version_id.clone());
                let (copied, written) = depot
                    .copy(&reading.at, &exactly, &to, options)
                    .map_err(|e| of_depot(&e))?;
                let version_id = convert::shown_version(depot, &to.bucket, &written.version_id)
                    .map_err(|e| of_depot(&e))?;
                Ok((copied, written, version_id, source_version))
            })
            .await?;
        let fields = convert::ChecksumFields::of(checksum_of_copy(&copied, checksum));
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                checksum_crc32: fields.crc32,
                checksum_crc32c: fields.crc32c,
                checksum_crc64nvme: fields.crc64nvme,
                checksum_sha1: fields.sha1,
                checksum_sha256: fields.sha256,
                checksum_type: fields.kind,
                e_tag: Some(convert::etag(&written.etag)),
                last_modified: Some(convert::timestamp(written.last_modified)),
            }),
            copy_source_version_id: source_version,
            version_id,
            ..CopyObjectOutput::default()
        }))
    }

    /// The bytes are read and written again, as a part is a body of its own.
    pub(super) async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let to = convert::object(&input.bucket, &input.key)?;
        self.check_writable(&access, &to)?;
        let (from, version) = convert::source(&input.copy_source)?;
        let reading = Reading::of(&access, from, version)?;
        let own = Own::written(&access, &to);
        let id = UploadId(input.upload_id);
        let number = super::multipart::part_number(input.part_number)?;
        let range = input
            .copy_source_range
            .as_deref()
            .map(parse_source_range)
            .transpose()?;
        let conditions = SourceConditions {
            matches: input.copy_source_if_match,
            none_matches: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let (part, source_version) = self
            .store
            .run(move |depot| {
                let upload = match &own {
                    None => depot.upload(&to, &id),
                    Some(own) => own.upload(&id),
                }
                .map_err(|e| of_depot(&e))?;
                let source = reading.find(depot).map_err(|e| of_source(&e))?;
                conditions.check(&source.info)?;
                let size_bytes = source.info.size_bytes;
                if let Some(ByteRange::FromTo { last, .. }) = range
                    && last >= size_bytes
                {
                    return Err(convert::invalid_argument(format!(
                        "the range ends behind the source, which has {size_bytes} bytes"
                    )));
                }
                let (first, length) = match range {
                    Some(ByteRange::FromTo { first, last }) => (first, last - first + 1),
                    _ => (0, size_bytes),
                };
                if length > SINGLE_PUT_SIZE_BYTES_MAX {
                    return Err(entity_too_large(SINGLE_PUT_SIZE_BYTES_MAX).into());
                }
                let source_version = convert::shown_version_of(depot, &reading, &source)
                    .map_err(|e| of_depot(&e))?;
                if let Some(own) = &own {
                    let part = own_parts::put_copied_part(
                        depot, own, &id, number, &source, first, length,
                    )?;
                    return Ok((part, source_version));
                }
                let exactly = Selector::Version(source.info.at.version_id.clone());
                let mut writer = depot.body_writer(&[upload.checksum.0], SINGLE_PUT_SIZE_BYTES_MAX);
                if length > 0 {
                    let (again, mut reader) = depot
                        .read(&reading.at, &exactly, range)
                        .map_err(|e| of_source(&e))?;
                    if again.info.etag != source.info.etag {
                        return Err(S3Error::with_message(
                            S3ErrorCode::OperationAborted,
                            "the source was overwritten while it was being opened; try again",
                        ));
                    }
                    loop {
                        let piece = reader
                            .next_piece(crate::store::PIECE_BYTES)
                            .map_err(|e| of_depot(&e))?;
                        if piece.is_empty() {
                            break;
                        }
                        writer.write(&piece).map_err(|e| of_depot(&e))?;
                    }
                }
                let body = writer.finish().map_err(|e| of_depot(&e))?;
                let part = depot
                    .put_part(&to, &id, number, body)
                    .map_err(|e| of_depot(&e))?;
                Ok((part, source_version))
            })
            .await?;
        let fields = convert::ChecksumFields::of(part.checksum.as_ref());
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                checksum_crc32: fields.crc32,
                checksum_crc32c: fields.crc32c,
                checksum_crc64nvme: fields.crc64nvme,
                checksum_sha1: fields.sha1,
                checksum_sha256: fields.sha256,
                e_tag: Some(convert::etag(&part.etag)),
                last_modified: Some(convert::timestamp(part.last_modified)),
            }),
            copy_source_version_id: source_version,
            ..UploadPartCopyOutput::default()
        }))
    }
}

/// A copy takes the tags with it, which is reading and writing them (S3 API, `CopyObject`, "Permissions").
fn check_tags_may_go(
    access: &Access,
    from: &ObjectRef,
    version: &Selector,
    to: &ObjectRef,
) -> S3Result<()> {
    let (bucket, key) = (from.bucket.as_str(), from.key.as_str());
    let read = match version {
        Selector::Current => Need::object("s3:GetObjectTagging", bucket, key, None),
        Selector::Version(id) => {
            Need::object("s3:GetObjectVersionTagging", bucket, key, Some(id.as_str()))
        }
    };
    access.check(&read)?;
    let (bucket, key) = (to.bucket.as_str(), to.key.as_str());
    access.check(&Need::object("s3:PutObjectTagging", bucket, key, None))?;
    Ok(())
}

fn checksum_of_copy(
    copied: &FoundObject,
    asked: Option<two_buckets_objects::Algorithm>,
) -> Option<&two_buckets_objects::Checksum> {
    match asked {
        Some(algorithm) => copied.info.full_checksum(algorithm),
        None => convert::shown_checksum(copied),
    }
}

/// A source that is a delete marker is not found when named without its version, and no source at all otherwise.
fn of_source(error: &two_buckets_depot::Error) -> S3Error {
    match error {
        two_buckets_depot::Error::IsDeleteMarker { .. } => S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "the source of a copy must not be a delete marker",
        ),
        other => of_depot(other),
    }
}

fn is_replace(name: &str, directive: Option<&str>) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(convert::invalid_argument(format!(
            "{name} must be COPY or REPLACE"
        ))),
    }
}

/// s3s does not read the conditions of a copy's target, which S3 has since 2025.
fn condition_of_headers(headers: &HeaderMap) -> S3Result<WriteCondition> {
    let text = |name: http::HeaderName| -> S3Result<Option<String>> {
        let Some(value) = headers.get(&name) else {
            return Ok(None);
        };
        value
            .to_str()
            .map(|text| Some(text.to_owned()))
            .map_err(|_| convert::invalid_argument(format!("the header {name} is not ASCII")))
    };
    match (
        text(http::header::IF_MATCH)?,
        text(http::header::IF_NONE_MATCH)?,
    ) {
        (None, None) => Ok(WriteCondition::None),
        (None, Some(any)) if any == "*" => Ok(WriteCondition::IfNoneMatch),
        (Some(tag), None) if tag != "*" && !tag.starts_with("W/") => {
            Ok(WriteCondition::IfMatch(ETag::new(&tag)))
        }
        _ => Err(convert::not_implemented(
            "a write can have If-None-Match: * or If-Match with one tag",
        )),
    }
}

/// `bytes=first-last`; S3 takes no other form here.
fn parse_source_range(text: &str) -> S3Result<ByteRange> {
    let invalid = || convert::invalid_argument("x-amz-copy-source-range must be bytes=first-last");
    let (first, last) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .ok_or_else(invalid)?;
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
            .ok_or_else(invalid)
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(invalid());
    }
    Ok(ByteRange::FromTo { first, last })
}
