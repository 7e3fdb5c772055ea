//! Writing in parts: what uploads of bytes and copies have in common, and the upload of bytes.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tracing::warn;
use two_buckets_objects::{
    Algorithm, Body, Checksum, Error, Metadata, ObjectRef, PARTS_MAX, PutOptions, Result, Tags,
    VersionId, WriteCondition,
};

use super::S3Store;
use super::checksums::{self, checksum_in, kind_of_parts, text, with_checksum};
use super::failure::{Does, failure, name};
use super::metadata::{setting_expires, version_id, with_metadata};
use super::names::tagging;
use super::put::{PIECE_BYTES, if_match, if_none_match, next_piece, of_condition};

/// An upload of parts that was begun.
pub(super) struct Upload<'a> {
    pub(super) to: &'a ObjectRef,
    pub(super) id: String,
    /// The checksum of each part, and where it can be put together, of the whole.
    pub(super) algorithm: Algorithm,
}

/// How it ends.
pub(super) struct Complete<'a> {
    pub(super) parts: Vec<CompletedPart>,
    pub(super) condition: &'a WriteCondition,
    pub(super) size_bytes: u64,
    /// What the whole must have; S3 compares.
    pub(super) checksum: Option<Checksum>,
}

impl S3Store {
    /// `CreateMultipartUpload` (S3 API): metadata and tags belong to it, not to the completion.
    pub(super) async fn begin_upload<'a>(
        &self,
        to: &'a ObjectRef,
        metadata: &Metadata,
        tags: &Tags,
        algorithm: Algorithm,
    ) -> Result<Upload<'a>> {
        let begun = with_metadata!(self.client.create_multipart_upload(), metadata)
            .bucket(to.bucket.as_str())
            .key(to.key.as_str())
            .set_tagging(tagging(tags))
            .checksum_algorithm(checksums::algorithm(algorithm))
            .checksum_type(kind_of_parts(algorithm))
            .customize()
            .mutate_request(setting_expires(metadata.expires.clone()))
            .send()
            .await
            // An upload that was begun and not heard of is not to be seen, and is removed by the bucket's rule.
            .map_err(|error| nothing_to_see(failure(&name(to), Does::Write, error)))?;
        let id = begun.upload_id().ok_or_else(|| Error::NotWritten {
            reason: format!("{}: S3 began an upload without an id", name(to)),
            source: None,
        })?;
        Ok(Upload {
            to,
            id: id.to_owned(),
            algorithm,
        })
    }

    /// `CompleteMultipartUpload` (S3 API). After 409 the upload is over (S3 User Guide, "conditional writes").
    pub(super) async fn complete(
        &self,
        upload: &Upload<'_>,
        complete: Complete<'_>,
    ) -> Result<VersionId> {
        let Complete {
            parts,
            condition,
            size_bytes,
            checksum,
        } = complete;
        let Upload { to, id, algorithm } = upload;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let mut call = self
            .client
            .complete_multipart_upload()
            .bucket(to.bucket.as_str())
            .key(to.key.as_str())
            .upload_id(id)
            .multipart_upload(parts.build())
            .set_mpu_object_size(i64::try_from(size_bytes).ok())
            .checksum_type(kind_of_parts(*algorithm))
            .set_if_match(if_match(condition))
            .set_if_none_match(if_none_match(condition));
        if let Some(checksum) = checksum {
            call = with_checksum!(call, checksum.algorithm, text(&checksum));
        }
        let completed = call
            .customize()
            .config_override(self.for_write())
            .send()
            .await
            .map_err(|error| {
                let failed = failure(&name(to), Does::Write, error);
                of_condition(failed, to, condition)
            })?;
        Ok(version_id(completed.version_id()))
    }

    /// Removes what was uploaded, as far as it works: what is left is removed by the bucket's rule. Not after an
    /// unknown outcome, when the completion may be under way.
    pub(super) async fn abort_after(&self, upload: &Upload<'_>, error: &Error) {
        if matches!(error, Error::Unknown { .. }) {
            return;
        }
        let aborted = self
            .client
            .abort_multipart_upload()
            .bucket(upload.to.bucket.as_str())
            .key(upload.to.key.as_str())
            .upload_id(&upload.id)
            .send()
            .await;
        if let Err(error) = aborted {
            let error = failure(&name(upload.to), Does::Read, error);
            if !matches!(error, Error::Unavailable { ref reason, .. } if reason.contains("NoSuchUpload"))
            {
                warn!(bucket = %upload.to.bucket, key = %upload.to.key, %error,
                    "the parts of a write that failed are left to the bucket's lifecycle rule");
            }
        }
    }

    pub(super) async fn put_in_parts(
        &self,
        to: &ObjectRef,
        begun: [Bytes; 2],
        body: Body,
        gathered: BytesMut,
        options: &PutOptions,
    ) -> Result<VersionId> {
        let algorithm = options.checksum.unwrap_or(Algorithm::Crc64Nvme);
        let upload = self
            .begin_upload(to, &options.metadata, &options.tags, algorithm)
            .await?;
        let uploaded = self.upload_all(&upload, begun, body, gathered).await;
        let ended = match uploaded {
            Ok((parts, size_bytes, checksum)) => {
                let complete = Complete {
                    parts,
                    condition: &options.condition,
                    size_bytes,
                    checksum,
                };
                self.complete(&upload, complete).await
            }
            // Nothing is to be seen of parts.
            Err(error) => Err(error),
        };
        if let Err(error) = &ended {
            self.abort_after(&upload, error).await;
        }
        ended
    }

    async fn upload_all(
        &self,
        upload: &Upload<'_>,
        begun: [Bytes; 2],
        mut body: Body,
        mut gathered: BytesMut,
    ) -> Result<(Vec<CompletedPart>, u64, Option<Checksum>)> {
        let mut begun = begun.into_iter();
        let mut parts = Vec::new();
        let mut size_bytes = 0;
        let mut hasher = upload.algorithm.hasher();
        for number in 1.. {
            let piece = match begun.next() {
                Some(piece) => piece,
                None => next_piece(&mut body, &mut gathered).await?,
            };
            if piece.is_empty() {
                break;
            }
            if number > PARTS_MAX {
                return Err(Error::Refused {
                    reason: format!(
                        "{}: a body has at most {} bytes",
                        name(upload.to),
                        PIECE_BYTES as u64 * u64::from(PARTS_MAX)
                    ),
                });
            }
            size_bytes += piece.len() as u64;
            hasher.update(&piece);
            parts.push(self.upload_part(upload, number, piece).await?);
        }
        let checksum = checksums::can_cover_all(upload.algorithm).then(|| hasher.finish());
        Ok((parts, size_bytes, checksum))
    }

    /// `UploadPart` (S3 API). Repeating it replaces the part by itself.
    async fn upload_part(
        &self,
        upload: &Upload<'_>,
        number: u32,
        piece: Bytes,
    ) -> Result<CompletedPart> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let mut hasher = upload.algorithm.hasher();
        hasher.update(&piece);
        let checksum = text(&hasher.finish());
        let call = self
            .client
            .upload_part()
            .bucket(upload.to.bucket.as_str())
            .key(upload.to.key.as_str())
            .upload_id(&upload.id)
            .part_number(number)
            .body(ByteStream::from(piece));
        let part = with_checksum!(call, upload.algorithm, checksum.clone())
            .send()
            .await
            .map_err(|error| nothing_to_see(failure(&name(upload.to), Does::Write, error)))?;
        let completed = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag().map(str::to_owned));
        Ok(with_checksum!(completed, upload.algorithm, checksum).build())
    }
}

/// A part whose outcome is unknown is not to be seen in any case.
pub(super) fn nothing_to_see(error: Error) -> Error {
    match error {
        Error::Unknown { reason, source } => Error::NotWritten { reason, source },
        error => error,
    }
}

/// The checksum that S3 gave a copied part, to be named at its completion.
pub(super) fn completed_copy(
    algorithm: Algorithm,
    number: i32,
    copied: &aws_sdk_s3::types::CopyPartResult,
) -> CompletedPart {
    let part = CompletedPart::builder()
        .part_number(number)
        .set_e_tag(copied.e_tag().map(str::to_owned));
    match checksum_in!(copied, algorithm) {
        Some(checksum) => with_checksum!(part, algorithm, checksum).build(),
        None => part.build(),
    }
}
