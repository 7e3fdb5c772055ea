use crate::{BucketName, Checksum, ETag, Key, Metadata, Timestamp, VersionId};

/// A key in a bucket, meaning its current version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectRef {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
}

/// One version of a key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VersionRef {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// The version.
    pub version_id: VersionId,
}

impl VersionRef {
    /// The key this is a version of.
    pub fn object(&self) -> ObjectRef {
        ObjectRef {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
        }
    }
}

/// What a store says of one version that is not a delete marker (S3: `HeadObject` with checksum mode enabled).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ObjectInfo {
    /// Where it is.
    pub at: VersionRef,
    /// The size in bytes.
    pub size_bytes: u64,
    /// The entity tag.
    pub etag: ETag,
    /// When it was written; for a multipart upload, when that was initiated
    /// (S3 User Guide, "Working with object metadata").
    pub last_modified: Timestamp,
    /// The checksums the store keeps of it.
    pub checksums: Vec<Checksum>,
    /// What is kept beside its bytes.
    pub metadata: Metadata,
}

impl ObjectInfo {
    /// The checksum of the whole object by this algorithm, if the store keeps one.
    pub fn full_checksum(&self, algorithm: crate::Algorithm) -> Option<&Checksum> {
        self.checksums.iter().find(|checksum| {
            checksum.algorithm == algorithm && checksum.kind == crate::ChecksumKind::FullObject
        })
    }
}

/// An entry of a list of versions (S3: `ListObjectVersions`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ListedVersion {
    /// The key.
    pub key: Key,
    /// The version.
    pub version_id: VersionId,
    /// Whether it is the key's current version.
    pub is_latest: bool,
    /// Whether it is a delete marker; then size and tag are empty.
    pub is_delete_marker: bool,
    /// When it was written; for a multipart upload, when that was initiated.
    pub last_modified: Timestamp,
    /// The size in bytes.
    pub size_bytes: u64,
    /// The entity tag; none for a delete marker.
    pub etag: Option<ETag>,
}
