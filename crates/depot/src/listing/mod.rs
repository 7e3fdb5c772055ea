//! Lists of objects and of versions, a page at a time. A page costs what it shows: the rows under a common prefix and
//! the older versions of a key are jumped over, not read.

mod page;

pub(crate) use page::{Filling, Grouping};

use two_buckets_objects::{
    Algorithm, BucketName, ChecksumKind, ETag, Key, ListedVersion, ObjectRef, Timestamp, VersionId,
};

use crate::engine::Table;
use crate::ids;
use crate::objects::versions;
use crate::records::{VersionRecord, VersionState};
use crate::row_keys::{self, Order};
use crate::view::{Cursor, successor};
use crate::{Depot, Error, Result};

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
    /// Lists keys that have a current version which is not a delete marker, in byte order (S3 API, `ListObjectsV2`).
    ///
    /// A list is not a snapshot: a key written or deleted while it is made may show or not.
    pub fn list_objects(
        &self,
        bucket: &BucketName,
        options: &ListObjects,
    ) -> Result<ObjectPage<ListedObject>> {
        let engine = &self.inner.engine;
        versions::bucket(engine, bucket)?;
        let grouping = Grouping::new(&options.prefix, options.delimiter.as_deref());
        let Some(mut page) = Filling::<_, String>::new(options.limit) else {
            return Ok(ObjectPage::empty());
        };
        let (from, end) = range(bucket, &grouping, options.after.as_deref());
        let mut rows = Cursor::new(engine, Table::VERSIONS, from, end);
        while let Some((row, record)) = rows.next()? {
            let (key, _) = row_keys::version_of(bucket, &row)?;
            let record = VersionRecord::decode(&record)?;
            // The first row of a key is its current version; the others do not matter here.
            let VersionState::Object(object) = record.state else {
                rows.seek(row_keys::behind_key(bucket, key.as_str()));
                continue;
            };
            if !page.has_room() {
                break;
            }
            if let Some(prefix) = grouping.common_prefix(key.as_str()) {
                page.common_prefix(prefix);
                match row_keys::behind(row_keys::of_prefix(bucket, prefix)) {
                    Some(behind) => rows.seek(behind),
                    None => break,
                }
                continue;
            }
            rows.seek(row_keys::behind_key(bucket, key.as_str()));
            let listed = ListedObject {
                key: key.clone(),
                last_modified: record.last_modified,
                etag: object.etag,
                size_bytes: object.size_bytes,
                checksum: object
                    .checksum
                    .map(|checksum| (checksum.algorithm, checksum.kind)),
            };
            page.entry(listed, key.as_str(), None);
        }
        Ok(page.into())
    }

    /// Lists versions and delete markers: keys in byte order, within a key the newest first
    /// (S3 API, `ListObjectVersions`).
    ///
    /// A page that was cut behind a version names it in `next`; going on there works though it was deleted meanwhile.
    /// A version to begin behind that is none of this store's is `InvalidArgument`, and so is one without a key.
    pub fn list_versions(
        &self,
        bucket: &BucketName,
        options: &ListObjects,
    ) -> Result<ObjectPage<ListedVersion>> {
        let engine = &self.inner.engine;
        let store = &self.inner.state.store;
        versions::bucket(engine, bucket)?;
        let grouping = Grouping::new(&options.prefix, options.delimiter.as_deref());
        let within = self.within_key(bucket, options)?;
        let Some(mut page) = Filling::new(options.limit) else {
            return Ok(ObjectPage::empty());
        };
        let (mut from, end) = range(bucket, &grouping, options.after.as_deref());
        // The key a page goes on in: its first row here need not be its current version.
        let mut current: Option<(Key, Order)> = None;
        if let Some((key, order)) = within {
            let row = successor(&row_keys::of_version(bucket, &key, order));
            // Unless the prefix begins behind that key anyway.
            if from == row_keys::behind_key(bucket, key.as_str()) {
                from = row;
            }
            let at = ObjectRef {
                bucket: bucket.clone(),
                key: key.clone(),
            };
            current = versions::newest(engine, &at)?.map(|(newest, _)| (key, newest));
        }
        let mut rows = Cursor::new(engine, Table::VERSIONS, from, end);
        while let Some((row, record)) = rows.next()? {
            if !page.has_room() {
                break;
            }
            let (key, order) = row_keys::version_of(bucket, &row)?;
            if let Some(prefix) = grouping.common_prefix(key.as_str()) {
                page.common_prefix(prefix);
                match row_keys::behind(row_keys::of_prefix(bucket, prefix)) {
                    Some(behind) => rows.seek(behind),
                    None => break,
                }
                continue;
            }
            if current.as_ref().is_none_or(|(current, _)| *current != key) {
                current = Some((key.clone(), order));
            }
            let record = VersionRecord::decode(&record)?;
            let version_id = versions::id_of(store, order, &record);
            let object = record.object();
            let listed = ListedVersion {
                version_id: version_id.clone(),
                is_latest: current.as_ref().is_some_and(|(_, newest)| *newest == order),
                is_delete_marker: object.is_none(),
                last_modified: record.last_modified,
                size_bytes: object.map_or(0, |object| object.size_bytes),
                etag: object.map(|object| object.etag.clone()),
                key: key.clone(),
            };
            page.entry(listed, key.as_str(), Some(version_id.as_str().to_owned()));
        }
        Ok(page.into())
    }

    /// The version that a list of versions begins behind.
    fn within_key(
        &self,
        bucket: &BucketName,
        options: &ListObjects,
    ) -> Result<Option<(Key, Order)>> {
        let Some(version) = options.after_version.as_deref() else {
            return Ok(None);
        };
        let Some(key) = options.after.as_deref().and_then(|key| key.parse().ok()) else {
            return Err(Error::InvalidArgument(
                "a version to begin behind needs its key".into(),
            ));
        };
        let at = ObjectRef {
            bucket: bucket.clone(),
            key,
        };
        let order = if version == VersionId::NULL {
            // A `null` that is gone left no place behind. All of the key is shown again rather than any of it not.
            Some(versions::null_order(&self.inner.engine, &at)?.unwrap_or(Order(u64::MAX)))
        } else {
            ids::version_order(&self.inner.state.store, version)
        };
        match order {
            Some(order) => Ok(Some((at.key, order))),
            None => Err(Error::InvalidArgument(
                "the version to begin behind is not one".into(),
            )),
        }
    }
}

/// The rows a list is of: from behind `after`, or from the prefix on, to the end of the prefix.
pub(crate) fn range(
    bucket: &BucketName,
    grouping: &Grouping<'_>,
    after: Option<&str>,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let prefix = row_keys::of_prefix(bucket, grouping.prefix);
    let end = row_keys::behind(prefix.clone());
    let from = match after {
        None => prefix,
        Some(after) if grouping.is_common_prefix(after) => {
            row_keys::behind(row_keys::of_prefix(bucket, after)).unwrap_or(prefix)
        }
        Some(after) => prefix.max(row_keys::behind_key(bucket, after)),
    };
    (from, end)
}

impl<T> ObjectPage<T> {
    fn empty() -> Self {
        Self {
            entries: Vec::new(),
            common_prefixes: Vec::new(),
            next: None,
        }
    }
}

impl<T> From<Filling<T, String>> for ObjectPage<T> {
    fn from(page: Filling<T, String>) -> Self {
        let (entries, common_prefixes, next) = page.finish();
        Self {
            entries,
            common_prefixes,
            next,
        }
    }
}
