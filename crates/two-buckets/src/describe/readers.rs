//! Readers of tables that are used again: to make one takes several times as long as to read a small file with it. Its
//! `clone` is no way around that: it forgets which states end a record, and the copy never comes to an end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use csv_core::{Reader, ReaderBuilder};

/// How many are kept: more tables than that are hardly read at once.
const KEPT_MAX: usize = 128;

static KEPT: Mutex<Vec<TableReader>> = Mutex::new(Vec::new());

/// A reader of one table, and what stands between its fields.
pub(super) struct TableReader {
    pub(super) csv: Reader,
    pub(super) delimiter: u8,
}

impl TableReader {
    /// A reader of fields with this between them, at the beginning of a table.
    pub(super) fn new(delimiter: u8) -> Self {
        let mut kept = kept();
        let place = kept.iter().rposition(|it| it.delimiter == delimiter);
        if let Some(place) = place {
            return kept.swap_remove(place);
        }
        drop(kept);
        Self {
            csv: ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
        }
    }

    /// Keeps it for another table.
    pub(super) fn keep(mut self) {
        self.csv.reset();
        let mut kept = kept();
        if kept.len() < KEPT_MAX {
            kept.push(self);
        }
    }
}

fn kept() -> MutexGuard<'static, Vec<TableReader>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}
