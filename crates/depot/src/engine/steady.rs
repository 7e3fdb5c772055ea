//! Rows that every request asks for and that hardly ever change: those of buckets and of what is configured of them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Table;
use super::index::Index;
use crate::Result;

/// The most rows kept. Rows that are not there are kept as well.
const ROWS_MAX: usize = 10_000;

/// Durable rows of [`TABLES`] as they were read last.
#[derive(Default)]
pub(super) struct Steady(RwLock<Rows>);

#[derive(Default)]
struct Rows {
    by_key: HashMap<Vec<u8>, Option<Vec<u8>>>,
    /// Grows with each change of such a row.
    changes: u64,
    /// Whether one is on its way into the index.
    is_changing: bool,
}

/// A change of such rows, until it is in the index or not.
pub(super) struct Changing<'a>(&'a Steady);

const TABLES: [Table; 2] = [Table::BUCKETS, Table::CONFIGS];

impl Steady {
    /// Whether rows of this key are kept.
    pub(super) fn holds(key: &[u8]) -> bool {
        TABLES.iter().any(|table| table.holds(key))
    }

    /// The durable value of such a row.
    pub(super) fn get(&self, index: &dyn Index, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let changes = {
            let rows = self.read();
            if let Some(value) = rows.by_key.get(key) {
                return Ok(value.clone());
            }
            rows.changes
        };
        let value = index.get(key)?;
        let mut rows = self.write();
        // What was read before a change is not kept behind it.
        if rows.changes == changes && !rows.is_changing {
            if rows.by_key.len() >= ROWS_MAX {
                rows.by_key.clear();
            }
            rows.by_key.insert(key.to_vec(), value.clone());
        }
        Ok(value)
    }

    /// Forgets all, for such a row changes now. Nothing is kept until it has, so that nobody sees it as it was who has
    /// seen another row of the same change.
    pub(super) fn changing(&self) -> Changing<'_> {
        let mut rows = self.write();
        rows.changes += 1;
        rows.is_changing = true;
        rows.by_key.clear();
        drop(rows);
        Changing(self)
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        // Whole between any two statements that could panic.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.write().is_changing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::index::Batch;
    use crate::engine::index::odd::OddIndex;

    fn set(index: &dyn Index, key: &[u8], value: &'static [u8]) {
        let row = (key.to_vec().into(), Some(value.into()));
        index.apply(&Batch::from([row])).unwrap();
    }

    #[test]
    fn a_row_is_looked_up_once_until_one_changes() {
        let index = OddIndex::in_memory();
        let steady = Steady::default();
        let key = Table::BUCKETS.key(b"staging");
        assert!(Steady::holds(&key));
        assert!(!Steady::holds(&Table::VERSIONS.key(b"staging")));
        assert_eq!(steady.get(&index, &key).unwrap(), None);
        set(&index, &key, b"1");
        assert_eq!(steady.get(&index, &key).unwrap(), None, "it was kept");
        drop(steady.changing());
        assert_eq!(steady.get(&index, &key).unwrap(), Some(b"1".to_vec()));
    }

    #[test]
    fn what_was_read_while_it_changed_is_not_kept() {
        let steady = Steady::default();
        let key = Table::BUCKETS.key(b"staging");
        let index = OddIndex::in_memory();
        // The whole change lies behind the look and before what was seen is kept.
        let before = OddIndex::in_memory().behind_a_look(|| {
            let changing = steady.changing();
            set(&index, &key, b"1");
            drop(changing);
        });
        assert_eq!(steady.get(&before, &key).unwrap(), None);
        assert_eq!(steady.get(&index, &key).unwrap(), Some(b"1".to_vec()));
        // A look while the change is on its way.
        let changing = steady.changing();
        assert_eq!(steady.get(&index, &key).unwrap(), Some(b"1".to_vec()));
        set(&index, &key, b"2");
        assert_eq!(steady.get(&index, &key).unwrap(), Some(b"2".to_vec()));
        drop(changing);
    }
}
