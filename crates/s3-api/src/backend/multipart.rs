//! Multipart uploads.

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, Part, StorageClass, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use two_buckets_depot::{CompletePart, CreateUpload, ListParts, ListUploads, UploadId};
use two_buckets_objects::{
    Algorithm, ChecksumKind, ETag, LIST_PAGE_MAX, PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX,
};

use super::listing::Encoding;
use super::{Backend, access_of, convert, own_parts};
use crate::digests::Claims;
use crate::error::of_depot;
use crate::payload::Trailers;
use crate::pins::Own;
use crate::refusal::Refusal;

impl Backend {
    pub(super) async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let to = convert::object(&input.bucket, &input.key)?;
        self.check_writable(&access, &to)?;
        let own = Own::written(&access, &to);
        let algorithm = convert::algorithm(input.checksum_algorithm.as_ref())?;
        let kind = match input
            .checksum_type
            .as_ref()
            .map(s3s::dto::ChecksumType::as_str)
        {
            None => None,
            Some("FULL_OBJECT") => Some(ChecksumKind::FullObject),
            Some("COMPOSITE") => Some(ChecksumKind::Composite { parts: 0 }),
            Some(_) => {
                return Err(convert::invalid_argument(
                    "x-amz-checksum-type must be COMPOSITE or FULL_OBJECT",
                ));
            }
        };
        if kind.is_some() && algorithm.is_none() {
            return Err(Refusal::invalid_request(
                "x-amz-checksum-type needs x-amz-checksum-algorithm",
            )
            .into());
        }
        let options = CreateUpload {
            metadata: convert::metadata(&req.headers, input.metadata)?,
            tags: convert::tags_of_header(input.tagging.as_deref())?.unwrap_or_default(),
            checksum: algorithm.map(|algorithm| (algorithm, kind)),
        };
        let upload = self
            .store
            .run(move |depot| match own {
                None => depot.create_upload(&to, options).map_err(|e| of_depot(&e)),
                Some(own) => own_parts::begin(depot, &own, &options),
            })
            .await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload.id.0),
            // Said only to clients that asked: others would have to send checksums of parts they do not know of.
            checksum_algorithm: algorithm.map(|_| convert::checksum_algorithm(upload.checksum.0)),
            checksum_type: algorithm.map(|_| convert::checksum_type(upload.checksum.1)),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let to = convert::object(&input.bucket, &input.key)?;
        self.check_writable(&access, &to)?;
        let own = Own::written(&access, &to);
        let id = UploadId(input.upload_id);
        let number = part_number(input.part_number)?;
        let claims = Claims::of_headers(&req.headers)?;
        let trailers = req
            .extensions
            .get::<Trailers>()
            .cloned()
            .unwrap_or_default();
        let upload = {
            let (to, id, own) = (to.clone(), id.clone(), own.clone());
            self.store
                .call(move |depot| match own {
                    None => depot.upload(&to, &id),
                    Some(own) => own.upload(&id),
                })
                .await?
        };
        let needed = upload.checksum.0;
        if let Some(sent) = claims.sent()
            && sent != needed
            && needed != Algorithm::Crc64Nvme
        {
            return Err(Refusal::invalid_request(format!(
                "the part has a {sent} checksum, but the upload was begun with {needed}"
            ))
            .into());
        }
        let mut algorithms = vec![needed];
        algorithms.extend(claims.algorithm().filter(|algorithm| *algorithm != needed));
        let received = self
            .store
            .receive(
                super::write::pieces(input.body),
                algorithms,
                SINGLE_PUT_SIZE_BYTES_MAX,
            )
            .await?;
        let (part, shown) = self
            .store
            .run(move |depot| {
                let failed = |error| of_depot(&error);
                let body = received.into_body(depot).map_err(failed)?;
                claims.verify(body.md5(), |algorithm| body.checksum(algorithm), &trailers)?;
                let shown = body.checksum(claims.algorithm().unwrap_or(needed)).cloned();
                let part = match own {
                    None => depot.put_part(&to, &id, number, body),
                    Some(own) => own_parts::put_part(depot, &own, &id, number, &body),
                }
                .map_err(failed)?;
                Ok((part, shown))
            })
            .await?;
        let fields = convert::ChecksumFields::of(shown.as_ref());
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(convert::etag(&part.etag)),
            checksum_crc32: fields.crc32,
            checksum_crc32c: fields.crc32c,
            checksum_crc64nvme: fields.crc64nvme,
            checksum_sha1: fields.sha1,
            checksum_sha256: fields.sha256,
            ..UploadPartOutput::default()
        }))
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let to = convert::object(&input.bucket, &input.key)?;
        self.check_writable(&access, &to)?;
        let own = Own::written(&access, &to);
        let id = UploadId(input.upload_id);
        let condition =
            convert::write_condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let malformed =
            |message: &str| S3Error::with_message(S3ErrorCode::MalformedXML, message.to_owned());
        let named = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        if named.is_empty() || named.len() > PARTS_MAX as usize {
            return Err(malformed("an upload is completed with 1 to 10000 parts"));
        }
        let mut parts = Vec::with_capacity(named.len());
        for part in named {
            let fields = convert::ChecksumFields {
                crc32: part.checksum_crc32,
                crc32c: part.checksum_crc32c,
                crc64nvme: part.checksum_crc64nvme,
                sha1: part.checksum_sha1,
                sha256: part.checksum_sha256,
                kind: None,
            };
            parts.push(CompletePart {
                number: part_number(
                    part.part_number
                        .ok_or_else(|| malformed("a part has no PartNumber"))?,
                )?,
                etag: ETag::new(
                    part.e_tag
                        .ok_or_else(|| malformed("a part has no ETag"))?
                        .value(),
                ),
                checksum: fields.parse()?,
            });
        }
        let mut expected = convert::ChecksumFields {
            crc32: input.checksum_crc32,
            crc32c: input.checksum_crc32c,
            crc64nvme: input.checksum_crc64nvme,
            sha1: input.checksum_sha1,
            sha256: input.checksum_sha256,
            kind: None,
        }
        .parse()?;
        // A composite value may come without its `-N`; the type header tells it then.
        if let (Some(expected), Some("COMPOSITE")) = (
            &mut expected,
            input
                .checksum_type
                .as_ref()
                .map(s3s::dto::ChecksumType::as_str),
        ) && expected.kind == ChecksumKind::FullObject
        {
            expected.kind = ChecksumKind::Composite {
                parts: u32::try_from(parts.len()).unwrap_or(PARTS_MAX),
            };
        }
        let size_claimed = match input.mpu_object_size {
            None => None,
            Some(size) => Some(u64::try_from(size).map_err(|_| {
                convert::invalid_argument("x-amz-mp-object-size must not be negative")
            })?),
        };
        let (completed, etag, version_id, location) = {
            let location = format!("/{}/{}", input.bucket, input.key);
            self.store
                .run(move |depot| {
                    let failed = |e: two_buckets_depot::Error| of_depot(&e);
                    if let Some(own) = own {
                        let (completed, written) = own_parts::complete(
                            depot,
                            &own,
                            &id,
                            &parts,
                            &condition,
                            expected.as_ref(),
                            size_claimed,
                        )?;
                        return Ok((completed, written.etag, None, location));
                    }
                    if let Some(claimed) = size_claimed {
                        check_size(depot, &to, &id, &parts, claimed)?;
                    }
                    let (completed, written) = depot
                        .complete_upload(&to, &id, &parts, &condition, expected.as_ref())
                        .map_err(failed)?;
                    // Where the upload was over already, there were no parts to add up before.
                    if let Some(claimed) = size_claimed {
                        check_claimed_size(completed.size_bytes, claimed)?;
                    }
                    let version_id = convert::shown_version(depot, &to.bucket, &written.version_id)
                        .map_err(failed)?;
                    Ok((completed, written.etag, version_id, location))
                })
                .await?
        };
        let fields = convert::ChecksumFields::of(Some(&completed.checksum));
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            location: Some(location),
            e_tag: Some(convert::etag(&etag)),
            version_id,
            checksum_crc32: fields.crc32,
            checksum_crc32c: fields.crc32c,
            checksum_crc64nvme: fields.crc64nvme,
            checksum_sha1: fields.sha1,
            checksum_sha256: fields.sha256,
            checksum_type: fields.kind,
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let to = convert::object(&input.bucket, &input.key)?;
        if input.if_match_initiated_time.is_some() {
            return Err(convert::not_implemented(
                "x-amz-if-match-initiated-time exists for directory buckets only",
            ));
        }
        let id = UploadId(input.upload_id);
        self.store
            .call(move |depot| match Own::written(&access, &to) {
                None => depot.abort_upload(&to, &id),
                Some(own) => own.abort_upload(&id),
            })
            .await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let to = convert::object(&input.bucket, &input.key)?;
        let id = UploadId(input.upload_id.clone());
        let limit = parts_limit(input.max_parts)?;
        let after = u32::try_from(input.part_number_marker.unwrap_or(0))
            .map_err(|_| convert::invalid_argument("part-number-marker must not be negative"))?;
        let options = ListParts {
            after,
            limit: Some(limit),
        };
        let page = self
            .store
            .call(move |depot| match Own::written(&access, &to) {
                None => depot.list_parts(&to, &id, &options),
                Some(own) => own.list_parts(&id, &options, limit),
            })
            .await?;
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let parts: Vec<Part> = page
            .parts
            .iter()
            .map(|part| {
                let fields = convert::ChecksumFields::of(part.checksum.as_ref());
                Part {
                    checksum_crc32: fields.crc32,
                    checksum_crc32c: fields.crc32c,
                    checksum_crc64nvme: fields.crc64nvme,
                    checksum_sha1: fields.sha1,
                    checksum_sha256: fields.sha256,
                    e_tag: Some(convert::etag(&part.etag)),
                    last_modified: Some(convert::timestamp(part.last_modified)),
                    part_number: Some(number(part.number)),
                    size: Some(convert::size(part.size_bytes)),
                }
            })
            .collect();
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: Some(convert::checksum_algorithm(page.upload.checksum.0)),
            checksum_type: Some(convert::checksum_type(page.upload.checksum.1)),
            initiator: Some(initiator()),
            owner: Some(convert::owner()),
            is_truncated: Some(page.next.is_some()),
            max_parts: Some(convert::count(limit)),
            part_number_marker: Some(number(after)),
            next_part_number_marker: page
                .next
                .or_else(|| page.parts.last().map(|part| part.number))
                .map(number),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            parts: Some(parts),
            ..ListPartsOutput::default()
        }))
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = convert::limit("max-uploads", input.max_uploads)?.min(LIST_PAGE_MAX);
        let after_key = input.key_marker.clone().filter(|marker| !marker.is_empty());
        let options = ListUploads {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            // S3 looks at the id only behind a key.
            after_upload: after_key
                .as_ref()
                .and(input.upload_id_marker.clone())
                .filter(|marker| !marker.is_empty())
                .map(UploadId),
            after_key,
            limit: Some(limit),
        };
        let page = self
            .store
            .call(move |depot| depot.list_uploads(&bucket, &options))
            .await?;
        let uploads: Vec<MultipartUpload> = page
            .uploads
            .iter()
            .map(|upload| MultipartUpload {
                checksum_algorithm: Some(convert::checksum_algorithm(upload.checksum.0)),
                checksum_type: Some(convert::checksum_type(upload.checksum.1)),
                initiated: Some(convert::timestamp(upload.initiated_at)),
                initiator: Some(initiator()),
                key: Some(encoding.apply(upload.key.as_str())),
                owner: Some(convert::owner()),
                storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                upload_id: Some(upload.id.0.clone()),
            })
            .collect();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: Some(encoding.prefixes(&page.common_prefixes)),
            delimiter: encoding.apply_opt(input.delimiter.as_deref()),
            encoding_type: input.encoding_type,
            is_truncated: Some(page.next.is_some()),
            key_marker: Some(encoding.apply(input.key_marker.as_deref().unwrap_or_default())),
            max_uploads: Some(convert::count(limit)),
            next_key_marker: page.next.as_ref().map(|(key, _)| encoding.apply(key)),
            next_upload_id_marker: page
                .next
                .as_ref()
                .map(|(_, id)| id.as_ref().map(|id| id.0.clone()).unwrap_or_default()),
            prefix: Some(encoding.apply(input.prefix.as_deref().unwrap_or_default())),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            uploads: Some(uploads),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

/// `x-amz-mp-object-size`: the size the client believes the parts have together.
fn check_size(
    depot: &two_buckets_depot::Depot,
    to: &two_buckets_objects::ObjectRef,
    id: &UploadId,
    parts: &[CompletePart],
    claimed: u64,
) -> S3Result<()> {
    let mut sizes = std::collections::BTreeMap::new();
    let mut after = 0;
    loop {
        let page = match depot.list_parts(to, id, &ListParts { after, limit: None }) {
            Ok(page) => page,
            // Perhaps it is completed; that will tell.
            Err(two_buckets_depot::Error::NoSuchUpload) => return Ok(()),
            Err(error) => return Err(of_depot(&error)),
        };
        sizes.extend(page.parts.iter().map(|part| (part.number, part.size_bytes)));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let found: u64 = parts
        .iter()
        .filter_map(|part| sizes.get(&part.number))
        .sum();
    check_claimed_size(found, claimed)
}

pub(super) fn check_claimed_size(found: u64, claimed: u64) -> S3Result<()> {
    if found == claimed {
        return Ok(());
    }
    Err(Refusal::invalid_request(format!(
        "the parts have {found} bytes, but x-amz-mp-object-size says {claimed}"
    ))
    .into())
}

/// How many parts to list: 1,000 unless the client says otherwise, and more than S3's most if it does. Clients that
/// resume an upload and read one page only, as Uppy's does, would send all parts behind the first thousand again; with
/// `max-parts=10000` in the URL that is signed for them they see every part there can be.
fn parts_limit(asked: Option<i32>) -> S3Result<usize> {
    match asked {
        None => Ok(LIST_PAGE_MAX),
        Some(asked) => usize::try_from(asked)
            .map(|limit| limit.min(PARTS_MAX as usize))
            .map_err(|_| convert::invalid_argument("max-parts must not be negative")),
    }
}

pub(super) fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=PARTS_MAX).contains(number))
        .ok_or_else(|| {
            convert::invalid_argument(format!("a part number must be within 1 and {PARTS_MAX}"))
        })
}

fn initiator() -> Initiator {
    let owner = convert::owner();
    Initiator {
        display_name: owner.display_name,
        id: owner.id,
    }
}
