//! The field's words and the [`ObjectStore`] trait.
//!
//! Everything here is a value or a contract: no runtime, no HTTP, no SDK, no clock and no randomness.
//! Types are parsed at the edge and cannot be wrong afterwards: a [`Key`] has a legal length, a [`BucketName`] is a name S3 accepts.
//! The words are Amazon S3's and mean what they mean there.

mod bucket;
mod checksum;
mod condition;
mod error;
mod etag;
mod key;
mod metadata;
mod object;
pub mod policy;
mod range;
mod store;
mod time;
mod version;

pub use bucket::BucketName;
pub use checksum::{Algorithm, Checksum, ChecksumKind, Hasher, UnknownAlgorithm};
pub use condition::WriteCondition;
pub use error::{Error, InvalidName, Result};
pub use etag::ETag;
pub use key::Key;
pub use metadata::{Metadata, Tags};
pub use object::{ListedVersion, ObjectInfo, ObjectRef, VersionRef};
pub use range::{ByteRange, UnsatisfiableRange};
pub use store::{
    Body, Capabilities, CopyOptions, ListVersions, ObjectStore, PutOptions, VersionMarker,
    VersionPage, Written, body_from_bytes, read_to_bytes,
};
pub use time::{InvalidTimestamp, Timestamp};
pub use version::VersionId;

/// The largest object one `PutObject`, `CopyObject` or part may carry: 5 GiB
/// (S3 User Guide, "Amazon S3 multipart upload limits").
pub const SINGLE_PUT_SIZE_BYTES_MAX: u64 = 5 << 30;
/// The most parts of one multipart upload (S3 User Guide, "Amazon S3 multipart upload limits").
pub const PARTS_MAX: u32 = 10_000;
/// The largest object, 48.8 TiB ("50 TB"): every part at its largest
/// (S3 User Guide, "Amazon S3 multipart upload limits").
pub const OBJECT_SIZE_BYTES_MAX: u64 = SINGLE_PUT_SIZE_BYTES_MAX * PARTS_MAX as u64;
/// The smallest part that is not the last: 5 MiB (S3 User Guide, "Amazon S3 multipart upload limits").
pub const PART_SIZE_BYTES_MIN: u64 = 5 << 20;
/// The most keys, versions, parts or uploads in one page of a list (S3 API, `ListObjectsV2` `MaxKeys`).
pub const LIST_PAGE_MAX: usize = 1_000;
