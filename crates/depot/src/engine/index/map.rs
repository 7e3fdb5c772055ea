use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::{Batch, Index, Rows, is_empty_range};
use crate::Result;

/// An index in memory.
///
/// Readers share the map they began with; a batch copies it only while one of them is still there.
#[derive(Default)]
pub(in crate::engine) struct MapIndex {
    rows: RwLock<Arc<BTreeMap<Bytes, Bytes>>>,
}

impl MapIndex {
    fn rows(&self) -> Arc<BTreeMap<Bytes, Bytes>> {
        Arc::clone(&self.rows.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Index for MapIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.get(key).map(|value| value.to_vec()))
    }

    fn range(&self, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>, backwards: bool) -> Rows<'static> {
        Box::new(Walk {
            rows: self.rows(),
            from,
            to,
            backwards,
        })
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        let mut shared = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let rows = Arc::make_mut(&mut shared);
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<()> {
        Ok(())
    }
}

/// A walk that seeks anew at each step, because an iterator cannot own the map it borrows from.
struct Walk {
    rows: Arc<BTreeMap<Bytes, Bytes>>,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    backwards: bool,
}

impl Iterator for Walk {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if is_empty_range(&self.from, &self.to) {
            return None;
        }
        let mut rows = self.rows.range::<[u8], _>((
            self.from.as_ref().map(Vec::as_slice),
            self.to.as_ref().map(Vec::as_slice),
        ));
        let (key, value) = if self.backwards {
            rows.next_back()
        } else {
            rows.next()
        }?;
        let (key, value) = (key.to_vec(), value.to_vec());
        let end = if self.backwards {
            &mut self.to
        } else {
            &mut self.from
        };
        *end = Bound::Excluded(key.clone());
        Some(Ok((key, value)))
    }
}
