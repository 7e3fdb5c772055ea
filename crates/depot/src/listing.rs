use two_buckets_objects::{
    Algorithm, BucketName, ChecksumKind, ETag, Key, ListedVersion, Timestamp,
};

use crate::{Depot, Result};

/// Which keys or versions to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListObjects {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that share the text up to the first of these behind the prefix show as one common prefix.
    pub delimiter: Option<String>,
    /// Begin behind this key, which need not exist. A common prefix as an earlier page gave it skips all of it.
    pub after: Option<String>,
    /// With `after`, begin behind this version of that key (versions only).
    pub after_version: Option<String>,
    /// The most entries and common prefixes together; at most and by default 1,000. With 0 the page is empty and not cut.
    pub limit: Option<usize>,
}

/// A key with its current version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedObject {
    /// The key.
    pub key: Key,
    /// When it was written.
    pub last_modified: Timestamp,
    /// The tag.
    pub etag: ETag,
    /// The size.
    pub size_bytes: u64,
    /// The algorithm and kind of the checksum kept of it.
    pub checksum: Option<(Algorithm, ChecksumKind)>,
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectPage<T> {
    /// The entries in order.
    pub entries: Vec<T>,
    /// The common prefixes in order.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins, if this one was cut: the last key or common prefix shown, and the version if a
    /// list of versions stopped within a key.
    pub next: Option<(String, Option<String>)>,
}

impl Depot {
    /// Lists keys that have a current version which is not a delete marker, in byte order.
    pub fn list_objects(
        &self,
        bucket: &BucketName,
        options: &ListObjects,
    ) -> Result<ObjectPage<ListedObject>> {
        let _ = (bucket, options);
        unimplemented!()
    }

    /// Lists versions and delete markers: keys in byte order, within a key the newest first.
    pub fn list_versions(
        &self,
        bucket: &BucketName,
        options: &ListObjects,
    ) -> Result<ObjectPage<ListedVersion>> {
        let _ = (bucket, options);
        unimplemented!()
    }
}
