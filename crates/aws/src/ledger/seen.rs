//! Rows that were written a moment ago by this process. The next change of the same upload most often comes from here,
//! and needs no read: what it believes of the row is a condition of its write.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use two_buckets_pipeline::{Upload, UploadId};

use super::rows::Kept;

/// How many rows are remembered. A worker has as many in hand as it has uploads in work.
const ROWS_MAX: usize = 256;
/// The largest report of a row that is remembered, in bytes.
const REPORT_BYTES_MAX: usize = 4 << 10;

#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<VecDeque<Kept>>);

impl Seen {
    /// Takes a row out.
    pub(super) fn take(&self, id: &UploadId) -> Option<Kept> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = rows.iter().rposition(|row| row.upload.id == *id)?;
        rows.remove(at)
    }

    /// Asks something of a row; false if it is not remembered.
    pub(super) fn look(&self, id: &UploadId, ask: impl FnOnce(&Upload) -> bool) -> bool {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter()
            .rev()
            .find(|row| row.upload.id == *id)
            .is_some_and(|row| ask(&row.upload))
    }

    /// Remembers a row in place of what was remembered of it. One that is closed is changed no more.
    pub(super) fn put(&self, row: Kept) {
        let report = row.upload.report.as_ref();
        let is_large = report.is_some_and(|report| report.as_str().len() > REPORT_BYTES_MAX);
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.retain(|known| known.upload.id != row.upload.id);
        if is_large || row.upload.closed {
            return;
        }
        if rows.len() == ROWS_MAX {
            rows.pop_front();
        }
        rows.push_back(row);
    }
}
