//! The disk of one run of the server: depot's own in memory, with faults that are over when the disk is calm.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use two_buckets_depot::storage::memory::{Fault, Operation};
use two_buckets_depot::storage::{File, MemoryStorage, Storage};

use super::bug::Bug;
use super::chance::Chance;

/// A disk as one process sees it. Clones are the same disk; the next process gets another.
#[derive(Clone)]
pub(super) struct Disk {
    memory: MemoryStorage,
    shared: Arc<Shared>,
}

struct Shared {
    bug: Option<Bug>,
    /// A bit of the next body that is read is flipped.
    flips: AtomicBool,
    flipped: AtomicU64,
    has_failed_sync: AtomicBool,
    /// With [`Bug::AcknowledgedBeforeSync`]: what is still to be synced.
    owed: Mutex<Vec<Arc<dyn File>>>,
    chance: Mutex<Chance>,
}

impl Disk {
    /// This process's view of these bytes.
    pub(super) fn new(memory: MemoryStorage, bug: Option<Bug>, chance: Chance) -> Self {
        Self {
            memory,
            shared: Arc::new(Shared {
                bug,
                flips: AtomicBool::new(false),
                flipped: AtomicU64::new(0),
                has_failed_sync: AtomicBool::new(false),
                owed: Mutex::default(),
                chance: Mutex::new(chance),
            }),
        }
    }

    /// The machine stops at the operation so many from now.
    pub(super) fn crash_in(&self, operations: u64) {
        let at = self.memory.operations() + operations;
        self.memory.fault_at(at, Fault::Crash);
    }

    /// The operation so many from now fails.
    pub(super) fn fail_in(&self, operations: u64) {
        let at = self.memory.operations() + operations;
        self.memory.fault_at(at, Fault::Fail(io::ErrorKind::Other));
    }

    /// From now on, or no more, each sync fails.
    pub(super) fn fail_syncs(&self, is_on: bool) {
        let error = is_on.then_some(io::ErrorKind::Other);
        self.memory.break_all(Operation::Sync, error);
    }

    pub(super) fn set_free_bytes(&self, free_bytes: Option<u64>) {
        self.memory.set_free_bytes(free_bytes);
    }

    /// From now on, or no more, large bodies cannot be read.
    pub(super) fn fail_reads(&self, is_on: bool) {
        self.memory.fail_reads(is_on.then_some("blobs"));
    }

    /// Flips a bit in the next bytes of a body that are read; or not, if they were not read yet.
    pub(super) fn flip(&self, is_on: bool) {
        self.shared.flips.store(is_on, Ordering::Relaxed);
    }

    /// How many bits were flipped.
    pub(super) fn flipped(&self) -> u64 {
        self.shared.flipped.load(Ordering::Relaxed)
    }

    pub(super) fn operations(&self) -> u64 {
        self.memory.operations()
    }

    /// Whether the machine has stopped.
    pub(super) fn has_crashed(&self) -> bool {
        self.memory.free_bytes().is_err()
    }

    /// Whether a sync has failed, so that the store takes no more writes.
    pub(super) fn has_failed_sync(&self) -> bool {
        self.shared.has_failed_sync.load(Ordering::Relaxed)
    }

    /// What is there after the machine has stopped now.
    pub(super) fn after_crash(&self, seed: u64) -> MemoryStorage {
        self.memory.crash();
        self.memory.after_crash(seed)
    }

    /// What is there after the process has ended now.
    pub(super) fn after_kill(&self) -> MemoryStorage {
        self.pay();
        self.memory.after_kill()
    }

    /// Syncs what was said to be synced.
    fn pay(&self) {
        let owed = std::mem::take(&mut *self.owed());
        for file in owed {
            // Nobody is left to be told.
            drop(file.sync());
        }
    }

    fn owed(&self) -> std::sync::MutexGuard<'_, Vec<Arc<dyn File>>> {
        self.shared
            .owed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, inner: Arc<dyn File>, path: &str) -> Arc<dyn File> {
        Arc::new(DiskFile {
            disk: self.clone(),
            inner,
            // The log is read when the store is opened, and what is lost there is found and not mended.
            may_flip: path.starts_with("blobs"),
        })
    }
}

impl Storage for Disk {
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.memory.lock()
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.memory.create(path)?, path))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.memory.open(path)?, path))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.memory.remove(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.memory.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.memory.create_dir(dir)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.memory.free_bytes()
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let synced = self.memory.sync_dir(dir);
        if synced.is_err() {
            self.shared.has_failed_sync.store(true, Ordering::Relaxed);
        }
        synced
    }
}

struct DiskFile {
    disk: Disk,
    inner: Arc<dyn File>,
    may_flip: bool,
}

impl File for DiskFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.pay();
        self.inner.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buffer)?;
        let shared = &self.disk.shared;
        if self.may_flip && !buffer.is_empty() && shared.flips.swap(false, Ordering::Relaxed) {
            let mut chance = shared.chance.lock().unwrap_or_else(PoisonError::into_inner);
            let at = chance.below(buffer.len() as u64);
            let at = usize::try_from(at).unwrap_or(0);
            if let Some(byte) = buffer.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
            shared.flipped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.inner.size_bytes()
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.disk.pay();
        self.inner.truncate(size_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        match self.disk.shared.bug {
            Some(Bug::SyncDoesNothing) => return Ok(()),
            Some(Bug::AcknowledgedBeforeSync) => {
                self.disk.owed().push(Arc::clone(&self.inner));
                return Ok(());
            }
            _ => {}
        }
        let synced = self.inner.sync();
        if synced.is_err() {
            self.disk
                .shared
                .has_failed_sync
                .store(true, Ordering::Relaxed);
        }
        synced
    }
}
