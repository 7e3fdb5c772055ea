//! Log, index and group commit: the transactions everything else in the store is written with.
//!
//! A transaction runs under one mutex, against the index and an overlay of what is not durable yet. Its changes and its
//! small bodies then wait for the commit thread, which writes all that waits as one group of records, syncs once,
//! applies the group to the index and only then wakes the callers. So readers, who look at the index alone, see durable
//! changes only, and the index, which is not synced on this way, is rebuilt from the log after a crash.
//!
//! Large bodies are files of their own, synced before the transaction that names them is written.

mod blob;
mod body;
mod checkpoint;
mod commit;
mod early;
mod folder;
mod index;
mod log;
mod overlay;
mod pins;
mod recent;
mod record;
mod replay;
mod stage;
mod steady;
pub mod storage;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod transaction;
mod waiter;

use std::collections::VecDeque;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use two_buckets_objects::Timestamp;

use crate::{Error, OpenError, Result};
use commit::{Committer, Pending};
use early::Early;
use index::Index;
use log::{Layout, Log, Segments};
use overlay::Overlay;
use pins::Pins;
use recent::Recent;
use record::{Encoder, crc64};
use stage::{LiveBytes, Position};
use steady::Steady;
use storage::Storage;
use waiter::Waiter;

pub(crate) use blob::{BlobFile, BlobReader, BlobWriter, CHUNK_BYTES};
pub(crate) use body::{BodyId, Place};
pub(crate) use checkpoint::Schedule;
pub(crate) use index::{BufferedIndex, LsmIndex, MapIndex, Rows};
pub(crate) use pins::Pinned;
pub(crate) use record::PAYLOAD_BYTES_MAX as TRANSACTION_BYTES_MAX;
pub(crate) use table::Table;
pub(crate) use transaction::Transaction;
pub(crate) use waiter::Commit;

/// The clock the store runs by.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the engine keeps its files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// A log segment is ended before it would pass this.
    pub(crate) segment_bytes_max: u64,
    /// How far zeros are written ahead of the records.
    pub(crate) ahead_bytes: u64,
    /// Room that must stay free on the disk, so that the index can go on though the log is refused.
    pub(crate) reserve_bytes: u64,
    /// Room beside it that what is new leaves: or else a full disk could never be emptied, nor what was accepted be
    /// finished.
    pub(crate) finishing_bytes: u64,
    /// When checkpoints are made.
    pub(crate) checkpoints: Schedule,
    /// Whether large files are synced while they come, by a thread of its own.
    pub(crate) syncs_early: bool,
}

/// How a store is at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Whether a sync failed, so that no write is taken until it is opened again.
    pub is_read_only: bool,
    /// How many more bytes fit on its disk; none if there is no limit, or if that cannot be found out.
    pub free_bytes: Option<u64>,
    /// How many segments its log has.
    pub log_segments: u64,
    /// How long they are together.
    pub log_bytes: u64,
    /// How much of it would be replayed at a start.
    pub log_to_replay_bytes: u64,
    /// How many bytes of bodies were taken in since it was opened, whatever became of them.
    pub taken_bytes: u64,
}

/// Transactions over tables of rows and over bodies. Dropping it waits for what is on its way and closes the store.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
    checkpointer: Option<JoinHandle<()>>,
    early_syncer: Option<JoinHandle<()>>,
}

/// What outlives the engine for as long as a body or a reader does; the lock on the folder with it.
pub(crate) struct Shared {
    storage: Arc<dyn Storage>,
    index: Box<dyn Index>,
    segments: Arc<Segments>,
    pins: Pins,
    recent: Recent,
    steady: Steady,
    early: Early,
    clock: Clock,
    /// The latest time given, in milliseconds.
    latest: AtomicI64,
    next_id: AtomicU64,
    /// Whether a sync failed, so that nobody knows what the disk holds.
    read_only: AtomicBool,
    /// How many bytes of bodies were taken in since the store was opened.
    taken_bytes: AtomicU64,
    settings: Settings,
    writers: Mutex<Writers>,
    /// Something waits in `writers`, or the engine ends.
    work: Condvar,
    applied: Mutex<Applied>,
    clockwork: Mutex<Clockwork>,
    /// A checkpoint is due, or the engine ends.
    due: Condvar,
    /// Which of the folders of blob files are there for certain, by the low byte of the ids in them.
    blob_folders: Vec<AtomicBool>,
    _lock: Box<dyn Send + Sync>,
}

#[derive(Default)]
struct Writers {
    overlay: Overlay,
    queue: VecDeque<Pending>,
    /// Whether the commit thread sleeps until something is in the queue.
    committer_waits: bool,
    tickets: u64,
    is_stopping: bool,
}

/// What the index stands for.
struct Applied {
    position: Position,
    live: LiveBytes,
    /// Bytes of log since the last checkpoint.
    log_bytes: u64,
}

#[derive(Default)]
struct Clockwork {
    is_due: bool,
    is_stopping: bool,
}

impl Engine {
    /// Opens the engine on this storage and brings its index to the end of the log.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        open_index: impl FnOnce(&Arc<dyn Storage>) -> Result<Box<dyn Index>, OpenError>,
        clock: Clock,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        folder::check_is_ours(storage.as_ref())?;
        let lock = storage.lock().map_err(OpenError::Io)?;
        let lock = lock.ok_or(OpenError::Locked)?;
        let store = folder::identify(storage.as_ref(), clock())?;
        let index = open_index(&storage)?;
        let replayed = replay::replay(&storage, store, index.as_ref())?;
        let position = replayed.position;
        let segments = Arc::new(Segments::new(Arc::clone(&storage), replayed.segments));
        let layout = Layout {
            store,
            segment_bytes_max: settings.segment_bytes_max,
            reserve_bytes: settings.reserve_bytes,
            ahead_bytes: settings.ahead_bytes,
        };
        let log = Log::resume(
            Arc::clone(&storage),
            Arc::clone(&segments),
            layout,
            position.segment,
            position.offset,
        )
        .map_err(OpenError::Io)?;
        let shared = Arc::new(Shared {
            storage,
            index,
            segments,
            pins: Pins::default(),
            recent: Recent::default(),
            steady: Steady::default(),
            early: Early::default(),
            clock,
            latest: AtomicI64::new(position.timestamp),
            next_id: AtomicU64::new(position.next_id),
            read_only: AtomicBool::new(false),
            taken_bytes: AtomicU64::new(0),
            settings,
            writers: Mutex::default(),
            work: Condvar::new(),
            applied: Mutex::new(Applied {
                position,
                live: replayed.live,
                log_bytes: 0,
            }),
            clockwork: Mutex::default(),
            due: Condvar::new(),
            blob_folders: (0..=u8::MAX).map(|_| AtomicBool::new(false)).collect(),
            _lock: lock,
        });
        blob::remove_orphans(&shared).map_err(replay::open_error)?;
        let committer = Committer {
            shared: Arc::clone(&shared),
            log,
            position,
            encoder: Encoder::new(store),
        };
        Self::start(shared, committer, settings).map_err(OpenError::Io)
    }

    fn start(shared: Arc<Shared>, committer: Committer, settings: Settings) -> io::Result<Self> {
        let mut engine = Self {
            shared,
            committer: None,
            checkpointer: None,
            early_syncer: None,
        };
        engine.committer = Some(
            thread::Builder::new()
                .name("depot-commit".to_owned())
                .spawn(move || committer.run())?,
        );
        if settings.checkpoints.every.is_some() {
            let shared = Arc::clone(&engine.shared);
            engine.checkpointer = Some(
                thread::Builder::new()
                    .name("depot-checkpoint".to_owned())
                    .spawn(move || checkpoint::run(&shared, settings.checkpoints))?,
            );
        }
        if settings.syncs_early {
            let shared = Arc::clone(&engine.shared);
            engine.early_syncer = Some(
                thread::Builder::new()
                    .name("depot-early-sync".to_owned())
                    .spawn(move || early::run(&shared))?,
            );
            engine.shared.early.serve();
        }
        Ok(engine)
    }

    /// What bodies and readers hold on to.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The durable value of a row.
    pub(crate) fn get(&self, table: Table, row: &[u8]) -> Result<Option<Vec<u8>>> {
        self.shared.durable(&table.key(row))
    }

    /// The first durable rows of a part of a table as of now, in key order or backwards, at least so many if there are so
    /// many; read as they are asked for.
    pub(crate) fn range(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        backwards: bool,
        limit: usize,
    ) -> Rows<'static> {
        let (from, to) = table.range(range);
        let rows = self.shared.index.range(from, to, backwards, limit);
        Box::new(rows.map(|row| row.map(|(key, value)| (overlay::strip(&key), value))))
    }

    /// The time by the store's clock, which never goes back.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// How it is now.
    pub(crate) fn facts(&self) -> Facts {
        let shared = &*self.shared;
        let (active, log_to_replay_bytes) = {
            let applied = shared.applied();
            (applied.position, applied.log_bytes)
        };
        let (log_segments, ended_bytes) = shared.segments.measure(active.segment);
        Facts {
            is_read_only: shared.check_writable().is_err(),
            free_bytes: shared.storage.free_bytes().ok().flatten(),
            log_segments,
            log_bytes: ended_bytes + active.offset,
            log_to_replay_bytes,
            taken_bytes: shared.taken_bytes.load(Ordering::Relaxed),
        }
    }

    /// Runs a transaction and returns once it is durable, and with it whatever it saw. With an error nothing happened,
    /// unless the error is [`Error::ReadOnly`]: then what the disk holds is known when the store is opened again.
    ///
    /// Transactions run one after the other on the threads of their callers. One that changes nothing does not touch
    /// the disk.
    pub(crate) fn transaction<T, E: From<Error>>(
        &self,
        run: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (outcome, commit) = self.submit(run);
        commit.wait()?;
        outcome
    }

    /// Runs a transaction. What it gives, an error too, counts only once the commit has ended well; with an error of the
    /// commit nothing happened, as above.
    pub(crate) fn submit<T, E: From<Error>>(
        &self,
        run: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> (Result<T, E>, Commit) {
        let shared = &*self.shared;
        let mut writers = shared.writers();
        let mut transaction = Transaction::new(shared, &writers.overlay, shared.now());
        let outcome = run(&mut transaction);
        let now = transaction.now();
        let (changes, saw_pending) = transaction.into_changes();

        let is_kept = outcome.is_ok() && !changes.is_empty();
        if !is_kept && !saw_pending {
            // Files of bodies that are dropped here are removed without keeping others waiting.
            drop(writers);
            drop(changes);
            return (outcome, Commit::NONE);
        }
        let waiter = Waiter::new();
        writers.tickets += 1;
        let mut pending = Pending {
            ticket: writers.tickets,
            changes: None,
            size_bytes: 0,
            next_id: shared.next_id.load(Ordering::Relaxed),
            now,
            waiter: Arc::clone(&waiter),
        };
        let mut dropped = None;
        if is_kept {
            let checked = shared
                .check_writable()
                .and_then(|()| commit::size_bytes(&changes))
                .and_then(|size_bytes| {
                    if changes.takes_room {
                        shared.check_room(size_bytes as u64)?;
                    }
                    Ok(size_bytes)
                });
            match checked {
                Ok(size_bytes) => pending.size_bytes = size_bytes,
                Err(error) => {
                    drop(writers);
                    return (Err(error.into()), Commit::NONE);
                }
            }
            for (key, value) in &changes.rows {
                let (key, value) = (key.clone(), value.clone());
                writers.overlay.add(pending.ticket, key, value);
            }
            pending.changes = Some(changes);
        } else {
            dropped = Some(changes);
        }
        writers.queue.push_back(pending);
        // While it is at work it looks by itself; to wake it with the lock held would only have it wait for that.
        let is_awaited = std::mem::take(&mut writers.committer_waits);
        drop(writers);
        if is_awaited {
            shared.work.notify_one();
        }
        drop(dropped);
        (outcome, Commit::of(waiter))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.writers().is_stopping = true;
        self.shared.work.notify_all();
        self.shared.clockwork().is_stopping = true;
        self.shared.due.notify_all();
        self.shared.early.stop();
        let threads = [
            self.committer.take(),
            self.checkpointer.take(),
            self.early_syncer.take(),
        ];
        for thread in threads {
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a thread of the store ended by a panic");
            }
        }
        checkpoint::checkpoint(&self.shared);
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        let now = (self.clock)().millis();
        Timestamp::from_millis(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    /// Bytes of a body came in.
    pub(crate) fn take_note_of_bytes(&self, count: usize) {
        self.taken_bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn new_body_id(&self) -> BodyId {
        BodyId::new(self.next_id())
    }

    fn writers(&self) -> MutexGuard<'_, Writers> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn applied(&self) -> MutexGuard<'_, Applied> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clockwork(&self) -> MutexGuard<'_, Clockwork> {
        self.clockwork
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn check_writable(&self) -> Result<()> {
        if self.read_only.load(Ordering::Acquire) {
            Err(Error::ReadOnly)
        } else {
            Ok(())
        }
    }

    /// Whether so many bytes of something new leave the room that must stay free.
    fn check_room(&self, size_bytes: u64) -> Result<()> {
        let reserve = self
            .settings
            .reserve_bytes
            .saturating_add(self.settings.finishing_bytes);
        if reserve == 0 {
            return Ok(());
        }
        match self.storage.free_bytes().map_err(Error::Io)? {
            Some(free) if free < reserve.saturating_add(size_bytes) => Err(Error::DiskFull),
            _ => Ok(()),
        }
    }

    /// From now on no write is taken.
    fn stop_writing(&self, why: &dyn std::fmt::Display) {
        if !self.read_only.swap(true, Ordering::AcqRel) {
            tracing::error!(error = %why, "the store takes no writes until it is opened again");
        }
    }

    fn sync_failed(&self, error: &io::Error) -> Error {
        self.stop_writing(error);
        Error::ReadOnly
    }

    /// Counts bytes of log, and makes or asks for a checkpoint if there are enough of them.
    fn checkpoint_if_due(&self, log_bytes: u64) {
        let mut applied = self.applied();
        applied.log_bytes += log_bytes;
        if applied.log_bytes < self.settings.checkpoints.log_bytes {
            return;
        }
        drop(applied);
        if self.settings.checkpoints.every.is_some() {
            self.clockwork().is_due = true;
            self.due.notify_one();
        } else {
            checkpoint::checkpoint(self);
        }
    }

    /// The durable value of a row.
    fn durable(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if Steady::holds(key) {
            self.steady.get(self.index.as_ref(), key)
        } else {
            self.index.get(key)
        }
    }

    /// Where a durable body is; none if it is gone.
    fn place(&self, id: BodyId) -> Result<Option<Place>> {
        match self.index.get(&Table::BODIES.key(&id.to_bytes()))? {
            Some(row) => Place::decode(&row).map(Some),
            None => Ok(None),
        }
    }

    /// The bytes of a small body that was written a moment ago and that nobody has read, if they are still at hand.
    pub(crate) fn at_hand(&self, id: BodyId) -> Option<Bytes> {
        self.recent.take(id)
    }

    /// Has every body read from the disk.
    #[cfg(test)]
    fn forget_recent(&self) {
        self.recent.clear();
    }

    /// The bytes of a body in the log, checked.
    pub(crate) fn read_from_log(&self, id: BodyId, place: Place) -> Result<Bytes> {
        let Place::Log {
            segment,
            offset,
            size_bytes,
            crc,
        } = place
        else {
            return Err(body::missing(id));
        };
        if size_bytes == 0 {
            return Ok(Bytes::new());
        }
        let damaged = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => blob::damaged(id),
            _ => Error::Io(error),
        };
        let file = self.segments.file(segment).map_err(damaged)?;
        let size = usize::try_from(size_bytes).expect("a body in the log is small");
        let mut bytes = vec![0; size];
        file.read_at(offset, &mut bytes).map_err(damaged)?;
        if crc64(&[&bytes]) == crc {
            Ok(bytes.into())
        } else {
            Err(blob::damaged(id))
        }
    }
}

/// What a failed write is answered with, if it left nothing behind.
fn write_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        kind => match error.raw_os_error() {
            Some(code) => Error::Io(io::Error::from_raw_os_error(code)),
            None => Error::Io(io::Error::from(kind)),
        },
    }
}
