//! Multipart uploads begun, listed, completed and aborted by the server for its clients.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use two_buckets_objects::{BucketName, ETag};
use two_buckets_uploads::{
    CompleteMultipart, Completed, CreateMultipart, Error, MultipartId, MultipartRef, ReceivedPart,
    Result,
};

use super::failure::{failed, no_such_upload, without};
use crate::store::retries::OnlyWhatDidNothing;

/// `CreateMultipartUpload` (S3 API). It names no checksum: S3 then computes a CRC64NVME over the whole by itself (S3 User
/// Guide, "Checking object integrity"), while under an algorithm that is named it refuses parts that come without a
/// checksum, and browsers send none.
pub(super) async fn create(
    client: &aws_sdk_s3::Client,
    staging: &BucketName,
    create: CreateMultipart,
) -> Result<MultipartId> {
    let CreateMultipart {
        key,
        content_type,
        metadata,
    } = create;
    let begun = client
        .create_multipart_upload()
        .bucket(staging.as_str())
        .key(key.as_str())
        .set_content_type(content_type.map(|text| text.as_str().to_owned()))
        .set_metadata(Some(metadata.into_iter().collect()))
        .send()
        .await
        .map_err(failed)?;
    let id = begun.upload_id().ok_or_else(|| without("an upload id"))?;
    id.parse()
        .map_err(|_| without("an upload id that can be in a URL"))
}

/// `ListParts` (S3 API), page by page.
pub(super) async fn list_parts(
    client: &aws_sdk_s3::Client,
    staging: &BucketName,
    at: &MultipartRef,
) -> Result<Vec<ReceivedPart>> {
    let mut pages = client
        .list_parts()
        .bucket(staging.as_str())
        .key(at.key.as_str())
        .upload_id(at.upload.as_str())
        .into_paginator()
        .send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        for part in page.map_err(failed)?.parts() {
            all.push(ReceivedPart {
                number: part
                    .part_number()
                    .and_then(|number| u32::try_from(number).ok())
                    .ok_or_else(|| without("a part's number"))?,
                etag: ETag::new(part.e_tag().ok_or_else(|| without("a part's tag"))?),
                size_bytes: part
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .ok_or_else(|| without("a part's size"))?,
            });
        }
    }
    Ok(all)
}

/// `CompleteMultipartUpload` (S3 API). S3 compares the tag of each part, and answers a completion that is repeated with
/// the first one's result for a while.
///
/// It is not repeated by the SDK after an answer that was lost: the caller repeats it, and is told the same or that the
/// upload is gone.
pub(super) async fn complete(
    client: &aws_sdk_s3::Client,
    staging: &BucketName,
    complete: CompleteMultipart,
) -> Result<Completed> {
    let CompleteMultipart {
        at,
        parts,
        must_be_new,
    } = complete;
    let parts = parts.into_iter().map(|(number, etag)| {
        CompletedPart::builder()
            // At most 10,000.
            .part_number(i32::try_from(number.get()).unwrap_or(i32::MAX))
            .e_tag(etag.quoted())
            .build()
    });
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts.collect()))
        .build();
    let answer = client
        .complete_multipart_upload()
        .bucket(staging.as_str())
        .key(at.key.as_str())
        .upload_id(at.upload.as_str())
        .set_if_none_match(must_be_new.then(|| "*".to_owned()))
        .multipart_upload(parts)
        .customize()
        .config_override(aws_sdk_s3::config::Builder::new().retry_classifier(OnlyWhatDidNothing))
        .send()
        .await;
    match answer {
        Ok(made) => Ok(Completed {
            etag: made.e_tag().map(ETag::new),
        }),
        // Something is under the key. While the upload is there it is something else; when it is gone, that may be what
        // an earlier completion made of it, and who may only write cannot look.
        Err(error) if error.code() == Some("PreconditionFailed") => {
            match list_parts(client, staging, &at).await {
                Err(Error::NotFound { .. }) => Err(no_such_upload()),
                _ => Err(failed(error)),
            }
        }
        Err(error) => Err(failed(error)),
    }
}

/// `AbortMultipartUpload` (S3 API).
pub(super) async fn abort(
    client: &aws_sdk_s3::Client,
    staging: &BucketName,
    at: &MultipartRef,
) -> Result<()> {
    let answer = client
        .abort_multipart_upload()
        .bucket(staging.as_str())
        .key(at.key.as_str())
        .upload_id(at.upload.as_str())
        .send()
        .await;
    match answer.map_err(failed) {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
