//! Transactions over rows and objects, and the rows of the store's user.

use std::ops::Bound;

use two_buckets_objects::{ObjectRef, Timestamp, VersionRef, Written};

use crate::begun::Told;
use crate::changes::{Cause, RecordChange, WhenDurable};
use crate::engine::Table;
use crate::objects::{Created, State};
use crate::records::VersionRecord;
use crate::row_keys::Order;
use crate::view::Edit;
use crate::{Depot, FoundObject, Result};

/// A table of rows that the store keeps for its user, in the same transactions as objects. The store does not look inside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RowTable(pub u8);

/// A transaction over rows and objects: all of it becomes durable, or nothing.
/// Transactions run one after the other; each sees what those before it did. Keep them short and never wait inside.
pub struct Transaction<'a> {
    pub(crate) engine: &'a mut (dyn Edit + 'a),
    pub(crate) state: &'a State,
    /// The versions made so far, to be announced once they are durable.
    pub(crate) created: Vec<Created>,
    /// The versions moved away so far, as they were in their old place.
    pub(crate) moved: Vec<(ObjectRef, Order, VersionRecord)>,
    /// What is told of each change of an object.
    pub(crate) recorder: Option<&'a RecordChange>,
    pub(crate) cause: Option<&'a Cause>,
    /// What is called once it is durable.
    pub(crate) when_durable: Vec<WhenDurable>,
}

/// A move of one version, with its immutable body, to another key.
#[derive(Clone, Debug)]
pub struct MoveVersion {
    /// What is moved.
    pub from: VersionRef,
    /// Where to.
    pub to: ObjectRef,
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
        let state = &self.inner.state;
        let mut told = Told::new(&self.inner);
        let (outcome, commit) = self.inner.engine.submit(|engine| {
            let now = engine.now();
            let mut transaction = Transaction {
                engine,
                state,
                created: Vec::new(),
                moved: Vec::new(),
                recorder: self.inner.options.record_change.as_ref(),
                cause: self.cause.as_ref(),
                when_durable: Vec::new(),
            };
            let value = body(&mut transaction)?;
            told.created = transaction.created;
            told.when_durable = transaction.when_durable;
            for (from, order, record) in transaction.moved {
                // Before the move can be seen, so that there is no moment in which neither answers.
                state.just_moved.keep(from.clone(), order, &record, now);
                told.moved.push(from);
            }
            Ok(value)
        });
        let (commit, told) = match &self.begun {
            None => (commit, told),
            Some(begun) => match begun.take(commit, told, outcome.is_ok()) {
                Ok(()) => return outcome,
                Err(late) => late,
            },
        };
        let ended = commit.wait();
        told.tell(ended.is_ok() && outcome.is_ok());
        ended?;
        outcome
    }

    /// A row, as of the last durable transaction.
    pub fn row(&self, table: RowTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.engine.get(Table::rows(table), key)
    }

    /// At most `limit` rows in key order, or backwards, as of the last durable transaction.
    pub fn rows(
        &self,
        table: RowTable,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.inner
            .engine
            .range(Table::rows(table), range, backwards, limit)
            .take(limit)
            .collect()
    }
}

impl Transaction<'_> {
    /// Says that this brings something new: with [`Error::DiskFull`](crate::Error::DiskFull) nothing happens where less than
    /// the room would be left that is needed to finish what was accepted. What adds an object or an upload in parts does.
    pub fn takes_room(&mut self) {
        self.engine.takes_room();
    }

    /// A row.
    pub fn row(&self, table: RowTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.engine.get(Table::rows(table), key)
    }

    /// At most `limit` rows in key order.
    pub fn rows(
        &self,
        table: RowTable,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.engine.rows(Table::rows(table), range, limit)
    }

    /// Sets a row.
    pub fn set_row(&mut self, table: RowTable, key: &[u8], value: &[u8]) {
        self.engine.put(Table::rows(table), key, value.into());
    }

    /// Removes a row.
    pub fn delete_row(&mut self, table: RowTable, key: &[u8]) {
        self.engine.delete(Table::rows(table), key);
    }

    /// The time of this transaction: by the store's clock, but never before the time of an earlier one.
    pub fn now(&self) -> Timestamp {
        self.engine.now()
    }
}
