//! The API's ids of uploads: the key and version in staging, so that an upload has its id before the ledger has a row;
//! but the ledger's own where the key was minted, for then the row was first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use two_buckets_objects::{BucketName, ObjectRef, VersionId, VersionRef};
use two_buckets_pipeline as pipeline;

use crate::{Error, Result, UploadId};

/// What an id names.
pub(super) enum Named {
    /// A version that is or was in staging.
    Version(VersionRef),
    /// The row of an upload whose key was minted.
    Row(pipeline::UploadId),
}

/// The id of a version in staging: key and version id in base64, with a dot between.
pub(super) fn of_version(key: &ObjectRef, version_id: &VersionId) -> Result<UploadId> {
    let id = format!(
        "{}.{}",
        BASE64.encode(key.key.as_str()),
        BASE64.encode(version_id.as_str())
    );
    id.parse().map_err(|_| Error::Broken {
        reason: format!("the version id {version_id} is too long for a URL"),
        source: None,
    })
}

/// The id of a row: that of its version, or the ledger's own if its key was minted, so that it stays when it arrives.
pub(super) fn of_row(upload: &pipeline::Upload) -> Result<UploadId> {
    match &upload.staged {
        Some(staged) if !upload.minted => of_version(&upload.key, &staged.version_id),
        _ => of_named(&upload.id),
    }
}

/// The ledger's own id, which is one of ours too.
pub(super) fn of_named(id: &pipeline::UploadId) -> Result<UploadId> {
    id.as_str().parse().map_err(|_| Error::Broken {
        reason: format!("the ledger's id {id} cannot be in a URL"),
        source: None,
    })
}

/// What an id names; none if it cannot be one of ours.
pub(super) fn read(id: &UploadId, staging: &BucketName) -> Option<Named> {
    let Some((key, version_id)) = id.as_str().split_once('.') else {
        return pipeline::UploadId::new(id.as_str()).map(Named::Row);
    };
    let text = |part: &str| String::from_utf8(BASE64.decode(part).ok()?).ok();
    Some(Named::Version(VersionRef {
        bucket: staging.clone(),
        key: text(key)?.parse().ok()?,
        version_id: VersionId::new(text(version_id)?),
    }))
}
