//! `GetObject`, `HeadObject` and `GetObjectAttributes`.

use std::ops::Range;

use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, StatusCode, header};
use s3s::dto::{
    self, ETagCondition, GetObjectAttributesInput, GetObjectAttributesOutput,
    GetObjectAttributesParts, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ObjectPart, StreamingBlob,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use two_buckets_depot::{FoundObject, Selector};
use two_buckets_objects::{ByteRange, Checksum, ETag};

use super::{Backend, access_of, convert};
use crate::error::{http_date, of_depot};
use crate::pins::Reading;
use crate::refusal::Refusal;
use crate::service::BareETag;
use crate::store::Store;

/// What a GET or HEAD asks beyond the name.
struct Asked {
    reading: Reading,
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<dto::Timestamp>,
    if_unmodified_since: Option<dto::Timestamp>,
    range: Option<dto::Range>,
    /// `If-Range`, as sent.
    if_range: Option<String>,
    part_number: Option<i32>,
    wants_checksum: bool,
}

/// What of an object is to be sent.
struct Extent {
    bytes: Range<u64>,
    is_partial: bool,
    /// Which of the object's parts, if one was asked for by number.
    part: Option<usize>,
}

impl Backend {
    pub(super) async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let at = convert::object(&input.bucket, &input.key)?;
        let version = convert::selector(input.version_id.as_deref())?;
        let asked = Asked {
            reading: Reading::of(&access, at, version)?,
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
            range: input.range,
            if_range: if_range(&req.headers),
            part_number: input.part_number,
            wants_checksum: wants_checksum(input.checksum_mode.as_ref()),
        };
        let wants_checksum = asked.wants_checksum;
        let (found, extent, body, version_id) = self.open(asked).await?;
        let head = head_of(&found, &extent, version_id, wants_checksum);
        let mut headers = HeaderMap::new();
        if let Some(expires) = &found.info.metadata.expires {
            convert::set_header(&mut headers, header::EXPIRES, expires);
        }
        // s3s adds the overrides of the query after this, but only where we leave the header to it.
        if input.response_expires.is_some() {
            headers.remove(header::EXPIRES);
        }
        let output = GetObjectOutput {
            body: Some(body),
            accept_ranges: head.accept_ranges,
            cache_control: head.cache_control,
            checksum_crc32: head.checksum_crc32,
            checksum_crc32c: head.checksum_crc32c,
            checksum_crc64nvme: head.checksum_crc64nvme,
            checksum_sha1: head.checksum_sha1,
            checksum_sha256: head.checksum_sha256,
            checksum_type: head.checksum_type,
            content_disposition: head.content_disposition,
            content_encoding: head.content_encoding,
            content_language: head.content_language,
            content_length: head.content_length,
            content_range: head.content_range,
            content_type: head.content_type,
            e_tag: head.e_tag,
            last_modified: head.last_modified,
            metadata: head.metadata,
            parts_count: head.parts_count,
            tag_count: (!found.tags.0.is_empty()).then(|| convert::count(found.tags.0.len())),
            version_id: head.version_id,
            website_redirect_location: head.website_redirect_location,
            ..GetObjectOutput::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let at = convert::object(&input.bucket, &input.key)?;
        let version = convert::selector(input.version_id.as_deref())?;
        let asked = Asked {
            reading: Reading::of(&access, at, version)?,
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
            range: input.range,
            if_range: if_range(&req.headers),
            part_number: input.part_number,
            wants_checksum: wants_checksum(input.checksum_mode.as_ref()),
        };
        let (found, version_id) = self.find(&asked.reading).await?;
        check_conditions(&asked, &found)?;
        let extent = extent(&asked, &found)?;
        let mut output = head_of(&found, &extent, version_id, asked.wants_checksum);
        let mut headers = HeaderMap::new();
        if let Some(expires) = &found.info.metadata.expires {
            convert::set_header(&mut headers, header::EXPIRES, expires);
        }
        for (slot, value) in [
            (&mut output.cache_control, input.response_cache_control),
            (
                &mut output.content_disposition,
                input.response_content_disposition,
            ),
            (
                &mut output.content_encoding,
                input.response_content_encoding,
            ),
            (
                &mut output.content_language,
                input.response_content_language,
            ),
            (&mut output.content_type, input.response_content_type),
        ] {
            if value.is_some() {
                *slot = value;
            }
        }
        if let Some(expires) = input.response_expires {
            headers.remove(header::EXPIRES);
            output.expires = Some(expires);
        }
        if !found.tags.0.is_empty() {
            convert::set_header(
                &mut headers,
                HeaderName::from_static("x-amz-tagging-count"),
                &found.tags.0.len().to_string(),
            );
        }
        Ok(S3Response::with_headers(output, headers))
    }

    /// Finds a version, and the name it is shown under.
    pub(super) async fn find(&self, reading: &Reading) -> S3Result<(FoundObject, Option<String>)> {
        self.store
            .look(|depot| {
                let found = reading.find(depot)?;
                let shown = convert::shown_version_of(depot, reading, &found)?;
                Ok((found, shown))
            })
            .await
    }

    /// Finds the object, checks what was asked against it, and begins to read.
    async fn open(
        &self,
        asked: Asked,
    ) -> S3Result<(FoundObject, Extent, StreamingBlob, Option<String>)> {
        let (found, extent, version_id, reader) = self
            .store
            .begin(|depot| {
                let failed = |error| of_depot(&error);
                let reading = &asked.reading;
                let found = reading.find(depot).map_err(failed)?;
                check_conditions(&asked, &found)?;
                let extent = extent(&asked, &found)?;
                let version_id =
                    convert::shown_version_of(depot, reading, &found).map_err(failed)?;
                if extent.bytes.is_empty() {
                    return Ok((found, extent, version_id, None));
                }
                let range = ByteRange::FromTo {
                    first: extent.bytes.start,
                    last: extent.bytes.end - 1,
                };
                // Exactly the version that was looked at, whatever was written since.
                let exactly = Selector::Version(found.info.at.version_id.clone());
                let (again, reader) = depot
                    .read(&reading.at, &exactly, Some(range))
                    .map_err(failed)?;
                // The version `null` can be overwritten in place between the two looks.
                if again.info.etag != found.info.etag {
                    return Err(S3Error::with_message(
                        S3ErrorCode::OperationAborted,
                        "the object was overwritten while it was being opened; try again",
                    ));
                }
                Ok((found, extent, version_id, Some(reader)))
            })
            .await?;
        let begun = match reader {
            None => None,
            Some(reader) => Some(self.store.first_piece(reader).await?),
        };
        let body = match begun {
            None => StreamingBlob::from(s3s::Body::empty()),
            Some((first, reader)) if reader.remaining_bytes() == 0 => {
                StreamingBlob::from(s3s::Body::from(first))
            }
            Some((first, reader)) => {
                let first = futures::stream::iter([Ok(first)]);
                StreamingBlob::wrap(first.chain(Store::read_pieces(reader)))
            }
        };
        Ok((found, extent, body, version_id))
    }

    pub(super) async fn get_object_attributes(
        &self,
        req: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let at = convert::object(&input.bucket, &input.key)?;
        let version = convert::selector(input.version_id.as_deref())?;
        let limit = convert::limit("x-amz-max-parts", input.max_parts)?;
        let after = input.part_number_marker.unwrap_or(0);
        let mut wanted = Vec::new();
        for attribute in &input.object_attributes {
            for name in attribute.as_str().split(',').map(str::trim) {
                if ![
                    "ETag",
                    "Checksum",
                    "ObjectParts",
                    "StorageClass",
                    "ObjectSize",
                ]
                .contains(&name)
                {
                    return Err(convert::invalid_argument(format!(
                        "the attribute {name} is not known"
                    )));
                }
                wanted.push(name.to_owned());
            }
        }
        let reading = Reading::of(&access, at, version)?;
        let (found, version_id) = self.find(&reading).await?;
        let wants = |name: &str| wanted.iter().any(|wanted| wanted == name);
        let checksum = wants("Checksum")
            .then(|| convert::shown_checksum(&found))
            .flatten()
            .map(|checksum| {
                let fields = convert::ChecksumFields::of(Some(checksum));
                dto::Checksum {
                    checksum_crc32: fields.crc32,
                    checksum_crc32c: fields.crc32c,
                    checksum_crc64nvme: fields.crc64nvme,
                    checksum_sha1: fields.sha1,
                    checksum_sha256: fields.sha256,
                    checksum_type: fields.kind,
                }
            });
        let object_parts = (wants("ObjectParts") && !found.parts.is_empty())
            .then(|| attribute_parts(&found, after, limit));
        let mut response = S3Response::new(GetObjectAttributesOutput {
            e_tag: wants("ETag").then(|| convert::etag(&found.info.etag)),
            checksum,
            object_parts,
            object_size: wants("ObjectSize").then(|| convert::size(found.info.size_bytes)),
            storage_class: wants("StorageClass")
                .then(|| dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
            last_modified: Some(convert::timestamp(found.info.last_modified)),
            version_id,
            ..GetObjectAttributesOutput::default()
        });
        response.extensions.insert(BareETag);
        Ok(response)
    }
}

fn attribute_parts(found: &FoundObject, after: i32, limit: usize) -> GetObjectAttributesParts {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    // S3 lists the single parts only of uploads whose checksum is made of theirs.
    let are_listed = found.parts.iter().any(|part| part.checksum.is_some());
    let later: Vec<_> = found
        .parts
        .iter()
        .filter(|part| are_listed && number(part.number) > after)
        .collect();
    let is_truncated = later.len() > limit;
    let parts: Vec<ObjectPart> = later
        .into_iter()
        .take(limit)
        .map(|part| {
            let fields = convert::ChecksumFields::of(part.checksum.as_ref());
            ObjectPart {
                checksum_crc32: fields.crc32,
                checksum_crc32c: fields.crc32c,
                checksum_crc64nvme: fields.crc64nvme,
                checksum_sha1: fields.sha1,
                checksum_sha256: fields.sha256,
                part_number: Some(number(part.number)),
                size: Some(convert::size(part.size_bytes)),
            }
        })
        .collect();
    GetObjectAttributesParts {
        is_truncated: Some(is_truncated),
        max_parts: Some(convert::count(limit)),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        part_number_marker: Some(after),
        parts: are_listed.then_some(parts),
        total_parts_count: Some(convert::count(found.parts.len())),
    }
}

fn wants_checksum(mode: Option<&dto::ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str().eq_ignore_ascii_case("ENABLED"))
}

fn if_range(headers: &HeaderMap) -> Option<String> {
    headers
        .get(header::IF_RANGE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The headers of a found object, in the shape HEAD has; GET has the same and a body.
fn head_of(
    found: &FoundObject,
    extent: &Extent,
    version_id: Option<String>,
    wants_checksum: bool,
) -> HeadObjectOutput {
    let info = &found.info;
    let metadata = &info.metadata;
    let checksum: Option<&Checksum> = match (wants_checksum, extent.part, extent.is_partial) {
        (true, Some(part), _) if !found.parts.is_empty() => found.parts[part].checksum.as_ref(),
        // Of a part of its bytes S3 has no checksum to tell.
        (false, _, _) | (true, None, true) => None,
        (true, _, _) => convert::shown_checksum(found),
    };
    let fields = convert::ChecksumFields::of(checksum);
    HeadObjectOutput {
        accept_ranges: Some("bytes".into()),
        cache_control: metadata.cache_control.clone(),
        checksum_crc32: fields.crc32,
        checksum_crc32c: fields.crc32c,
        checksum_crc64nvme: fields.crc64nvme,
        checksum_sha1: fields.sha1,
        checksum_sha256: fields.sha256,
        checksum_type: fields.kind,
        content_disposition: metadata.content_disposition.clone(),
        content_encoding: metadata.content_encoding.clone(),
        content_language: metadata.content_language.clone(),
        content_length: Some(convert::size(extent.bytes.end - extent.bytes.start)),
        content_range: extent.is_partial.then(|| {
            format!(
                "bytes {}-{}/{}",
                extent.bytes.start,
                extent.bytes.end - 1,
                info.size_bytes
            )
        }),
        content_type: Some(
            metadata
                .content_type
                .clone()
                .unwrap_or_else(|| "binary/octet-stream".into()),
        ),
        e_tag: Some(convert::etag(&info.etag)),
        last_modified: Some(convert::timestamp(info.last_modified)),
        metadata: (!metadata.user.is_empty()).then(|| {
            metadata
                .user
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        }),
        parts_count: (extent.part.is_some() && !found.parts.is_empty())
            .then(|| convert::count(found.parts.len())),
        version_id,
        website_redirect_location: metadata.website_redirect_location.clone(),
        ..HeadObjectOutput::default()
    }
}

/// RFC 9110, section 13.2.2: the order in which conditions count.
fn check_conditions(asked: &Asked, found: &FoundObject) -> S3Result<()> {
    let etag = &found.info.etag;
    let modified = convert::http_seconds(found.info.last_modified);
    let seconds = |time: &dto::Timestamp| time::OffsetDateTime::from(time.clone()).unix_timestamp();
    let holds = match (&asked.if_match, &asked.if_unmodified_since) {
        (Some(condition), _) => names(condition, etag),
        (None, Some(since)) => modified <= seconds(since),
        (None, None) => true,
    };
    if !holds {
        return Err(S3Error::with_message(
            S3ErrorCode::PreconditionFailed,
            "the object is not as If-Match or If-Unmodified-Since say",
        ));
    }
    let is_known = match (&asked.if_none_match, &asked.if_modified_since) {
        (Some(condition), _) => names(condition, etag),
        (None, Some(since)) => modified <= seconds(since),
        (None, None) => false,
    };
    if is_known {
        let mut error = S3Error::new(S3ErrorCode::NotModified);
        error.set_status_code(StatusCode::NOT_MODIFIED);
        let mut headers = HeaderMap::new();
        convert::set_header(&mut headers, header::ETAG, &etag.quoted());
        if let Some(date) = http_date(found.info.last_modified) {
            headers.insert(header::LAST_MODIFIED, date);
        }
        error.set_headers(headers);
        return Err(error);
    }
    Ok(())
}

fn names(condition: &ETagCondition, etag: &ETag) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == etag.as_str(),
    }
}

/// Which bytes are meant.
fn extent(asked: &Asked, found: &FoundObject) -> S3Result<Extent> {
    let size_bytes = found.info.size_bytes;
    let whole = Extent {
        bytes: 0..size_bytes,
        is_partial: false,
        part: None,
    };
    let not_satisfiable = |message: String| {
        let mut error = S3Error::with_message(S3ErrorCode::InvalidRange, message);
        let mut headers = HeaderMap::new();
        convert::set_header(
            &mut headers,
            header::CONTENT_RANGE,
            &format!("bytes */{size_bytes}"),
        );
        error.set_headers(headers);
        error
    };
    if let Some(number) = asked.part_number {
        if asked.range.is_some() {
            return Err(
                Refusal::invalid_request("a range and a part number exclude each other").into(),
            );
        }
        let number = u32::try_from(number).unwrap_or(0);
        if !(1..=two_buckets_objects::PARTS_MAX).contains(&number) {
            return Err(convert::invalid_argument(format!(
                "a part number must be within 1 and {}",
                two_buckets_objects::PARTS_MAX
            )));
        }
        if found.parts.is_empty() {
            if number != 1 {
                return Err(not_satisfiable("the object has one part only".into()));
            }
            return Ok(Extent {
                bytes: 0..size_bytes,
                is_partial: size_bytes > 0,
                part: Some(0),
            });
        }
        // S3 counts the parts an object has from 1, whatever numbers they were sent under.
        let index = number as usize - 1;
        let part = found.parts.get(index).ok_or_else(|| {
            not_satisfiable(format!("the object has {} parts", found.parts.len()))
        })?;
        let start: u64 = found.parts[..index].iter().map(|p| p.size_bytes).sum();
        return Ok(Extent {
            bytes: start..start + part.size_bytes,
            is_partial: part.size_bytes > 0,
            part: Some(index),
        });
    }
    let Some(range) = asked.range else {
        return Ok(whole);
    };
    // A client that has half of another version must get the whole of this one.
    if let Some(validator) = &asked.if_range
        && ETag::new(validator) != found.info.etag
    {
        return Ok(whole);
    }
    let range = match range {
        dto::Range::Int {
            first,
            last: Some(last),
        } => ByteRange::FromTo { first, last },
        dto::Range::Int { first, last: None } => ByteRange::From { first },
        dto::Range::Suffix { length } => ByteRange::Last { length },
    };
    let bytes = range
        .within(size_bytes)
        .map_err(|error| not_satisfiable(error.to_string()))?;
    Ok(Extent {
        bytes,
        is_partial: true,
        part: None,
    })
}
