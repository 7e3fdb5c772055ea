//! Copying in parts what is too large to be copied at once.

use std::ops::RangeInclusive;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::CompletedPart;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use two_buckets_objects::{Error, Result, Tags, VersionId, VersionRef, Written};

use super::S3Store;
use super::copy::{Copying, algorithm_for_parts, of_copy};
use super::failure::{Does, failure, name, name_of_version};
use super::names::copy_source;
use super::part_size::ranges;
use super::put_parts::{Complete, Upload, completed_copy, nothing_to_see};

impl S3Store {
    /// An upload whose parts S3 takes from the source by itself. Nothing of the source goes along but its bytes, so
    /// metadata and tags are sent. S3 compares the whole with the source's checksum, where that covers all of it.
    pub(super) async fn copy_in_parts(
        &self,
        from: &VersionRef,
        copying: &Copying<'_>,
    ) -> Result<Written> {
        let tags = self.tags(from).await?;
        let algorithm = algorithm_for_parts(copying.source);
        let upload = self
            .begin_upload(copying.to, copying.metadata, &tags, algorithm)
            .await
            .map_err(of_target)?;
        let copied = self.copy_all(from, copying, &upload).await;
        if let Err(error) = &copied {
            self.abort_after(&upload, error).await;
        }
        self.written(copying.to, copied?).await
    }

    async fn copy_all(
        &self,
        from: &VersionRef,
        copying: &Copying<'_>,
        upload: &Upload<'_>,
    ) -> Result<VersionId> {
        let size_bytes = copying.source.size_bytes;
        let calls = (1..)
            .zip(ranges(size_bytes, self.options.copy_part_bytes))
            .map(|(number, range)| self.copy_part(from, upload, number, range));
        let parts = stream::iter(calls)
            .buffered(self.options.copy_parts_at_once.max(1))
            .try_collect()
            .await?;
        let complete = Complete {
            parts,
            condition: copying.condition,
            size_bytes,
            checksum: copying.source.full_checksum(upload.algorithm).cloned(),
        };
        self.complete(upload, complete).await.map_err(of_target)
    }

    /// `UploadPartCopy` (S3 API). Repeating it replaces the part by itself, so all that the SDK repeats is welcome.
    async fn copy_part(
        &self,
        from: &VersionRef,
        upload: &Upload<'_>,
        number: i32,
        range: RangeInclusive<u64>,
    ) -> Result<CompletedPart> {
        let copied = self
            .client
            .upload_part_copy()
            .bucket(upload.to.bucket.as_str())
            .key(upload.to.key.as_str())
            .upload_id(&upload.id)
            .part_number(number)
            .copy_source(copy_source(from))
            .copy_source_range(format!("bytes={}-{}", range.start(), range.end()))
            .customize()
            .config_override(self.for_part())
            .send()
            .await
            .map_err(|error| nothing_to_see(of_copy(from, upload.to, error)))?;
        let result = copied.copy_part_result().ok_or_else(|| Error::NotWritten {
            reason: format!("{}: S3 copied a part and does not name it", name(upload.to)),
            source: None,
        })?;
        Ok(completed_copy(upload.algorithm, number, result))
    }

    /// `GetObjectTagging` (S3 API) of exactly this version.
    async fn tags(&self, at: &VersionRef) -> Result<Tags> {
        let answer = self
            .client
            .get_object_tagging()
            .bucket(at.bucket.as_str())
            .key(at.key.as_str())
            .version_id(at.version_id.as_str())
            .send()
            .await;
        match answer {
            Ok(tags) => Ok(Tags(
                tags.tag_set()
                    .iter()
                    .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                    .collect(),
            )),
            // A store that has no tags has none to lose.
            Err(error) if error.code() == Some("NotImplemented") => Ok(Tags::default()),
            Err(error) => Err(failure(&name_of_version(at), Does::Read, error)),
        }
    }
}

/// Behind the parts only the target can be missing, which does not make the source gone.
fn of_target(error: Error) -> Error {
    match error {
        Error::NotFound { what } => Error::Unavailable {
            reason: format!("{what}: the target of a copy is not there"),
            source: None,
        },
        error => error,
    }
}
