//! Syncing large files while they come, so that the disk is not idle until their last byte is there, and their last sync has
//! little left to do.
//!
//! A system tells of a failed write-back once for each open file, and so perhaps to an early sync instead of the last: then
//! the store takes no writes any more, as after any failed sync.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::storage::File;

/// How much is written between two early syncs of a file.
const EVERY_BYTES: u64 = 8 << 20;

/// The files that are to be synced early.
#[derive(Default)]
pub(super) struct Early {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Whether there is somebody who syncs them.
    is_served: bool,
    is_stopping: bool,
    waiting: VecDeque<Arc<dyn File>>,
    /// What is being synced.
    syncing: Option<Arc<dyn File>>,
}

/// A file that is being written. Dropping it ends its early syncs.
pub(super) struct Growing {
    shared: Arc<Shared>,
    file: Arc<dyn File>,
    unsynced_bytes: u64,
}

impl Growing {
    pub(super) fn new(shared: &Arc<Shared>, file: &Arc<dyn File>) -> Self {
        Self {
            shared: Arc::clone(shared),
            file: Arc::clone(file),
            unsynced_bytes: 0,
        }
    }

    /// So many bytes more were written.
    pub(super) fn grew(&mut self, bytes: u64) {
        self.unsynced_bytes += bytes;
        if self.unsynced_bytes >= EVERY_BYTES && self.shared.early.offer(&self.file) {
            self.unsynced_bytes = 0;
        }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.shared.early.withdraw(&self.file);
    }
}

impl Early {
    /// Hands a file in, unless it has not had its turn yet, or nobody takes any.
    fn offer(&self, file: &Arc<dyn File>) -> bool {
        let mut queue = self.queue();
        if !queue.is_served || queue.has(file) {
            return false;
        }
        queue.waiting.push_back(Arc::clone(file));
        drop(queue);
        self.changed.notify_all();
        true
    }

    /// Takes a file back; waits for its sync if that is under way.
    fn withdraw(&self, file: &Arc<dyn File>) {
        let mut queue = self.queue();
        queue.waiting.retain(|waiting| !Arc::ptr_eq(waiting, file));
        while queue
            .syncing
            .as_ref()
            .is_some_and(|syncing| Arc::ptr_eq(syncing, file))
        {
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets whoever syncs come to an end.
    pub(super) fn stop(&self) {
        self.queue().is_stopping = true;
        self.changed.notify_all();
    }

    /// From now on files are taken.
    pub(super) fn serve(&self) {
        self.queue().is_served = true;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Whole between any two statements that could panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn has(&self, file: &Arc<dyn File>) -> bool {
        let mut all = self.waiting.iter().chain(&self.syncing);
        all.any(|known| Arc::ptr_eq(known, file))
    }
}

/// Syncs files early until it is stopped.
pub(super) fn run(shared: &Arc<Shared>) {
    let early = &shared.early;
    let mut queue = early.queue();
    while !queue.is_stopping {
        let Some(file) = queue.waiting.pop_front() else {
            queue = early
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        queue.syncing = Some(Arc::clone(&file));
        drop(queue);
        if let Err(error) = file.sync() {
            shared.stop_writing(&error);
        }
        queue = early.queue();
        queue.syncing = None;
        early.changed.notify_all();
    }
    queue.is_served = false;
    queue.waiting.clear();
}
