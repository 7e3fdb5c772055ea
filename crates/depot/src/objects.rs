use two_buckets_objects::{
    Algorithm, BucketName, ByteRange, Checksum, ETag, Metadata, ObjectInfo, ObjectRef, Tags,
    Timestamp, VersionId, VersionRef, WriteCondition, Written,
};

use crate::{Body, Depot, Reader, Result};

/// A new version that is durable now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// The version.
    pub at: VersionRef,
    /// Its size.
    pub size_bytes: u64,
    /// Its tag.
    pub etag: ETag,
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

impl Depot {
    /// Writes an object in one piece and makes it the key's current version.
    pub fn put(&self, to: &ObjectRef, body: Body, options: PutObject) -> Result<Written> {
        let _ = (to, body, options);
        unimplemented!()
    }

    /// What is known of a version. A version that was moved away within the grace still answers here and in [`Self::read`].
    pub fn head(&self, at: &ObjectRef, version: &Selector) -> Result<FoundObject> {
        let _ = (at, version);
        unimplemented!()
    }

    /// A version and its bytes, or a range of them. A range outside is `InvalidArgument`; resolve it by
    /// [`ByteRange::within`] first to tell the client the size.
    pub fn read(
        &self,
        at: &ObjectRef,
        version: &Selector,
        range: Option<ByteRange>,
    ) -> Result<(FoundObject, Reader)> {
        let _ = (at, version, range);
        unimplemented!()
    }

    /// Copies a version, in any bucket, in time that does not depend on its size: both share one immutable body.
    /// Only a checksum that the source does not have makes the bytes be read.
    pub fn copy(
        &self,
        from: &ObjectRef,
        version: &Selector,
        to: &ObjectRef,
        options: CopyObject,
    ) -> Result<(FoundObject, Written)> {
        let _ = (from, version, to, options);
        unimplemented!()
    }

    /// Deletes: the current version by a marker (or for good where there is no versioning), or exactly the version
    /// named, for good. Deleting what is not there succeeds.
    pub fn delete(
        &self,
        at: &ObjectRef,
        version: &Selector,
        condition: &WriteCondition,
    ) -> Result<Deleted> {
        let _ = (at, version, condition);
        unimplemented!()
    }

    /// Deletes many in one transaction, in the order given; each has its own result.
    pub fn delete_many(
        &self,
        bucket: &BucketName,
        which: &[(ObjectRef, Selector)],
    ) -> Result<Vec<Result<Deleted>>> {
        let _ = (bucket, which);
        unimplemented!()
    }

    /// Replaces a version's tags.
    pub fn set_tags(&self, at: &ObjectRef, version: &Selector, tags: Tags) -> Result<VersionId> {
        let _ = (at, version, tags);
        unimplemented!()
    }

    /// The time by the store's clock, which never goes back.
    pub fn now(&self) -> Timestamp {
        unimplemented!()
    }
}
