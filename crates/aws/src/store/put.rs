//! Writing a body of unknown length.

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use two_buckets_objects::{
    Algorithm, Body, Error, ObjectRef, PutOptions, Result, VersionId, VersionRef, WriteCondition,
    Written,
};

use super::S3Store;
use super::checksums::{text, with_checksum};
use super::failure::{Does, failure, name};
use super::metadata::{check_fits, setting_expires, version_id, with_metadata};
use super::names::tagging;

/// A body up to this is written by one call, a larger one in parts of this size; so is the memory that a write takes.
/// With the most parts it makes the largest body 78 GiB.
pub(super) const PIECE_BYTES: usize = 8 << 20;

const _: () = assert!(PIECE_BYTES as u64 >= two_buckets_objects::PART_SIZE_BYTES_MIN);

/// Takes the next so many bytes of a body, or all that are left.
pub(super) async fn next_piece(body: &mut Body, gathered: &mut BytesMut) -> Result<Bytes> {
    while gathered.len() < PIECE_BYTES {
        match body.next().await.transpose()? {
            Some(more) => gathered.extend_from_slice(&more),
            None => break,
        }
    }
    let length = gathered.len().min(PIECE_BYTES);
    Ok(gathered.split_to(length).freeze())
}

impl S3Store {
    pub(super) async fn put_body(
        &self,
        to: &ObjectRef,
        mut body: Body,
        options: PutOptions,
    ) -> Result<Written> {
        check_fits(to, &options.metadata)?;
        let mut gathered = BytesMut::new();
        let first = next_piece(&mut body, &mut gathered).await?;
        // A body that ends just here has no second piece.
        let second = if first.len() == PIECE_BYTES {
            next_piece(&mut body, &mut gathered).await?
        } else {
            Bytes::new()
        };
        let version_id = if second.is_empty() {
            self.put_at_once(to, first, &options).await?
        } else {
            let begun = [first, second];
            self.put_in_parts(to, begun, body, gathered, &options)
                .await?
        };
        self.written(to, version_id).await
    }

    /// `PutObject` (S3 API). The checksum goes before the body, which is in memory, so it needs no trailer.
    async fn put_at_once(
        &self,
        to: &ObjectRef,
        body: Bytes,
        options: &PutOptions,
    ) -> Result<VersionId> {
        let algorithm = options.checksum.unwrap_or(Algorithm::Crc64Nvme);
        let mut hasher = algorithm.hasher();
        hasher.update(&body);
        let call = with_metadata!(self.client.put_object(), &options.metadata)
            .bucket(to.bucket.as_str())
            .key(to.key.as_str())
            .set_tagging(tagging(&options.tags))
            .set_if_match(if_match(&options.condition))
            .set_if_none_match(if_none_match(&options.condition))
            .body(ByteStream::from(body));
        let put = with_checksum!(call, algorithm, text(&hasher.finish()))
            .customize()
            .config_override(self.for_write())
            .mutate_request(setting_expires(options.metadata.expires.clone()))
            .send()
            .await
            .map_err(|error| {
                let failed = failure(&name(to), Does::Write, error);
                of_condition(failed, to, &options.condition)
            })?;
        Ok(version_id(put.version_id()))
    }

    /// What a write made. S3 does not say its time in the answer to it.
    pub(super) async fn written(&self, to: &ObjectRef, version_id: VersionId) -> Result<Written> {
        let at = VersionRef {
            bucket: to.bucket.clone(),
            key: to.key.clone(),
            version_id,
        };
        match self.head_exactly(&at).await {
            Ok(info) => Ok(Written {
                version_id: at.version_id,
                etag: info.etag,
                last_modified: info.last_modified,
            }),
            // It landed, and the caller must look as it would after any answer that it could not read.
            Err(error) => Err(Error::Unknown {
                reason: format!("{} was written, and then: {error}", name(to)),
                source: Some(Box::new(error)),
            }),
        }
    }
}

pub(super) fn if_match(condition: &WriteCondition) -> Option<String> {
    match condition {
        WriteCondition::IfMatch(etag) => Some(etag.quoted()),
        WriteCondition::None | WriteCondition::IfNoneMatch => None,
    }
}

pub(super) fn if_none_match(condition: &WriteCondition) -> Option<String> {
    (*condition == WriteCondition::IfNoneMatch).then(|| "*".to_owned())
}

/// Under `If-Match` S3 answers 404 where there is no object (S3 User Guide, "conditional writes").
pub(super) fn of_condition(error: Error, to: &ObjectRef, condition: &WriteCondition) -> Error {
    match (error, condition) {
        (Error::NotFound { .. }, WriteCondition::IfMatch(_)) => {
            Error::ConditionFailed { key: name(to) }
        }
        (error, _) => error,
    }
}
