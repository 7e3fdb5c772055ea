//! Log, index and group commit: the transactions everything else in the store is written with.

mod body;
mod index;
mod overlay;
pub mod storage;
mod table;
mod transaction;

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use two_buckets_objects::Timestamp;

use crate::{Error, OpenError, Result};
use index::{Batch, Index, MapIndex};
use overlay::Overlay;
use storage::Storage;

pub(crate) use body::BodyId;
pub(crate) use index::Rows;
pub(crate) use table::Table;
pub(crate) use transaction::Transaction;

/// The clock the store runs by.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Transactions over tables of rows and over bodies.
pub(crate) struct Engine {
    shared: Arc<Shared>,
}

/// What outlives the engine as long as a body or a reader does.
pub(crate) struct Shared {
    index: Box<dyn Index>,
    clock: Clock,
    latest: AtomicI64,
    next_id: AtomicU64,
    state: Mutex<Overlay>,
    bodies: Mutex<HashMap<BodyId, Bytes>>,
}

impl Engine {
    /// Opens the engine on this storage.
    pub(crate) fn open(_storage: Arc<dyn Storage>, clock: Clock) -> Result<Self, OpenError> {
        Ok(Self {
            shared: Arc::new(Shared {
                index: Box::new(MapIndex::default()),
                clock,
                latest: AtomicI64::new(0),
                next_id: AtomicU64::new(1),
                state: Mutex::default(),
                bodies: Mutex::default(),
            }),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The durable value of a row.
    pub(crate) fn get(&self, table: Table, row: &[u8]) -> Result<Option<Vec<u8>>> {
        self.shared.index.get(&table.key(row))
    }

    /// The durable rows of a part of a table as of now, in key order or backwards, read as they are asked for.
    pub(crate) fn range(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        backwards: bool,
    ) -> Rows<'static> {
        let (from, to) = table.range(range);
        let rows = self.shared.index.range(from, to, backwards);
        overlay::merged(rows, std::collections::BTreeMap::new(), backwards)
    }

    /// The time by the store's clock, which never goes back.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Runs a transaction and returns once it is durable. With an error nothing happened, unless the error is
    /// [`Error::ReadOnly`]: then what the disk holds is known when the store is opened again.
    pub(crate) fn transaction<T, E: From<Error>>(
        &self,
        run: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut transaction = Transaction::new(&self.shared, &state, self.shared.now());
        let outcome = run(&mut transaction)?;
        let (changes, _) = transaction.into_changes();
        let mut bodies = self
            .shared
            .bodies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (id, body) in changes.added {
            bodies.insert(id, body.into_bytes());
        }
        for (id, _) in changes.freed {
            bodies.remove(&id);
        }
        let batch: Batch = changes.rows;
        self.shared.index.apply(&batch).map_err(E::from)?;
        Ok(outcome)
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        let now = (self.clock)().millis();
        Timestamp::from_millis(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn new_body_id(&self) -> BodyId {
        BodyId::new(self.next_id())
    }

    /// The bytes of a durable body from an offset on, at most so many; none if the body is gone.
    pub(crate) fn read_body(
        &self,
        id: BodyId,
        offset: u64,
        size_bytes_max: usize,
    ) -> Result<Option<Bytes>> {
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(bodies.get(&id).map(|bytes| {
            let from = usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            bytes.slice(from..bytes.len().min(from.saturating_add(size_bytes_max)))
        }))
    }
}
