use two_buckets_objects::{Algorithm, ETag, VersionId};

/// The result of a call on the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such bucket.
    #[error("bucket {0} not found")]
    NoSuchBucket(String),
    /// The bucket is there already, with the same owner.
    #[error("bucket {0} exists")]
    BucketExists(String),
    /// The bucket still holds versions, delete markers or unfinished uploads.
    #[error("bucket {0} is not empty")]
    BucketNotEmpty(String),
    /// The key has no current version, or its current version is the delete marker named.
    #[error("key not found")]
    NoSuchKey {
        /// The delete marker that is the current version, if that is why.
        delete_marker: Option<VersionId>,
    },
    /// The key has no such version.
    #[error("version not found")]
    NoSuchVersion,
    /// The version asked for is a delete marker, which has no body.
    #[error("the version is a delete marker")]
    IsDeleteMarker {
        /// When the marker was made.
        last_modified: two_buckets_objects::Timestamp,
    },
    /// There is no such multipart upload: never begun, completed or aborted.
    #[error("upload not found")]
    NoSuchUpload,
    /// A part named on completion was never sent or has another tag.
    #[error("part {0} is missing or has another tag or checksum")]
    InvalidPart(u32),
    /// The parts named on completion do not ascend.
    #[error("parts must be named in ascending order")]
    InvalidPartOrder,
    /// A part that is not the last is smaller than 5 MiB.
    #[error("part {part} has {size_bytes} bytes, less than the least of {size_bytes_min}")]
    EntityTooSmall {
        /// The part's number.
        part: u32,
        /// Its size.
        size_bytes: u64,
        /// The least allowed.
        size_bytes_min: u64,
        /// Its tag.
        etag: ETag,
    },
    /// A body is larger than its operation allows.
    #[error("the body has more than the most of {size_bytes_max} bytes")]
    EntityTooLarge {
        /// The most allowed.
        size_bytes_max: u64,
    },
    /// A [`WriteCondition`](two_buckets_objects::WriteCondition) or the like did not hold.
    #[error("the condition does not hold")]
    ConditionFailed,
    /// The checksum of the object is not the one that was expected.
    #[error("the object has another {algorithm} checksum than expected")]
    BadDigest {
        /// How it was computed.
        algorithm: Algorithm,
    },
    /// The argument breaks a rule of S3; the text says which.
    #[error("{0}")]
    InvalidArgument(String),
    /// The disk is full. Nothing was written; reads go on, and writes work again once there is room.
    #[error("the disk is full")]
    DiskFull,
    /// A sync failed before, so that nobody knows what the disk holds: the store refuses writes until it is opened again.
    #[error("the store takes no writes since a sync failed; restart it")]
    ReadOnly,
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Io(#[source] std::io::Error),
    /// What the disk gave back is not what was written.
    #[error("corrupt data in {what}")]
    Corrupt {
        /// Where.
        what: String,
    },
}

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data folder is in use by another process")]
    Locked,
    /// It was written by a version of this program with another format.
    #[error("the data folder has format {found}, this program knows {known}")]
    UnknownFormat {
        /// The format found.
        found: u32,
        /// The format this program writes.
        known: u32,
    },
    /// There are files in it that are not a store's.
    #[error("the folder is not empty and is no data folder: {0}")]
    NotADataFolder(String),
    /// The disk failed or refused.
    #[error("{0}")]
    Io(#[source] std::io::Error),
    /// What the disk gave back is not what was written.
    #[error("corrupt data: {0}")]
    Corrupt(String),
}
