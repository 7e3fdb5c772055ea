//! The index: every row by its key, rebuilt from the log as far as it was not on the disk yet.

mod buffered;
mod lsm;
mod map;
#[cfg(test)]
pub(crate) mod odd;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use crate::Result;

pub(crate) use buffered::BufferedIndex;
pub(crate) use lsm::LsmIndex;
pub(crate) use map::MapIndex;

/// Rows to set (`Some`) and to delete (`None`), each key once, applied together.
pub(crate) type Batch = BTreeMap<Bytes, Option<Bytes>>;

/// Rows in key order, or backwards.
pub(crate) type Rows<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>)>> + Send + 'a>;

/// An ordered map that survives a crash as some prefix of the batches applied to it, and not less of them than at the
/// last checkpoint.
///
/// The batch carries the log position it stands for, so whatever prefix survives knows by itself where the log goes on.
pub(crate) trait Index: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The first rows between two keys as of this call, at least so many if there are so many. Later batches do not show.
    fn range(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        backwards: bool,
        limit: usize,
    ) -> Rows<'static>;

    /// Applies a batch: readers see all of it or nothing. It need not be durable.
    fn apply(&self, batch: &Batch) -> Result<()>;

    /// Makes durable what was applied before this call.
    fn checkpoint(&self) -> Result<()>;
}

/// Whether no key can lie between the bounds; the standard library's maps panic on some of these.
pub(super) fn is_empty_range(from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// Rows with what was changed of them since, in the same order.
pub(super) fn merged(
    rows: Rows<'_>,
    mut changed: VecDeque<(Vec<u8>, Option<Vec<u8>>)>,
    backwards: bool,
) -> Rows<'_> {
    if changed.is_empty() {
        return rows;
    }
    let mut rows = rows.peekable();
    Box::new(std::iter::from_fn(move || {
        loop {
            let order = match (rows.peek(), changed.front()) {
                (None, None) => return None,
                (Some(Err(_)), _) | (Some(_), None) => return rows.next(),
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(Ok((row, _))), Some((changed, _))) if backwards => changed.cmp(row),
                (Some(Ok((row, _))), Some((changed, _))) => row.cmp(changed),
            };
            if order.is_lt() {
                return rows.next();
            }
            if order.is_eq() {
                drop(rows.next());
            }
            if let Some((key, Some(value))) = changed.pop_front() {
                return Some(Ok((key, value)));
            }
        }
    }))
}
