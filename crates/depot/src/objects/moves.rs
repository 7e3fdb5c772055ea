//! Moving a version to another key, without its bytes.

use two_buckets_objects::{ObjectRef, VersionRef};

use super::copy::set_user_pairs;
use super::{FoundObject, check_size_beside, versions};
use crate::records::{VersionRecord, VersionState};
use crate::{ChangeKind, Error, MoveVersion, Moved, Result, Selector, Transaction};

impl Transaction<'_> {
    /// The key's current version, or `NoSuchKey`. A version that was just moved away is not there.
    pub fn head(&self, at: &ObjectRef) -> Result<FoundObject> {
        self.found(at, &Selector::Current)
    }

    /// Exactly this version, or `NoSuchVersion`.
    pub fn head_version(&self, at: &VersionRef) -> Result<FoundObject> {
        self.found(&at.object(), &Selector::Version(at.version_id.clone()))
    }

    /// Moves a version. Its size does not matter: the body stays where it is and both rows name it in turn.
    ///
    /// It keeps its `ETag`, checksums, parts, metadata and tags; id, place in the order and Last-Modified are those of a
    /// version written now. What is to hold of the target is looked at within the same transaction ([`Self::head`]): nothing
    /// comes between. Its old place still answers [`Depot::head`](crate::Depot::head) and
    /// [`Depot::read`](crate::Depot::read) for the grace.
    pub fn move_version(&mut self, options: MoveVersion) -> Result<Moved> {
        let MoveVersion {
            from,
            to,
            add_user_metadata,
        } = options;
        let old_place = from.object();
        let (old_order, source) =
            self.select(&old_place, &Selector::Version(from.version_id.clone()))?;
        let is_null = self.writes_null(&to)?;
        let found = versions::found(
            &*self.engine,
            &self.state.store,
            &old_place,
            old_order,
            source.clone(),
        )?;
        let VersionState::Object(mut object) = source.state.clone() else {
            return Err(Error::NoSuchVersion);
        };
        set_user_pairs(&mut object.metadata, &add_user_metadata);
        check_size_beside(&object.metadata, &object.tags)?;
        let order = self.next_order();
        let record = VersionRecord {
            is_null,
            last_modified: self.engine.now(),
            state: VersionState::Object(object),
        };
        // First out, then in: where both are the version `null` of one key, the insert must not let go of the bytes.
        self.remove_row(&old_place, old_order, &source);
        self.insert(&to, order, &record)?;
        let written = self.announce(&to, order, &record, true, ChangeKind::Copied)?;
        self.record_removed(&old_place, old_order, &source)?;
        self.moved.push((old_place, old_order, source));
        Ok(Moved {
            source: found,
            written,
        })
    }

    /// Deletes exactly this version for good. Deleting what is not there succeeds.
    pub fn delete_version(&mut self, at: &VersionRef) -> Result<()> {
        let version = Selector::Version(at.version_id.clone());
        self.delete(&at.object(), &version).map(drop)
    }

    fn found(&self, at: &ObjectRef, version: &Selector) -> Result<FoundObject> {
        let (order, record) = self.select(at, version)?;
        versions::found(&*self.engine, &self.state.store, at, order, record)
    }
}
