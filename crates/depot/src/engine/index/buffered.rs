//! An index whose latest batches are in memory only, until a checkpoint brings them into the one on the disk together.
//!
//! Most rows of a file on its way are set and deleted again within a second, or set once more: the lease, its state, counters.
//! Here they cost an entry of a map each, and only what is left of them reaches the disk. What is in memory is lost with the
//! process, and replayed from the log: the batches of a checkpoint carry the position of the last of them and are applied as
//! one.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::{Batch, Index, Rows, is_empty_range, merged};
use crate::Result;

/// The most bytes in memory. Beyond them whoever applies a batch waits for the disk.
const BYTES_MAX: usize = 64 << 20;
/// What a row takes beside its key and value, about. Its transaction's other rows share their memory with it and are not
/// counted: all of them together are no more than the log since the last checkpoint.
const ROW_BYTES: usize = 128;

/// The index on the disk, with what is not on it yet.
pub(crate) struct BufferedIndex<I> {
    disk: I,
    layers: RwLock<Layers>,
    /// Held by whoever brings rows to the disk.
    flushing: Mutex<()>,
    bytes_max: usize,
}

/// Newer over older. A row that is not in any of them is as the disk has it.
#[derive(Default)]
struct Layers {
    latest: Batch,
    latest_bytes: usize,
    /// What is on its way to the disk.
    flushed: Arc<Batch>,
}

impl<I: Index> BufferedIndex<I> {
    pub(crate) fn new(disk: I) -> Self {
        Self::holding(disk, BYTES_MAX)
    }

    fn holding(disk: I, bytes_max: usize) -> Self {
        Self {
            disk,
            layers: RwLock::default(),
            flushing: Mutex::default(),
            bytes_max,
        }
    }

    /// Brings to the disk what was applied before this call.
    fn flush(&self) -> Result<()> {
        let _one_at_a_time = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        // What an earlier attempt left behind goes first.
        self.flush_layer()?;
        {
            let mut layers = self.write();
            layers.flushed = Arc::new(std::mem::take(&mut layers.latest));
            layers.latest_bytes = 0;
        }
        self.flush_layer()
    }

    fn flush_layer(&self) -> Result<()> {
        let layer = Arc::clone(&self.read().flushed);
        if layer.is_empty() {
            return Ok(());
        }
        self.disk.apply(&layer)?;
        let done = std::mem::take(&mut self.write().flushed);
        // Freed without keeping anybody waiting.
        drop(done);
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Layers> {
        // Whole between any two statements that could panic.
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Index> Index for BufferedIndex<I> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        {
            let layers = self.read();
            let known = layers.latest.get(key).or_else(|| layers.flushed.get(key));
            if let Some(value) = known {
                return Ok(value.as_ref().map(|value| value.to_vec()));
            }
        }
        self.disk.get(key)
    }

    fn range(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        backwards: bool,
        limit: usize,
    ) -> Rows<'static> {
        if is_empty_range(&from, &to) {
            return Box::new(std::iter::empty());
        }
        let layers = self.read();
        let changed = layers.between((&from, &to), backwards, limit);
        // Each row that is changed may be one of the disk's.
        let limit = limit.saturating_add(changed.len());
        let rows = self.disk.range(from, to, backwards, limit);
        drop(layers);
        merged(rows, changed, backwards)
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        let is_full = {
            let mut layers = self.write();
            for (key, value) in batch {
                layers.set(key, value.as_ref());
            }
            layers.latest_bytes > self.bytes_max
        };
        if is_full {
            // Where the disk refuses it, it stays in memory, and the next checkpoint says so.
            drop(self.flush());
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<()> {
        self.flush()?;
        self.disk.checkpoint()
    }
}

impl Layers {
    fn set(&mut self, key: &Bytes, value: Option<&Bytes>) {
        let size = |value: Option<&Bytes>| value.map_or(0, Bytes::len);
        if let Some(there) = self.latest.get_mut(&**key) {
            self.latest_bytes = self.latest_bytes + size(value) - size(there.as_ref());
            *there = value.cloned();
        } else {
            self.latest_bytes += ROW_BYTES + key.len() + size(value);
            self.latest.insert(key.clone(), value.cloned());
        }
    }

    /// The rows between two keys, with the deleted ones, up to the first so many that are there: what is behind those is not
    /// among the first rows, whatever the disk has.
    fn between(
        &self,
        (from, to): (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
        backwards: bool,
        limit: usize,
    ) -> VecDeque<(Vec<u8>, Option<Vec<u8>>)> {
        let bounds = (
            from.as_ref().map(Vec::as_slice),
            to.as_ref().map(Vec::as_slice),
        );
        let mut found = VecDeque::new();
        let mut there = 0;
        let mut take = |(key, value): (&Bytes, &Option<Bytes>)| {
            there += usize::from(value.is_some());
            found.push_back((key.to_vec(), value.as_ref().map(|value| value.to_vec())));
            there < limit
        };
        let mut latest = ends(&self.latest, bounds, backwards).peekable();
        let mut flushed = ends(&self.flushed, bounds, backwards).peekable();
        loop {
            let order = match (latest.peek(), flushed.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((latest, _)), Some((flushed, _))) if backwards => flushed.cmp(latest),
                (Some((latest, _)), Some((flushed, _))) => latest.cmp(flushed),
            };
            if order.is_eq() {
                flushed.next();
            }
            let row = if order.is_gt() {
                flushed.next()
            } else {
                latest.next()
            };
            if !row.is_some_and(&mut take) {
                break;
            }
        }
        found
    }
}

type Changes<'a> = Box<dyn Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + 'a>;

/// A part of a map, from either end.
fn ends<'a>(
    rows: &'a BTreeMap<Bytes, Option<Bytes>>,
    bounds: (Bound<&[u8]>, Bound<&[u8]>),
    backwards: bool,
) -> Changes<'a> {
    let rows = rows.range::<[u8], _>(bounds);
    if backwards {
        Box::new(rows.rev())
    } else {
        Box::new(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::engine::MapIndex;
    use crate::engine::index::odd::OddIndex;
    use crate::engine::storage::{MemoryStorage, Storage};

    fn open(storage: &MemoryStorage, bytes_max: usize) -> BufferedIndex<MapIndex> {
        let storage: Arc<dyn Storage> = Arc::new(storage.clone());
        BufferedIndex::holding(MapIndex::open(&storage).unwrap(), bytes_max)
    }

    /// On a disk that takes no batch while it is told so.
    fn refusing(refuses: &AtomicBool, bytes_max: usize) -> BufferedIndex<OddIndex<'_>> {
        let disk = OddIndex::in_memory().before_a_batch(|| {
            if refuses.load(Ordering::Relaxed) {
                return Err(crate::Error::DiskFull);
            }
            Ok(())
        });
        BufferedIndex::holding(disk, bytes_max)
    }

    fn batch(rows: &[(u8, Option<u8>)]) -> Batch {
        rows.iter()
            .map(|(key, value)| {
                let value = value.map(|value| Bytes::from(vec![value]));
                (Bytes::from(vec![*key]), value)
            })
            .collect()
    }

    fn first(
        index: &dyn Index,
        from: Bound<u8>,
        to: Bound<u8>,
        backwards: bool,
        limit: usize,
    ) -> Vec<(u8, u8)> {
        let key = |bound: Bound<u8>| bound.map(|key| vec![key]);
        index
            .range(key(from), key(to), backwards, limit)
            .take(limit)
            .map(|row| row.map(|(key, value)| (key[0], value[0])).unwrap())
            .collect()
    }

    fn bound() -> impl Strategy<Value = Bound<u8>> {
        prop_oneof![
            Just(Bound::Unbounded),
            (0..20_u8).prop_map(Bound::Included),
            (0..20_u8).prop_map(Bound::Excluded),
        ]
    }

    #[derive(Clone, Debug)]
    enum Act {
        Apply(Vec<(u8, Option<u8>)>),
        Checkpoint,
        /// A checkpoint that the disk refuses.
        Refused,
    }

    fn act() -> impl Strategy<Value = Act> {
        let rows = prop::collection::vec((0..20_u8, prop::option::of(any::<u8>())), 0..6);
        prop_oneof![
            6 => rows.prop_map(Act::Apply),
            1 => Just(Act::Checkpoint),
            1 => Just(Act::Refused),
        ]
    }

    proptest! {
        #[test]
        fn it_shows_what_a_plain_map_shows(
            acts in prop::collection::vec(act(), 0..30),
            bytes_max in prop_oneof![Just(BYTES_MAX), Just(500_usize)],
            asked in prop::collection::vec((bound(), bound(), any::<bool>(), 0..8_usize), 1..8),
        ) {
            let refuses = AtomicBool::new(false);
            let index = refusing(&refuses, bytes_max);
            let mut plain = BTreeMap::new();
            for act in acts {
                match act {
                    Act::Apply(rows) => {
                        index.apply(&batch(&rows)).unwrap();
                        for (key, value) in batch(&rows) {
                            match value {
                                Some(value) => plain.insert(key[0], value[0]),
                                None => plain.remove(&key[0]),
                            };
                        }
                    }
                    Act::Checkpoint => index.checkpoint().unwrap(),
                    Act::Refused => {
                        refuses.store(true, Ordering::Relaxed);
                        drop(index.checkpoint());
                        refuses.store(false, Ordering::Relaxed);
                    }
                }
                for key in 0..20 {
                    let value = index.get(&[key]).unwrap().map(|value| value[0]);
                    prop_assert_eq!(value, plain.get(&key).copied());
                }
                for (from, to, backwards, limit) in &asked {
                    let mut wanted: Vec<_> = plain
                        .iter()
                        .filter(|(key, _)| match from {
                            Bound::Included(from) => *key >= from,
                            Bound::Excluded(from) => *key > from,
                            Bound::Unbounded => true,
                        })
                        .filter(|(key, _)| match to {
                            Bound::Included(to) => *key <= to,
                            Bound::Excluded(to) => *key < to,
                            Bound::Unbounded => true,
                        })
                        .map(|(key, value)| (*key, *value))
                        .collect();
                    if *backwards {
                        wanted.reverse();
                    }
                    wanted.truncate(*limit);
                    prop_assert_eq!(first(&index, *from, *to, *backwards, *limit), wanted);
                }
            }
        }
    }

    #[test]
    fn the_disk_gets_what_is_left_at_a_checkpoint_and_nothing_before() {
        let storage = MemoryStorage::new();
        let index = open(&storage, BYTES_MAX);
        let before = storage.operations();
        index.apply(&batch(&[(1, Some(1)), (2, Some(2))])).unwrap();
        index.apply(&batch(&[(1, None), (3, Some(3))])).unwrap();
        assert_eq!(storage.operations(), before);
        assert_eq!(index.disk.get(&[2]).unwrap(), None);
        index.checkpoint().unwrap();
        assert_eq!(index.disk.get(&[1]).unwrap(), None);
        assert_eq!(index.disk.get(&[2]).unwrap(), Some(vec![2]));
        assert!(index.read().latest.is_empty() && index.read().flushed.is_empty());
        let reopened = open(&storage.after_crash(0), BYTES_MAX);
        assert_eq!(reopened.get(&[3]).unwrap(), Some(vec![3]));
    }

    #[test]
    fn what_the_disk_refused_is_shown_and_brought_there_later_under_what_is_newer() {
        let refuses = AtomicBool::new(true);
        let index = refusing(&refuses, BYTES_MAX);
        index.apply(&batch(&[(1, Some(1)), (2, Some(2))])).unwrap();
        index.checkpoint().unwrap_err();
        index.apply(&batch(&[(2, None), (3, Some(3))])).unwrap();
        index.checkpoint().unwrap_err();
        assert_eq!(
            first(&index, Bound::Unbounded, Bound::Unbounded, false, 9),
            [(1, 1), (3, 3)]
        );
        refuses.store(false, Ordering::Relaxed);
        index.checkpoint().unwrap();
        assert_eq!(
            first(&index.disk, Bound::Unbounded, Bound::Unbounded, false, 9),
            [(1, 1), (3, 3)]
        );
        assert!(index.read().latest.is_empty() && index.read().flushed.is_empty());
    }

    #[test]
    fn memory_is_bounded_though_nobody_makes_checkpoints() {
        let storage = MemoryStorage::new();
        let index = open(&storage, 10_000);
        for n in 0..10_000_u16 {
            let row = (
                Bytes::from(n.to_be_bytes().to_vec()),
                Some(Bytes::from_static(b"row")),
            );
            index.apply(&Batch::from([row])).unwrap();
            assert!(index.read().latest_bytes <= 10_000 + 2 * ROW_BYTES);
        }
        assert_eq!(
            index.get(&0_u16.to_be_bytes()).unwrap(),
            Some(b"row".to_vec())
        );
    }

    #[test]
    fn rows_that_were_asked_for_are_as_of_then() {
        let storage = MemoryStorage::new();
        let index = open(&storage, BYTES_MAX);
        index.apply(&batch(&[(1, Some(1)), (2, Some(2))])).unwrap();
        index.checkpoint().unwrap();
        index.apply(&batch(&[(2, Some(20)), (3, Some(3))])).unwrap();
        let rows = index.range(Bound::Unbounded, Bound::Unbounded, false, 10);
        index
            .apply(&batch(&[(1, None), (2, None), (4, Some(4))]))
            .unwrap();
        index.checkpoint().unwrap();
        let rows: Vec<_> = rows
            .map(|row| row.map(|(key, value)| (key[0], value[0])).unwrap())
            .collect();
        assert_eq!(rows, [(1, 1), (2, 20), (3, 3)]);
    }
}
