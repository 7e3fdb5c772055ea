use std::ops::Bound;

use two_buckets_objects::{ObjectRef, VersionRef, WriteCondition, Written};

use crate::{Depot, FoundObject, Result};

/// A table of rows that the store keeps for its user, in the same transactions as objects. The store does not look inside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RowTable(pub u8);

/// A transaction over rows and objects: all of it becomes durable, or nothing.
/// Transactions run one after the other; each sees what those before it did. Keep them short and never wait inside.
pub struct Transaction<'a> {
    _engine: std::marker::PhantomData<&'a ()>,
}

/// A move of one version, with its immutable body, to another key.
#[derive(Clone, Debug)]
pub struct MoveVersion {
    /// What is moved.
    pub from: VersionRef,
    /// Where to.
    pub to: ObjectRef,
    /// What must hold of the target's current version.
    pub condition: WriteCondition,
    /// User metadata to set over the source's own.
    pub add_user_metadata: Vec<(String, String)>,
}

/// What a move did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The version as it was in its old place.
    pub source: FoundObject,
    /// The version in its new place.
    pub written: Written,
}

impl Depot {
    /// Runs a transaction; returns once it is durable. With an error from `body` nothing changes.
    /// A transaction that changed nothing returns without touching the disk.
    pub fn transaction<T, E: From<crate::Error>>(
        &self,
        body: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let _ = body;
        unimplemented!()
    }

    /// A row, as of the last durable transaction.
    pub fn row(&self, table: RowTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let _ = (table, key);
        unimplemented!()
    }

    /// At most `limit` rows in key order, or backwards, as of the last durable transaction.
    pub fn rows(
        &self,
        table: RowTable,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let _ = (table, range, backwards, limit);
        unimplemented!()
    }
}

impl Transaction<'_> {
    /// A row.
    pub fn row(&self, table: RowTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let _ = (table, key);
        unimplemented!()
    }

    /// At most `limit` rows in key order.
    pub fn rows(
        &self,
        table: RowTable,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let _ = (table, range, limit);
        unimplemented!()
    }

    /// Sets a row.
    pub fn set_row(&mut self, table: RowTable, key: &[u8], value: &[u8]) {
        let _ = (table, key, value);
        unimplemented!()
    }

    /// Removes a row.
    pub fn delete_row(&mut self, table: RowTable, key: &[u8]) {
        let _ = (table, key);
        unimplemented!()
    }

    /// The key's current version, or `NoSuchKey`.
    pub fn head(&self, at: &ObjectRef) -> Result<FoundObject> {
        let _ = at;
        unimplemented!()
    }

    /// Exactly this version, or `NoSuchVersion`.
    pub fn head_version(&self, at: &VersionRef) -> Result<FoundObject> {
        let _ = at;
        unimplemented!()
    }

    /// Moves a version. Its size does not matter: the body stays where it is and both rows name it in turn.
    pub fn move_version(&mut self, options: MoveVersion) -> Result<Moved> {
        let _ = options;
        unimplemented!()
    }

    /// Deletes exactly this version for good. Deleting what is not there succeeds.
    pub fn delete_version(&mut self, at: &VersionRef) -> Result<()> {
        let _ = at;
        unimplemented!()
    }
}
