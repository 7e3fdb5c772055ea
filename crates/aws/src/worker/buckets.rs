//! Whether the buckets are fit for the pipeline.

use aws_sdk_s3::types::BucketVersioningStatus;
use two_buckets_objects::BucketName;

use crate::words::words;

/// Why the pipeline does not start on a bucket.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotFit {
    /// Without versions an overwritten upload is gone before anybody saw it.
    #[error(
        "versioning of bucket {0} is not enabled; enable it and wait 15 minutes, the pipeline rests on it"
    )]
    NotVersioned(BucketName),
    /// It could not be asked.
    #[error("whether bucket {bucket} is versioned cannot be read: {reason}")]
    Unknown {
        /// The bucket.
        bucket: BucketName,
        /// What is known.
        reason: String,
    },
}

/// Looks whether each bucket keeps versions. One that only did so before (`Suspended`) does not.
///
/// Versions with the id `null` from before that are set aside one by one when they come up.
pub async fn check_buckets(
    client: &aws_sdk_s3::Client,
    buckets: &[&BucketName],
) -> Result<(), NotFit> {
    for bucket in buckets {
        let asked = client.get_bucket_versioning().bucket(bucket.as_str());
        let answer = asked.send().await.map_err(|error| NotFit::Unknown {
            bucket: (*bucket).clone(),
            reason: words(&error),
        })?;
        if answer.status != Some(BucketVersioningStatus::Enabled) {
            return Err(NotFit::NotVersioned((*bucket).clone()));
        }
    }
    Ok(())
}
