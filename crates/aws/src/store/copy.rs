//! Copying exactly one version.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::MetadataDirective;
use two_buckets_objects::{
    Algorithm, CopyOptions, ETag, Error, Metadata, ObjectInfo, ObjectRef, Result,
    SINGLE_PUT_SIZE_BYTES_MAX, VersionRef, WriteCondition, Written,
};

use super::S3Store;
use super::checksums::{self, can_cover_all};
use super::failure::{Does, failure, name, name_of_version};
use super::metadata::{check_fits, info, setting_expires, timestamp, version_id, with_metadata};
use super::names::copy_source;
use super::put::{if_match, if_none_match};

/// A copy to be made: what is copied, and what it has beside its bytes then.
pub(super) struct Copying<'a> {
    pub(super) source: &'a ObjectInfo,
    pub(super) to: &'a ObjectRef,
    pub(super) metadata: &'a Metadata,
    pub(super) condition: &'a WriteCondition,
}

impl S3Store {
    /// The source is looked at first: its size says how it is copied, and S3 takes metadata from either the source or the
    /// request, never of both, so what is added must be sent with all there is.
    pub(super) async fn copy(
        &self,
        from: &VersionRef,
        to: &ObjectRef,
        options: CopyOptions,
    ) -> Result<Written> {
        let head = self.head_of_version(from).await?;
        check_all_is_shown(from, &head)?;
        let source = info(&from.object(), &head)?;
        let mut metadata = source.metadata.clone();
        for (name, value) in options.add_user_metadata {
            metadata.user.insert(name, value);
        }
        check_fits(to, &metadata)?;
        let condition = if self.options.conditional_copy {
            options.condition
        } else {
            self.look_before(to, &options.condition).await?;
            WriteCondition::None
        };
        let copying = Copying {
            source: &source,
            to,
            metadata: &metadata,
            condition: &condition,
        };
        let at_once_max = self
            .options
            .single_copy_bytes_max
            .min(SINGLE_PUT_SIZE_BYTES_MAX);
        let copied = if source.size_bytes <= at_once_max {
            self.copy_at_once(from, &copying).await
        } else {
            self.copy_in_parts(from, &copying).await
        };
        match (copied, &condition) {
            // S3 says so of a source that is gone, and under `If-Match` of a target that is not there.
            (Err(Error::NotFound { .. }), WriteCondition::IfMatch(_)) => {
                self.head_of_version(from).await?;
                Err(Error::ConditionFailed { key: name(to) })
            }
            (copied, _) => copied,
        }
    }

    /// `CopyObject` (S3 API). Tags go along by themselves.
    async fn copy_at_once(&self, from: &VersionRef, copying: &Copying<'_>) -> Result<Written> {
        let Copying {
            source,
            to,
            metadata,
            condition,
        } = copying;
        let copied = with_metadata!(self.client.copy_object(), metadata)
            .bucket(to.bucket.as_str())
            .key(to.key.as_str())
            .copy_source(copy_source(from))
            .metadata_directive(MetadataDirective::Replace)
            .checksum_algorithm(checksums::algorithm(algorithm_for(source, |_| true)))
            .set_if_match(if_match(condition))
            .set_if_none_match(if_none_match(condition))
            .customize()
            .config_override(self.for_write())
            .mutate_request(setting_expires(metadata.expires.clone()))
            .send()
            .await
            .map_err(|error| of_copy(from, to, error))?;
        let version_id = version_id(copied.version_id());
        let made = copied.copy_object_result().and_then(|made| {
            let (etag, time) = (made.e_tag()?, made.last_modified()?);
            Some((ETag::new(etag), timestamp(time)))
        });
        match made {
            Some((etag, last_modified)) => Ok(Written {
                version_id,
                etag,
                last_modified,
            }),
            None => self.written(to, version_id).await,
        }
    }

    /// What a condition asks, looked at and not held: the weaker promise of stores without conditional copies.
    async fn look_before(&self, to: &ObjectRef, condition: &WriteCondition) -> Result<()> {
        if *condition == WriteCondition::None {
            return Ok(());
        }
        let current = match self.head_current(to).await {
            Ok(info) => Some(info.etag),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let holds = match condition {
            WriteCondition::None => true,
            WriteCondition::IfNoneMatch => current.is_none(),
            WriteCondition::IfMatch(etag) => current.as_ref() == Some(etag),
        };
        if holds {
            Ok(())
        } else {
            Err(Error::ConditionFailed { key: name(to) })
        }
    }
}

/// The checksum to ask of a copy: one that the source has over all its bytes, because then the two compare without
/// being read, and S3's own where it has none.
pub(super) fn algorithm_for(
    source: &ObjectInfo,
    is_possible: impl Fn(Algorithm) -> bool,
) -> Algorithm {
    [Algorithm::Crc64Nvme]
        .into_iter()
        .chain(Algorithm::ALL)
        .find(|algorithm| is_possible(*algorithm) && source.full_checksum(*algorithm).is_some())
        .unwrap_or(Algorithm::Crc64Nvme)
}

/// The same of a copy in parts, of which only some can be put together.
pub(super) fn algorithm_for_parts(source: &ObjectInfo) -> Algorithm {
    algorithm_for(source, can_cover_all)
}

/// A failed copy or part of one. The source is what may be missing; a bucket that is not there is no reason to take the
/// file for gone.
pub(super) fn of_copy<E>(
    from: &VersionRef,
    to: &ObjectRef,
    error: aws_sdk_s3::error::SdkError<
        E,
        aws_smithy_runtime_api::client::orchestrator::HttpResponse,
    >,
) -> Error
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let has_no_bucket =
        aws_sdk_s3::error::ProvideErrorMetadata::code(&error) == Some("NoSuchBucket");
    match failure(&name(to), Does::Write, error) {
        Error::NotFound { .. } if has_no_bucket => Error::Unavailable {
            reason: format!("bucket {} or {} is not there", from.bucket, to.bucket),
            source: None,
        },
        Error::NotFound { .. } => Error::NotFound {
            what: name_of_version(from),
        },
        error => error,
    }
}

/// A copy with metadata of its own would lose what no header shows.
fn check_all_is_shown(from: &VersionRef, head: &HeadObjectOutput) -> Result<()> {
    match head.missing_meta() {
        None | Some(0) => Ok(()),
        Some(count) => Err(Error::Refused {
            reason: format!(
                "{} has {count} entries of metadata that S3 does not show, and a copy would lose them",
                name_of_version(from)
            ),
        }),
    }
}
