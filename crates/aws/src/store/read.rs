//! Reading and deleting.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use two_buckets_objects::{Body, ByteRange, Error, ObjectInfo, ObjectRef, Result, VersionRef};

use super::S3Store;
use super::failure::{Does, failure, name, name_of_version};
use super::metadata::info;
use crate::words::chain;

impl S3Store {
    pub(super) async fn head_current(&self, at: &ObjectRef) -> Result<ObjectInfo> {
        let call = self.client.head_object();
        let head = call
            .bucket(at.bucket.as_str())
            .key(at.key.as_str())
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .map_err(|error| failure(&name(at), Does::Read, error))?;
        info(at, &head)
    }

    pub(super) async fn head_exactly(&self, at: &VersionRef) -> Result<ObjectInfo> {
        let (head, object) = (self.head_of_version(at).await?, at.object());
        let info = info(&object, &head)?;
        if info.at.version_id == at.version_id {
            return Ok(info);
        }
        Err(Error::Unavailable {
            reason: format!(
                "{}: the store answers with version {}",
                name_of_version(at),
                info.at.version_id
            ),
            source: None,
        })
    }

    pub(super) async fn head_of_version(&self, at: &VersionRef) -> Result<HeadObjectOutput> {
        self.client
            .head_object()
            .bucket(at.bucket.as_str())
            .key(at.key.as_str())
            .version_id(at.version_id.as_str())
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .map_err(|error| failure(&name_of_version(at), Does::Read, error))
    }

    /// The SDK compares a whole body with the checksum that S3 keeps of it; a difference is the body's last error.
    pub(super) async fn read(&self, at: &VersionRef, range: Option<ByteRange>) -> Result<Body> {
        let what = name_of_version(at);
        let answer = self
            .client
            .get_object()
            .bucket(at.bucket.as_str())
            .key(at.key.as_str())
            .version_id(at.version_id.as_str())
            .set_range(range.map(header))
            .send()
            .await
            .map_err(|error| failure(&what, Does::Read, error))?;
        if range.is_some() && answer.content_range().is_none() {
            return Err(Error::Unavailable {
                reason: format!(
                    "{what}: the store does not answer with the range it was asked for"
                ),
                source: None,
            });
        }
        let pieces = futures::stream::unfold(Some((answer.body, what)), |state| async move {
            let (mut body, what): (ByteStream, String) = state?;
            match body.next().await? {
                Ok(piece) => Some((Ok(piece), Some((body, what)))),
                Err(error) => Some((Err(broken_off(&what, error)), None)),
            }
        });
        Ok(Box::pin(pieces))
    }

    pub(super) async fn delete(&self, at: &VersionRef) -> Result<()> {
        let call = self.client.delete_object();
        let deleted = call
            .bucket(at.bucket.as_str())
            .key(at.key.as_str())
            .version_id(at.version_id.as_str())
            .send()
            .await
            .map_err(|error| {
                let is_no_bucket =
                    aws_sdk_s3::error::ProvideErrorMetadata::code(&error) == Some("NoSuchBucket");
                (
                    failure(&name_of_version(at), Does::Read, error),
                    is_no_bucket,
                )
            });
        match deleted {
            Ok(_) | Err((Error::NotFound { .. }, false)) => Ok(()),
            Err((error, _)) => Err(error),
        }
    }
}

fn header(range: ByteRange) -> String {
    match range {
        ByteRange::FromTo { first, last } => format!("bytes={first}-{last}"),
        ByteRange::From { first } => format!("bytes={first}-"),
        ByteRange::Last { length } => format!("bytes=-{length}"),
    }
}

/// The SDK has no type of its own for a wrong checksum here, only words.
fn broken_off(what: &str, error: aws_sdk_s3::primitives::ByteStreamError) -> Error {
    let reason = format!("{what}: the body broke off: {}", chain(&error));
    if reason.to_ascii_lowercase().contains("checksum mismatch") {
        return Error::Integrity { reason };
    }
    Error::Unavailable {
        reason,
        source: Some(Box::new(error)),
    }
}
