//! Multipart uploads: begun, sent in parts, and completed or aborted.

mod checksums;
mod complete;
mod parts;

pub use complete::{COMPLETED_KEPT, Completed};

use std::time::Duration;

use two_buckets_objects::{
    Algorithm, BucketName, Checksum, ChecksumKind, ETag, Key, Metadata, ObjectRef, Tags, Timestamp,
};

use crate::engine::Table;
use crate::ids;
use crate::listing::{self, Filling, Grouping};
use crate::objects::{check_size_beside, versions};
use crate::records::{PartRecord, UploadRecord};
use crate::row_keys::{self, Order};
use crate::view::{Cursor, View, successor};
use crate::{Depot, Error, Result, Transaction};

/// The opaque name of a multipart upload.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UploadId(pub String);

/// How to begin a multipart upload.
#[derive(Clone, Debug, Default)]
pub struct CreateUpload {
    /// What is kept beside the bytes.
    pub metadata: Metadata,
    /// The tags.
    pub tags: Tags,
    /// The algorithm and kind of the checksum the object shall have. S3's rules for which go together apply
    /// (S3 User Guide, "Checking object integrity"); default CRC64NVME over the full object.
    pub checksum: Option<(Algorithm, Option<ChecksumKind>)>,
}

impl CreateUpload {
    /// The algorithm and kind of the checksum the object will have; `InvalidArgument` of two that do not go together.
    pub fn checksum(&self) -> Result<(Algorithm, ChecksumKind)> {
        let (algorithm, kind) = self.checksum.unwrap_or((Algorithm::Crc64Nvme, None));
        Ok((algorithm, checksums::kind_for(algorithm, kind)?))
    }
}

/// A part as the client names it on completion.
#[derive(Clone, Debug)]
pub struct CompletePart {
    /// The number.
    pub number: u32,
    /// The tag the upload of the part answered.
    pub etag: ETag,
    /// The checksum the client believes it has.
    pub checksum: Option<Checksum>,
}

/// A part that was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartInfo {
    /// The number.
    pub number: u32,
    /// The tag.
    pub etag: ETag,
    /// The size.
    pub size_bytes: u64,
    /// When it was received.
    pub last_modified: Timestamp,
    /// Its checksum by the upload's algorithm.
    pub checksum: Option<Checksum>,
}

/// A multipart upload that is not completed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadInfo {
    /// The key it will become.
    pub key: Key,
    /// Its id.
    pub id: UploadId,
    /// When it was begun; the object's Last-Modified in the end.
    pub initiated_at: Timestamp,
    /// The algorithm and kind of its checksum.
    pub checksum: (Algorithm, ChecksumKind),
}

/// Which uploads to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListUploads {
    /// Only keys that begin so.
    pub prefix: String,
    /// As in [`ListObjects`](crate::ListObjects).
    pub delimiter: Option<String>,
    /// Begin behind this key.
    pub after_key: Option<String>,
    /// With `after_key`, begin behind this upload of that key.
    pub after_upload: Option<UploadId>,
    /// The most entries; at most and by default 1,000.
    pub limit: Option<usize>,
}

/// A page of uploads: by key, within a key by the moment they were begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<UploadInfo>,
    /// The common prefixes in order.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins, if this one was cut.
    pub next: Option<(String, Option<UploadId>)>,
}

/// Which parts to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListParts {
    /// Begin behind this number.
    pub after: u32,
    /// The most entries; by default 1,000, at most as many as an upload has parts, 10,000.
    pub limit: Option<usize>,
}

/// A page of parts by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartPage {
    /// The upload.
    pub upload: UploadInfo,
    /// The parts.
    pub parts: Vec<PartInfo>,
    /// The last number shown, if the page was cut.
    pub next: Option<u32>,
}

impl Depot {
    /// Begins a multipart upload (S3 API, `CreateMultipartUpload`). Its place among the key's versions is taken now
    /// (S3 User Guide, "Uploading and copying objects using multipart upload", on concurrent uploads).
    pub fn create_upload(&self, to: &ObjectRef, options: CreateUpload) -> Result<UploadInfo> {
        check_size_beside(&options.metadata, &options.tags)?;
        let (algorithm, kind) = options.checksum()?;
        self.transaction(|tx| {
            tx.takes_room();
            versions::bucket(&*tx.engine, &to.bucket)?;
            let order = tx.next_order();
            let record = UploadRecord {
                initiated_at: tx.engine.now(),
                algorithm,
                kind,
                metadata: options.metadata,
                tags: options.tags,
            };
            tx.engine.put(
                Table::UPLOADS,
                &row_keys::of_upload(&to.bucket, &to.key, order),
                record.encode(),
            );
            Ok(shown(&tx.state.store, to.key.clone(), order, &record))
        })
    }

    /// An unfinished upload; says among others which checksum algorithm its parts need, so that the caller can have
    /// it computed as bytes come.
    pub fn upload(&self, to: &ObjectRef, id: &UploadId) -> Result<UploadInfo> {
        let store = &self.inner.state.store;
        let (order, record) = find(&self.inner.engine, store, to, id)?;
        Ok(shown(store, to.key.clone(), order, &record))
    }

    /// Lists the uploads of a bucket that are not completed (S3 API, `ListMultipartUploads`).
    ///
    /// To begin behind an upload that is none of this store's is `InvalidArgument`.
    pub fn list_uploads(&self, bucket: &BucketName, options: &ListUploads) -> Result<UploadPage> {
        let engine = &self.inner.engine;
        let store = &self.inner.state.store;
        versions::bucket(engine, bucket)?;
        let grouping = Grouping::new(&options.prefix, options.delimiter.as_deref());
        let after = options.after_key.as_deref();
        let (mut from, end) = listing::range(bucket, &grouping, after);
        if let (Some(key), Some(id)) = (after, &options.after_upload) {
            let order = ids::upload_order(store, id).ok_or_else(|| {
                Error::InvalidArgument("the upload to begin behind is not one".into())
            })?;
            let key: Key = key.parse().map_err(|error| {
                Error::InvalidArgument(format!("the key to begin behind: {error}"))
            })?;
            if from == row_keys::behind_key(bucket, key.as_str()) {
                from = successor(&row_keys::of_upload(bucket, &key, order));
            }
        }
        let Some(mut page) = Filling::new(options.limit) else {
            return Ok(UploadPage {
                uploads: Vec::new(),
                common_prefixes: Vec::new(),
                next: None,
            });
        };
        let mut rows = Cursor::new(engine, Table::UPLOADS, from, end);
        while let Some((row, record)) = rows.next()? {
            if !page.has_room() {
                break;
            }
            let (key, order) = row_keys::upload_of(bucket, &row)?;
            if let Some(prefix) = grouping.common_prefix(key.as_str()) {
                page.common_prefix(prefix);
                match row_keys::behind(row_keys::of_prefix(bucket, prefix)) {
                    Some(behind) => rows.seek(behind),
                    None => break,
                }
                continue;
            }
            let upload = shown(store, key.clone(), order, &UploadRecord::decode(&record)?);
            let id = upload.id.clone();
            page.entry(upload, key.as_str(), Some(id));
        }
        let (uploads, common_prefixes, next) = page.finish();
        Ok(UploadPage {
            uploads,
            common_prefixes,
            next,
        })
    }

    /// Ends an upload without an object and frees its parts (S3 API, `AbortMultipartUpload`).
    pub fn abort_upload(&self, to: &ObjectRef, id: &UploadId) -> Result<()> {
        self.transaction(|tx| {
            let (order, _) = find(&*tx.engine, &tx.state.store, to, id)?;
            for (number, part) in parts_of(&*tx.engine, order)? {
                tx.engine.release_body(part.body)?;
                tx.engine
                    .delete(Table::PARTS, &row_keys::of_part(order, number));
            }
            tx.remove_upload(to, order);
            Ok(())
        })
    }

    /// Aborts the unfinished uploads of a bucket, under keys that begin with `prefix`, that were begun this long ago or
    /// longer, each in a transaction of its own; gives those it aborted
    /// (S3 API, lifecycle rule `AbortIncompleteMultipartUpload`).
    pub fn abort_uploads_older_than(
        &self,
        bucket: &BucketName,
        prefix: &str,
        age: Duration,
    ) -> Result<Vec<UploadInfo>> {
        let now = self.now();
        let mut aborted = Vec::new();
        let mut options = ListUploads {
            prefix: prefix.to_owned(),
            ..ListUploads::default()
        };
        loop {
            let page = self.list_uploads(bucket, &options)?;
            for upload in page.uploads {
                if now.since(upload.initiated_at) < age {
                    continue;
                }
                let at = ObjectRef {
                    bucket: bucket.clone(),
                    key: upload.key.clone(),
                };
                match self.abort_upload(&at, &upload.id) {
                    Ok(()) => aborted.push(upload),
                    // Completed or aborted by its owner since it was listed.
                    Err(Error::NoSuchUpload) => {}
                    Err(error) => return Err(error),
                }
            }
            let Some((key, upload)) = page.next else {
                return Ok(aborted);
            };
            options.after_key = Some(key);
            options.after_upload = upload;
        }
    }
}

impl Transaction<'_> {
    fn remove_upload(&mut self, to: &ObjectRef, order: Order) {
        self.engine.delete(
            Table::UPLOADS,
            &row_keys::of_upload(&to.bucket, &to.key, order),
        );
    }
}

/// The unfinished upload of this id to this key, or `NoSuchUpload`.
fn find<V: View + ?Sized>(
    view: &V,
    store: &ids::StoreId,
    to: &ObjectRef,
    id: &UploadId,
) -> Result<(Order, UploadRecord)> {
    versions::bucket(view, &to.bucket)?;
    let order = ids::upload_order(store, id).ok_or(Error::NoSuchUpload)?;
    let row = row_keys::of_upload(&to.bucket, &to.key, order);
    match view.get(Table::UPLOADS, &row)? {
        Some(row) => Ok((order, UploadRecord::decode(&row)?)),
        None => Err(Error::NoSuchUpload),
    }
}

/// The parts of an unfinished upload by number; there are at most 10,000.
fn parts_of<V: View + ?Sized>(view: &V, upload: Order) -> Result<Vec<(u32, PartRecord)>> {
    let from = row_keys::of_order(upload);
    let to = row_keys::behind(from.clone());
    view.scan(Table::PARTS, &from, to.as_deref(), usize::MAX)?
        .into_iter()
        .map(|(row, record)| Ok((row_keys::part_number(&row)?, PartRecord::decode(&record)?)))
        .collect()
}

fn shown(store: &ids::StoreId, key: Key, order: Order, record: &UploadRecord) -> UploadInfo {
    UploadInfo {
        key,
        id: ids::upload_id(store, order),
        initiated_at: record.initiated_at,
        checksum: (record.algorithm, record.kind),
    }
}
