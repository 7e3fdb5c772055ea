//! Versions of objects: writing, reading, copying, moving and deleting them.

mod copy;
mod delete;
mod limits;
mod moves;
mod read;
mod state;
pub(crate) mod versions;
mod write;

pub(crate) use copy::READ_BYTES;
pub(crate) use limits::{check_single_put, check_size_beside};
pub(crate) use state::State;
pub(crate) use write::no_checksum;

use two_buckets_objects::{
    Algorithm, Checksum, ETag, Metadata, ObjectInfo, Tags, Timestamp, VersionId, VersionRef,
    WriteCondition,
};

/// A new version that is durable now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// The version.
    pub at: VersionRef,
    /// Its size.
    pub size_bytes: u64,
    /// Its tag.
    pub etag: ETag,
    /// Its Last-Modified: of a multipart upload the moment when it was initiated.
    pub last_modified: Timestamp,
    /// Whether it is the current version; a late multipart upload is not.
    pub is_latest: bool,
}

/// Which version of a key is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    /// The current one.
    Current,
    /// Exactly this one.
    Version(VersionId),
}

/// How to write an object.
#[derive(Clone, Debug, Default)]
pub struct PutObject {
    /// What must hold of the key's current version.
    pub condition: WriteCondition,
    /// What is kept beside the bytes.
    pub metadata: Metadata,
    /// The tags.
    pub tags: Tags,
    /// The algorithm whose checksum is kept and shown; CRC64NVME if none is named.
    pub checksum: Option<Algorithm>,
}

/// A version with all that the store knows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundObject {
    /// What S3 tells of it.
    pub info: ObjectInfo,
    /// The tags.
    pub tags: Tags,
    /// The parts it was uploaded in, in order; empty for an object sent in one piece.
    pub parts: Vec<PartOfObject>,
}

/// A part of an object that was uploaded in parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartOfObject {
    /// The number it was sent under.
    pub number: u32,
    /// Its size.
    pub size_bytes: u64,
    /// Its checksum, if one is kept.
    pub checksum: Option<Checksum>,
}

/// What a copy carries beside the bytes.
#[derive(Clone, Debug)]
pub enum CopyMetadata {
    /// The source's metadata with these user pairs set over it (S3: `COPY`, and none).
    Keep(Vec<(String, String)>),
    /// This instead (S3: `REPLACE`).
    Replace(Metadata),
}

/// How to copy an object.
#[derive(Clone, Debug)]
pub struct CopyObject {
    /// What must hold of the target key's current version.
    pub condition: WriteCondition,
    /// What must hold of the source's tag; else `ConditionFailed`.
    pub source_etag: Option<ETag>,
    /// The metadata of the copy.
    pub metadata: CopyMetadata,
    /// Tags to set instead of the source's.
    pub tags: Option<Tags>,
    /// The algorithm whose full-object checksum the copy shall have; the source's if none is named.
    pub checksum: Option<Algorithm>,
}

/// What a delete did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// The version removed, or the delete marker made; none for a plain delete in an unversioned bucket.
    pub version_id: Option<VersionId>,
    /// Whether that is a delete marker.
    pub is_delete_marker: bool,
}
