//! Deleting.

use two_buckets_objects::{BucketName, LIST_PAGE_MAX, ObjectRef, WriteCondition};

use super::{Deleted, Selector, versions};
use crate::records::{VersionRecord, VersionState};
use crate::{ChangeKind, Depot, Error, ObjectChange, Result, Transaction, Versioning};

/// The most deletes in one call (S3 API, `DeleteObjects`).
const DELETES_MAX: usize = LIST_PAGE_MAX;

impl Depot {
    /// Deletes: the current version by a marker (or for good where there is no versioning), or exactly the version
    /// named, for good. Deleting what is not there succeeds (S3 API, `DeleteObject`).
    ///
    /// The condition is about the current version in both cases
    /// (S3 User Guide, "How to perform conditional deletes").
    pub fn delete(
        &self,
        at: &ObjectRef,
        version: &Selector,
        condition: &WriteCondition,
    ) -> Result<Deleted> {
        self.transaction(|tx| {
            versions::bucket(&*tx.engine, &at.bucket)?;
            tx.check(at, condition)?;
            tx.delete(at, version)
        })
    }

    /// Deletes many in one transaction, in the order given; each has its own result. More than 1,000, or one in
    /// another bucket, are `InvalidArgument` (S3 API, `DeleteObjects`).
    pub fn delete_many(
        &self,
        bucket: &BucketName,
        which: &[(ObjectRef, Selector)],
    ) -> Result<Vec<Result<Deleted>>> {
        if which.len() > DELETES_MAX {
            return Err(Error::InvalidArgument(format!(
                "at most {DELETES_MAX} objects can be deleted in one call"
            )));
        }
        if which.iter().any(|(at, _)| at.bucket != *bucket) {
            return Err(Error::InvalidArgument(format!(
                "every object must be in bucket {bucket}"
            )));
        }
        self.transaction(|tx| {
            versions::bucket(&*tx.engine, bucket)?;
            // A delete fails only where the disk does, and then none of them may happen.
            let deleted: Result<Vec<_>> = which
                .iter()
                .map(|(at, version)| tx.delete(at, version))
                .collect();
            Ok(deleted?.into_iter().map(Ok).collect())
        })
    }
}

impl Transaction<'_> {
    pub(crate) fn delete(&mut self, at: &ObjectRef, version: &Selector) -> Result<Deleted> {
        match version {
            Selector::Version(id) => {
                let found = versions::by_id(&*self.engine, &self.state.store, at, id)?;
                let is_delete_marker = found
                    .as_ref()
                    .is_some_and(|(_, record)| record.object().is_none());
                if let Some((order, record)) = found {
                    self.remove(at, order, &record)?;
                    self.record_removed(at, order, &record)?;
                } else {
                    self.state.just_moved.forget(at);
                }
                Ok(Deleted {
                    version_id: Some(id.clone()),
                    is_delete_marker,
                })
            }
            Selector::Current => self.hide(at),
        }
    }

    /// A plain delete.
    fn hide(&mut self, at: &ObjectRef) -> Result<Deleted> {
        let versioning = versions::bucket(&*self.engine, &at.bucket)?.versioning;
        if versioning == Versioning::Unversioned {
            if let Some((order, record)) = self.remove_null(at)? {
                self.record_removed(at, order, &record)?;
            }
            self.state.just_moved.forget(at);
            return Ok(Deleted {
                version_id: None,
                is_delete_marker: false,
            });
        }
        let order = self.next_order();
        let marker = VersionRecord {
            is_null: versioning == Versioning::Suspended,
            last_modified: self.engine.now(),
            state: VersionState::DeleteMarker,
        };
        self.insert(at, order, &marker)?;
        let version_id = versions::id_of(&self.state.store, order, &marker);
        self.record(&ObjectChange {
            kind: ChangeKind::DeleteMarkerMade,
            at,
            version_id: version_id.clone(),
            size_bytes: None,
            etag: None,
        })?;
        Ok(Deleted {
            version_id: Some(version_id),
            is_delete_marker: true,
        })
    }
}
