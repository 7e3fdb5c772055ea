//! Walking rows in order, jumping over what a page does not need.

use std::collections::VecDeque;
use std::ops::Bound;

use two_buckets_objects::Timestamp;

use crate::engine::{BodyId, Engine, Table, Transaction};
use crate::{Body, Result};

/// Rows with their keys.
pub(crate) type RowPairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What rows can be read from: the durable state, or a transaction that sees its own changes.
pub(crate) trait View {
    fn get(&self, table: Table, row: &[u8]) -> Result<Option<Vec<u8>>>;

    /// At most `limit` rows of a range, in order.
    fn rows(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<RowPairs>;

    /// At most `limit` rows in order, from `from` on and before `to`.
    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<RowPairs> {
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        self.rows(table, (Bound::Included(from), to), limit)
    }
}

/// A [`View`] that can be changed. There is one implementation; it is a trait so that the public
/// [`Transaction`](crate::Transaction) can hold the engine's under one lifetime.
pub(crate) trait Edit: View {
    fn put(&mut self, table: Table, row: &[u8], value: Vec<u8>);
    fn delete(&mut self, table: Table, row: &[u8]);
    /// A number larger than every one given before.
    fn sequence(&mut self) -> u64;
    /// The time of the transaction.
    fn now(&self) -> Timestamp;
    /// This brings something new, for which the disk must have more room.
    fn takes_room(&mut self);
    fn add_body(&mut self, body: Body) -> BodyId;
    fn retain_body(&mut self, id: BodyId) -> Result<()>;
    fn release_body(&mut self, id: BodyId) -> Result<()>;
}

impl View for Engine {
    fn get(&self, table: Table, row: &[u8]) -> Result<Option<Vec<u8>>> {
        Engine::get(self, table, row)
    }

    fn rows(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<RowPairs> {
        self.range(table, range, false, limit).take(limit).collect()
    }
}

impl View for Transaction<'_> {
    fn get(&self, table: Table, row: &[u8]) -> Result<Option<Vec<u8>>> {
        Transaction::get(self, table, row)
    }

    fn rows(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<RowPairs> {
        self.range(table, range, false, limit).take(limit).collect()
    }
}

impl Edit for Transaction<'_> {
    fn put(&mut self, table: Table, row: &[u8], value: Vec<u8>) {
        Transaction::put(self, table, row, value);
    }

    fn delete(&mut self, table: Table, row: &[u8]) {
        Transaction::delete(self, table, row);
    }

    fn sequence(&mut self) -> u64 {
        Transaction::sequence(self)
    }

    fn now(&self) -> Timestamp {
        Transaction::now(self)
    }

    fn takes_room(&mut self) {
        Transaction::takes_room(self);
    }

    fn add_body(&mut self, body: Body) -> BodyId {
        Transaction::add_body(self, body)
    }

    fn retain_body(&mut self, id: BodyId) -> Result<()> {
        Transaction::retain_body(self, id)
    }

    fn release_body(&mut self, id: BodyId) -> Result<()> {
        Transaction::release_body(self, id)
    }
}

const BATCH_FIRST: usize = 16;
const BATCH_MAX: usize = 512;

/// Reads rows in order, in batches that grow while nothing is jumped over.
pub(crate) struct Cursor<'a, V> {
    view: &'a V,
    table: Table,
    buffered: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Where the next batch begins; none when the end was seen.
    next_batch: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
    batch: usize,
}

impl<'a, V: View> Cursor<'a, V> {
    /// Begins at `from` and ends before `end`.
    pub(crate) fn new(view: &'a V, table: Table, from: Vec<u8>, end: Option<Vec<u8>>) -> Self {
        Self {
            view,
            table,
            buffered: VecDeque::new(),
            next_batch: Some(from),
            end,
            batch: BATCH_FIRST,
        }
    }

    /// The next row.
    pub(crate) fn next(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        if self.buffered.is_empty() {
            let Some(from) = self.next_batch.take() else {
                return Ok(None);
            };
            // A jump may have gone behind the end; such a range is not one to ask for.
            if self.end.as_ref().is_some_and(|end| *end <= from) {
                return Ok(None);
            }
            self.buffered = self
                .view
                .scan(self.table, &from, self.end.as_deref(), self.batch)?
                .into();
            if self.buffered.len() == self.batch {
                self.next_batch = self.buffered.back().map(|(row, _)| successor(row));
            }
            self.batch = (self.batch * 2).min(BATCH_MAX);
        }
        Ok(self.buffered.pop_front())
    }

    /// Jumps forward to the first row at or behind `to`.
    pub(crate) fn seek(&mut self, to: Vec<u8>) {
        while self.buffered.front().is_some_and(|(row, _)| *row < to) {
            self.buffered.pop_front();
        }
        if self.buffered.is_empty() && self.next_batch.as_ref().is_some_and(|next| *next < to) {
            self.next_batch = Some(to);
            self.batch = BATCH_FIRST;
        }
    }
}

/// The first place behind this row.
pub(crate) fn successor(row: &[u8]) -> Vec<u8> {
    let mut next = row.to_vec();
    next.push(0);
    next
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::ops::Bound;

    use super::{Cursor, RowPairs, View};
    use crate::Result;
    use crate::engine::Table;

    /// Rows of four digits, counted as they are read.
    struct Counted {
        rows: BTreeMap<Vec<u8>, Vec<u8>>,
        read: Cell<usize>,
    }

    impl Counted {
        fn new(count: usize) -> Self {
            Self {
                rows: (0..count).map(|n| (row(n), Vec::new())).collect(),
                read: Cell::new(0),
            }
        }

        fn cursor(&self) -> Cursor<'_, Self> {
            Cursor::new(self, Table::VERSIONS, Vec::new(), Some(row(9999)))
        }
    }

    impl View for Counted {
        fn get(&self, _: Table, row: &[u8]) -> Result<Option<Vec<u8>>> {
            Ok(self.rows.get(row).cloned())
        }

        fn rows(
            &self,
            _: Table,
            range: (Bound<&[u8]>, Bound<&[u8]>),
            limit: usize,
        ) -> Result<RowPairs> {
            let rows: RowPairs = self
                .rows
                .range::<[u8], _>(range)
                .take(limit)
                .map(|(row, value)| (row.clone(), value.clone()))
                .collect();
            self.read.set(self.read.get() + rows.len());
            Ok(rows)
        }
    }

    fn row(n: usize) -> Vec<u8> {
        format!("{n:04}").into_bytes()
    }

    #[test]
    fn a_walk_shows_every_row_once_across_its_batches() {
        let rows = Counted::new(3000);
        let mut cursor = rows.cursor();
        for n in 0..3000 {
            assert_eq!(cursor.next().unwrap().unwrap().0, row(n));
        }
        assert!(cursor.next().unwrap().is_none());
        assert!(cursor.next().unwrap().is_none());
    }

    #[test]
    fn jumping_costs_what_is_shown_and_not_what_is_jumped_over() {
        let rows = Counted::new(9000);
        let mut cursor = rows.cursor();
        let mut shown = 0;
        while let Some((found, _)) = cursor.next().unwrap() {
            assert_eq!(found, row(shown * 1000));
            shown += 1;
            cursor.seek(row(shown * 1000));
        }
        assert_eq!(shown, 9);
        assert!(rows.read.get() <= 10 * 16, "{} rows", rows.read.get());
    }

    #[test]
    fn a_jump_behind_the_end_ends_the_walk_and_a_jump_back_does_nothing() {
        let rows = Counted::new(100);
        let mut cursor = rows.cursor();
        cursor.next().unwrap();
        cursor.seek(row(0));
        assert_eq!(cursor.next().unwrap().unwrap().0, row(1));
        cursor.seek(row(9999));
        assert!(cursor.next().unwrap().is_none());
    }
}
