//! Putting versions in their place, and taking them out.

use two_buckets_objects::{
    Algorithm, ETag, Metadata, ObjectRef, Tags, Timestamp, VersionRef, WriteCondition, Written,
};

use super::{Created, PutObject, Selector, check_single_put, check_size_beside, versions};
use crate::engine::Table;
use crate::records::{Content, ObjectRecord, VersionRecord, VersionState, beside};
use crate::row_keys::{self, Order};
use crate::{Body, ChangeKind, Depot, Error, Facts, ObjectChange, Result, Transaction, Versioning};

impl Depot {
    /// Writes an object in one piece and makes it the key's current version (S3 API, `PutObject`).
    ///
    /// In a bucket whose versioning is not enabled it takes the place of the version `null`. With
    /// [`WriteCondition::IfMatch`] and no object there the answer is [`Error::NoSuchKey`], as on S3.
    /// A checksum that the body was not begun with is [`Error::InvalidArgument`], a body of more than 5 GiB
    /// [`Error::EntityTooLarge`].
    pub fn put(&self, to: &ObjectRef, body: Body, options: PutObject) -> Result<Written> {
        self.transaction(|tx| tx.put(to, body, options))
    }

    /// Replaces a version's tags (S3 API, `PutObjectTagging`); nothing else about a version ever changes.
    pub fn set_tags(
        &self,
        at: &ObjectRef,
        version: &Selector,
        tags: Tags,
    ) -> Result<two_buckets_objects::VersionId> {
        check_size_beside(&Metadata::default(), &tags)?;
        self.transaction(|tx| tx.set_tags(at, version, tags))
    }

    /// The time by the store's clock, which never goes back.
    pub fn now(&self) -> Timestamp {
        self.inner.engine.now()
    }

    /// How the store is now: what an operator watches. Asks the disk for little, and keeps no writer waiting for long.
    pub fn facts(&self) -> Facts {
        self.inner.engine.facts()
    }
}

impl Transaction<'_> {
    fn put(&mut self, to: &ObjectRef, body: Body, options: PutObject) -> Result<Written> {
        let PutObject {
            condition,
            metadata,
            tags,
            checksum,
        } = options;
        check_single_put(body.size_bytes())?;
        check_size_beside(&metadata, &tags)?;
        let algorithm = checksum.unwrap_or(Algorithm::Crc64Nvme);
        let checksum = body
            .checksum(algorithm)
            .cloned()
            .ok_or_else(|| no_checksum(algorithm))?;
        let is_null = self.writes_null(to)?;
        self.check(to, &condition)?;
        let order = self.next_order();
        let record = VersionRecord {
            is_null,
            last_modified: self.engine.now(),
            state: VersionState::Object(Box::new(ObjectRecord {
                size_bytes: body.size_bytes(),
                etag: ETag::of_md5(body.md5()),
                crc64: beside(&checksum, body.checksum(Algorithm::Crc64Nvme).cloned()),
                checksum: Some(checksum),
                metadata,
                tags,
                content: Content::Body(self.engine.add_body(body)),
            })),
        };
        self.insert(to, order, &record)?;
        self.announce(to, order, &record, true, ChangeKind::Put)
    }

    fn set_tags(
        &mut self,
        at: &ObjectRef,
        version: &Selector,
        tags: Tags,
    ) -> Result<two_buckets_objects::VersionId> {
        let (order, mut record) = self.select(at, version)?;
        if let VersionState::Object(object) = &mut record.state {
            object.tags = tags;
        }
        let id = versions::id_of(&self.state.store, order, &record);
        self.engine.put(
            Table::VERSIONS,
            &row_keys::of_version(&at.bucket, &at.key, order),
            record.encode(),
        );
        Ok(id)
    }

    /// Whether a version written to this bucket now is the version `null`; `NoSuchBucket` if it is not there.
    pub(crate) fn writes_null(&self, to: &ObjectRef) -> Result<bool> {
        Ok(versions::bucket(&*self.engine, &to.bucket)?.versioning != Versioning::Enabled)
    }

    pub(crate) fn check(&self, at: &ObjectRef, condition: &WriteCondition) -> Result<()> {
        versions::check(&*self.engine, &self.state.store, at, condition)
    }

    pub(crate) fn select(
        &self,
        at: &ObjectRef,
        version: &Selector,
    ) -> Result<(Order, VersionRecord)> {
        versions::select(&*self.engine, &self.state.store, at, version)
    }

    pub(crate) fn next_order(&mut self) -> Order {
        Order(self.engine.sequence())
    }

    /// Sets a version's row. A version `null` takes the place of the one before.
    pub(crate) fn insert(
        &mut self,
        to: &ObjectRef,
        order: Order,
        record: &VersionRecord,
    ) -> Result<()> {
        if record.is_null {
            self.remove_null(to)?;
            self.engine.put(
                Table::NULLS,
                &row_keys::of_key(&to.bucket, to.key.as_str()),
                order.0.to_le_bytes().into(),
            );
        }
        self.engine.put(
            Table::VERSIONS,
            &row_keys::of_version(&to.bucket, &to.key, order),
            record.encode(),
        );
        Ok(())
    }

    /// Takes away the version `null`, if there is one, for good; gives it.
    pub(crate) fn remove_null(&mut self, at: &ObjectRef) -> Result<Option<(Order, VersionRecord)>> {
        let Some(order) = versions::null_order(&*self.engine, at)? else {
            return Ok(None);
        };
        let record =
            versions::at_order(&*self.engine, at, order)?.ok_or_else(|| Error::Corrupt {
                what: "a null version row that names no version".into(),
            })?;
        self.remove(at, order, &record)?;
        Ok(Some((order, record)))
    }

    /// Takes away a version and lets go of its bytes.
    pub(crate) fn remove(
        &mut self,
        at: &ObjectRef,
        order: Order,
        record: &VersionRecord,
    ) -> Result<()> {
        self.remove_row(at, order, record);
        match record.object() {
            Some(object) => self.release(object.content),
            None => Ok(()),
        }
    }

    /// Records that this version is gone for good.
    pub(crate) fn record_removed(
        &mut self,
        at: &ObjectRef,
        order: Order,
        record: &VersionRecord,
    ) -> Result<()> {
        let version_id = versions::id_of(&self.state.store, order, record);
        self.record(&ObjectChange {
            kind: ChangeKind::Removed,
            at,
            version_id,
            size_bytes: None,
            etag: None,
        })
    }

    /// Takes away a version's row only; its bytes go on in another place.
    pub(crate) fn remove_row(&mut self, at: &ObjectRef, order: Order, record: &VersionRecord) {
        if record.is_null {
            self.engine
                .delete(Table::NULLS, &row_keys::of_key(&at.bucket, at.key.as_str()));
        }
        self.engine.delete(
            Table::VERSIONS,
            &row_keys::of_version(&at.bucket, &at.key, order),
        );
    }

    /// One version more has these bytes.
    pub(crate) fn retain(&mut self, content: Content) -> Result<()> {
        match content {
            Content::Body(id) => self.engine.retain_body(id),
            Content::Parts(upload) => {
                let uses = self.manifest_uses(upload)?;
                self.set_manifest_uses(upload, uses + 1);
                Ok(())
            }
        }
    }

    /// One version less has these bytes.
    pub(crate) fn release(&mut self, content: Content) -> Result<()> {
        match content {
            Content::Body(id) => self.engine.release_body(id),
            Content::Parts(upload) => {
                let uses = self.manifest_uses(upload)?;
                if uses > 1 {
                    self.set_manifest_uses(upload, uses - 1);
                    return Ok(());
                }
                for part in versions::manifest(&*self.engine, upload)?.parts {
                    self.engine.release_body(part.body)?;
                }
                self.engine
                    .delete(Table::MANIFESTS, &row_keys::of_order(upload));
                Ok(())
            }
        }
    }

    /// How many versions have this list of parts. A list without a row here is had once.
    fn manifest_uses(&self, upload: Order) -> Result<u64> {
        let row = self
            .engine
            .get(Table::MANIFEST_USES, &row_keys::of_order(upload))?;
        match row {
            None => Ok(1),
            Some(row) => match row.try_into() {
                Ok(uses) => Ok(u64::from_le_bytes(uses)),
                Err(_) => Err(Error::Corrupt {
                    what: "the uses of a list of parts".into(),
                }),
            },
        }
    }

    fn set_manifest_uses(&mut self, upload: Order, uses: u64) {
        let row = row_keys::of_order(upload);
        if uses == 1 {
            self.engine.delete(Table::MANIFEST_USES, &row);
        } else {
            self.engine
                .put(Table::MANIFEST_USES, &row, uses.to_le_bytes().into());
        }
    }

    /// Records that this version was made, and has `on_created` called for it once the transaction is durable; gives what
    /// the write made.
    pub(crate) fn announce(
        &mut self,
        to: &ObjectRef,
        order: Order,
        record: &VersionRecord,
        is_latest: bool,
        kind: ChangeKind,
    ) -> Result<Written> {
        let VersionState::Object(object) = &record.state else {
            return Err(Error::IsDeleteMarker {
                last_modified: record.last_modified,
            });
        };
        let version_id = versions::id_of(&self.state.store, order, record);
        self.record(&ObjectChange {
            kind,
            at: to,
            version_id: version_id.clone(),
            size_bytes: Some(object.size_bytes),
            etag: Some(&object.etag),
        })?;
        self.created.push(Created {
            at: VersionRef {
                bucket: to.bucket.clone(),
                key: to.key.clone(),
                version_id: version_id.clone(),
            },
            size_bytes: object.size_bytes,
            etag: object.etag.clone(),
            last_modified: record.last_modified,
            is_latest,
        });
        Ok(Written {
            version_id,
            etag: object.etag.clone(),
            last_modified: record.last_modified,
        })
    }
}

pub(crate) fn no_checksum(algorithm: Algorithm) -> Error {
    Error::InvalidArgument(format!(
        "the body has no {algorithm} checksum; it must be asked for before the first byte"
    ))
}
