//! An index that misbehaves as a test wants it to.

use std::ops::Bound;
use std::sync::Arc;

use super::{Batch, Index, MapIndex, Rows};
use crate::Result;
use crate::engine::storage::{MemoryStorage, Storage};

type BehindALook<'a> = Box<dyn Fn() + Send + Sync + 'a>;
type BeforeABatch<'a> = Box<dyn Fn() -> Result<()> + Send + Sync + 'a>;

/// A [`MapIndex`] that gives no row more than it is asked for.
pub(crate) struct OddIndex<'a> {
    index: MapIndex,
    behind_a_look: BehindALook<'a>,
    before_a_batch: BeforeABatch<'a>,
}

impl<'a> OddIndex<'a> {
    pub(crate) fn new(index: MapIndex) -> Self {
        Self {
            index,
            behind_a_look: Box::new(|| {}),
            before_a_batch: Box::new(|| Ok(())),
        }
    }

    /// One that nobody else has the storage of.
    pub(crate) fn in_memory() -> Self {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        Self::new(MapIndex::open(&storage).unwrap())
    }

    /// Has something happen between a look and its answer.
    pub(crate) fn behind_a_look(self, call: impl Fn() + Send + Sync + 'a) -> Self {
        Self {
            behind_a_look: Box::new(call),
            ..self
        }
    }

    /// Has something happen before a batch; with an error it is not applied.
    pub(crate) fn before_a_batch(self, call: impl Fn() -> Result<()> + Send + Sync + 'a) -> Self {
        Self {
            before_a_batch: Box::new(call),
            ..self
        }
    }
}

impl Index for OddIndex<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.index.get(key);
        (self.behind_a_look)();
        value
    }

    fn range(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        backwards: bool,
        limit: usize,
    ) -> Rows<'static> {
        Box::new(self.index.range(from, to, backwards, limit).take(limit))
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        (self.before_a_batch)()?;
        self.index.apply(batch)
    }

    fn checkpoint(&self) -> Result<()> {
        self.index.checkpoint()
    }
}
