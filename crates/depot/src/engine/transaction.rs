use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use two_buckets_objects::Timestamp;

use super::body::{self, BodyId, Place};
use super::index::{Rows, is_empty_range};
use super::overlay::{Overlay, merged};
use super::{Shared, Table};
use crate::bodies::Body;
use crate::{Error, Result};

/// A transaction that is being run. It sees what every transaction before it did, durable or not, and its own changes.
pub(crate) struct Transaction<'a> {
    shared: &'a Shared,
    overlay: &'a Overlay,
    now: Timestamp,
    /// What this transaction sets and deletes. Rows of [`Table::BODIES`] are here only so that the transactions behind
    /// see them; the log carries bodies in a form of its own.
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    added: Vec<(BodyId, Body)>,
    freed: Vec<(BodyId, Option<Place>)>,
    takes_room: bool,
    /// Whether something was read that is not durable yet.
    saw_pending: Cell<bool>,
}

/// What a transaction wants to change.
pub(super) struct Changes {
    /// In the order of their keys.
    pub(super) rows: Vec<(Bytes, Option<Bytes>)>,
    pub(super) added: Vec<(BodyId, Body)>,
    pub(super) freed: Vec<(BodyId, Option<Place>)>,
    /// Whether the disk is to be asked for the room.
    pub(super) takes_room: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.added.is_empty() && self.freed.is_empty()
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn new(shared: &'a Shared, overlay: &'a Overlay, now: Timestamp) -> Self {
        Self {
            shared,
            overlay,
            now,
            rows: BTreeMap::new(),
            added: Vec::new(),
            freed: Vec::new(),
            takes_room: false,
            saw_pending: Cell::new(false),
        }
    }

    /// What was changed, and whether the result depends on something that is not durable yet.
    pub(super) fn into_changes(self) -> (Changes, bool) {
        let changes = Changes {
            rows: in_one_piece(self.rows),
            added: self.added,
            freed: self.freed,
            takes_room: self.takes_room,
        };
        (changes, self.saw_pending.get())
    }

    /// The value of a row.
    pub(crate) fn get(&self, table: Table, row: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = table.key(row);
        if let Some(value) = self.rows.get(key.as_slice()) {
            return Ok(value.clone());
        }
        if let Some(value) = self.overlay.get(&key) {
            self.saw_pending.set(true);
            return Ok(value.as_ref().map(|value| value.to_vec()));
        }
        self.shared.durable(&key)
    }

    /// The first rows of a part of a table in key order, or backwards, at least so many if there are so many; read as they
    /// are asked for.
    pub(crate) fn range(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        backwards: bool,
        limit: usize,
    ) -> Rows<'_> {
        let (from, to) = table.range(range);
        if is_empty_range(&from, &to) {
            return Box::new(std::iter::empty());
        }
        let bounds = (
            from.as_ref().map(Vec::as_slice),
            to.as_ref().map(Vec::as_slice),
        );
        let mut pending = self.overlay.range(bounds);
        for (key, value) in self.rows.range::<[u8], _>(bounds) {
            pending.insert(key, value.as_deref());
        }
        if self.overlay.has_any(bounds) {
            self.saw_pending.set(true);
        }
        // Each pending row may be in place of a durable one.
        let limit = limit.saturating_add(pending.len());
        let durable = self.shared.index.range(from, to, backwards, limit);
        merged(durable, pending, backwards)
    }

    /// Sets a row.
    pub(crate) fn put(&mut self, table: Table, row: &[u8], value: Vec<u8>) {
        self.rows.insert(table.key(row), Some(value));
    }

    /// Deletes a row. Deleting what is not there changes nothing.
    pub(crate) fn delete(&mut self, table: Table, row: &[u8]) {
        self.rows.insert(table.key(row), None);
    }

    /// A number that no earlier call gave and that is larger than all of them, across restarts too.
    /// Calls in later transactions give larger ones.
    pub(crate) fn sequence(&self) -> u64 {
        self.shared.next_id()
    }

    /// The time of this transaction: by the clock, but never before the time of an earlier one.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Says that this brings something new: it is refused when the disk is full, and leaves the room that is needed to
    /// finish what was accepted, and to delete.
    pub(crate) fn takes_room(&mut self) {
        self.takes_room = true;
    }

    /// Takes a body into the store, held once.
    pub(crate) fn add_body(&mut self, body: Body) -> BodyId {
        self.takes_room();
        let id = body.id().unwrap_or_else(|| self.shared.new_body_id());
        self.rows
            .insert(Table::BODIES.key(&id.to_bytes()), Some(Vec::new()));
        self.added.push((id, body));
        id
    }

    /// Holds a body once more, as a copy of an object does.
    pub(crate) fn retain_body(&mut self, id: BodyId) -> Result<()> {
        let holds = self.holds(id)?;
        self.set_holds(id, holds + 1);
        Ok(())
    }

    /// Lets go of a body. When nobody holds it any more its space is given back once this transaction is durable;
    /// a [`Reader`](crate::Reader) that is reading it keeps it until then.
    pub(crate) fn release_body(&mut self, id: BodyId) -> Result<()> {
        let holds = self.holds(id)?;
        if holds > 1 {
            self.set_holds(id, holds - 1);
            return Ok(());
        }
        let place = match self.get(Table::BODIES, &id.to_bytes())? {
            // A body still on its way to the disk has no place yet; the commit thread will know it.
            Some(row) if row.is_empty() => None,
            Some(row) => Some(Place::decode(&row)?),
            None => return Err(body::missing(id)),
        };
        self.rows.insert(Table::BODIES.key(&id.to_bytes()), None);
        self.freed.push((id, place));
        Ok(())
    }

    fn holds(&self, id: BodyId) -> Result<u64> {
        let row = id.to_bytes();
        if self.get(Table::BODIES, &row)?.is_none() {
            return Err(body::missing(id));
        }
        match self.get(Table::BODY_HOLDS, &row)? {
            None => Ok(1),
            Some(value) => match value.try_into() {
                Ok(bytes) => Ok(u64::from_le_bytes(bytes)),
                Err(_) => Err(Error::Corrupt {
                    what: format!("the holds of body {id}"),
                }),
            },
        }
    }

    fn set_holds(&mut self, id: BodyId, holds: u64) {
        if holds == 1 {
            self.delete(Table::BODY_HOLDS, &id.to_bytes());
        } else {
            self.put(
                Table::BODY_HOLDS,
                &id.to_bytes(),
                holds.to_le_bytes().into(),
            );
        }
    }
}

/// Rows that share one piece of memory: they go through several hands and threads, and each is held in more than one.
fn in_one_piece(rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Vec<(Bytes, Option<Bytes>)> {
    let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
    let size = rows.iter().map(|(key, value)| key.len() + length(value));
    let mut piece = Vec::with_capacity(size.sum());
    for (key, value) in &rows {
        piece.extend_from_slice(key);
        piece.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let mut rest = Bytes::from(piece);
    rows.into_iter()
        .map(|(key, value)| {
            let key = rest.split_to(key.len());
            (key, value.map(|value| rest.split_to(value.len())))
        })
        .collect()
}
