//! Group commit: one thread makes durable whatever waits, by one write and one sync.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;

use two_buckets_objects::Timestamp;

use super::body::{BodyId, Place};
use super::log::{Failure, Log};
use super::record::{
    self, BODY_OVERHEAD_BYTES, Encoder, Head, PAYLOAD_BYTES_MAX, ROW_OVERHEAD_BYTES,
};
use super::stage::{Position, Stage};
use super::steady::Steady;
use super::transaction::Changes;
use super::waiter::Waiter;
use super::{Shared, Table, blob};
use crate::bodies::Content;
use crate::{Error, Result};

/// The most bytes of transactions one group takes; the rest goes with the next. It bounds the memory of a group and the
/// time its first transaction waits for its last.
pub(super) const GROUP_BYTES_MAX: usize = 8 << 20;
/// The longest key of a row; the index takes no longer ones.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// A transaction that waits to become durable.
pub(super) struct Pending {
    pub(super) ticket: u64,
    /// None for one that changed nothing and only waits for those before it.
    pub(super) changes: Option<Changes>,
    pub(super) size_bytes: usize,
    pub(super) next_id: u64,
    pub(super) now: Timestamp,
    pub(super) waiter: Arc<Waiter>,
}

/// Nobody may wait for ever for a transaction that a panic of the commit thread took down; what became of it is known at
/// the next open.
impl Drop for Pending {
    fn drop(&mut self) {
        if !self.waiter.has_ended() {
            for (_, body) in self
                .changes
                .iter_mut()
                .flat_map(|changes| &mut changes.added)
            {
                body.keep();
            }
            self.waiter.wake(Err(Refusal::ReadOnly));
        }
    }
}

/// How many payload bytes these changes take; an error if that is more than a transaction may.
pub(super) fn size_bytes(changes: &Changes) -> Result<usize> {
    let mut size = changes.freed.len() * 9;
    for (key, value) in &changes.rows {
        if key.len() > KEY_BYTES_MAX {
            return Err(Error::InvalidArgument(format!(
                "a row's key has {} bytes, more than the most of {KEY_BYTES_MAX}",
                key.len()
            )));
        }
        size += ROW_OVERHEAD_BYTES + key.len() + value.as_ref().map_or(0, bytes::Bytes::len);
    }
    for (_, body) in &changes.added {
        size += BODY_OVERHEAD_BYTES;
        if let Content::Small(bytes) = body.content() {
            size += bytes.len();
        }
    }
    if size > PAYLOAD_BYTES_MAX {
        return Err(Error::InvalidArgument(format!(
            "a transaction has {size} bytes, more than the most of {PAYLOAD_BYTES_MAX}"
        )));
    }
    Ok(size)
}

/// Why a transaction failed, for each of a group.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    Io(io::ErrorKind),
    ReadOnly,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Io(kind) => super::write_error(&io::Error::from(kind)),
            Refusal::ReadOnly => Self::ReadOnly,
        }
    }
}

/// The commit thread's own state.
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    pub(super) position: Position,
    pub(super) encoder: Encoder,
}

/// Fails whoever waits if the commit thread ends by a panic, so that nobody waits for ever.
struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop_writing(&"the commit thread ended by a panic");
            fail_waiting(&self.0, Refusal::ReadOnly);
        }
    }
}

impl Committer {
    /// Commits groups until the engine is dropped and nothing waits.
    pub(super) fn run(mut self) {
        let _watch = Watch(Arc::clone(&self.shared));
        while let Some(group) = self.gather() {
            self.group(group);
        }
        if self.shared.check_writable().is_ok() {
            self.log.close();
        }
    }

    /// Waits for transactions and takes those that go together; none once the engine is dropped and nothing waits.
    fn gather(&self) -> Option<Vec<Pending>> {
        let mut writers = self.shared.writers();
        while writers.queue.is_empty() {
            if writers.is_stopping {
                return None;
            }
            writers.committer_waits = true;
            writers = self
                .shared
                .work
                .wait(writers)
                .unwrap_or_else(PoisonError::into_inner);
        }
        writers.committer_waits = false;
        let mut group = Vec::with_capacity(writers.queue.len());
        let mut size = 0;
        while let Some(next) = writers.queue.front() {
            size += next.size_bytes;
            if !group.is_empty() && size > GROUP_BYTES_MAX {
                break;
            }
            group.extend(writers.queue.pop_front());
        }
        Some(group)
    }

    fn group(&mut self, mut group: Vec<Pending>) {
        let outcome = self.commit(&mut group);
        if let Err(refusal) = outcome {
            if matches!(refusal, Refusal::ReadOnly) {
                // Whether these are in the log is known at the next open; until then their files must stay.
                for body in bodies(&mut group) {
                    body.keep();
                }
            }
            // Everyone behind has seen the changes that failed, so nobody behind can be let through.
            let mut writers = self.shared.writers();
            writers.overlay.clear();
            group.extend(writers.queue.drain(..));
            drop(writers);
        }
        for pending in &group {
            pending.waiter.wake(outcome);
        }
    }

    fn commit(&mut self, group: &mut [Pending]) -> Result<(), Refusal> {
        if group.iter().all(|pending| pending.changes.is_none()) {
            return Ok(());
        }
        if self.shared.read_only.load(Ordering::Acquire) {
            return Err(Refusal::ReadOnly);
        }
        let before = self.position;
        let (mut position, placed) = self.encode(group);
        let (segment, offset) = match self.log.append(self.encoder.bytes(), before.sequence + 1) {
            Ok(at) => at,
            Err(Failure::Nothing(error)) => {
                tracing::warn!(%error, "a group of transactions could not be written");
                self.encoder.clear();
                return Err(Refusal::Io(error.kind()));
            }
            Err(Failure::Unknown(error)) => {
                self.shared.stop_writing(&error);
                return Err(Refusal::ReadOnly);
            }
        };
        position.segment = segment;
        position.offset = offset + self.encoder.bytes().len() as u64;
        let log_bytes = self.encoder.bytes().len() as u64;
        self.encoder.clear();
        self.position = position;
        for body in bodies(group) {
            body.keep();
        }
        self.shared.recent.add(small_bodies(group));
        match self.apply(group, placed, (segment, offset)) {
            Ok(freed_blobs) => {
                self.settle(group);
                for id in freed_blobs {
                    if self.shared.pins.free(id) {
                        blob::remove(&self.shared, id);
                    }
                }
                self.shared.checkpoint_if_due(log_bytes);
                Ok(())
            }
            Err(error) => {
                // Durable, but not to be seen before the log is replayed.
                self.shared.stop_writing(&error);
                Err(Refusal::ReadOnly)
            }
        }
    }

    /// Writes the group's records. The places of bodies in the log are counted from the beginning of the write.
    fn encode(&mut self, group: &[Pending]) -> (Position, Vec<(BodyId, Place)>) {
        let mut position = self.position;
        let first = position.sequence + 1;
        let mut placed = Vec::new();
        for pending in group {
            let Some(changes) = &pending.changes else {
                continue;
            };
            self.encoder.begin();
            for (key, value) in &changes.rows {
                if !Table::BODIES.holds(key) {
                    self.encoder.row(key, value.as_ref());
                }
            }
            for (id, body) in &changes.added {
                let place = match body.content() {
                    Content::Small(bytes) => {
                        let crc = record::crc64_value(body.crc64());
                        Place::Log {
                            segment: 0,
                            offset: self.encoder.body(*id, crc, bytes) as u64,
                            size_bytes: u32::try_from(bytes.len())
                                .expect("a small body is far below 4 GiB"),
                            crc,
                        }
                    }
                    Content::Blob(_) => {
                        self.encoder.blob(*id, body.size_bytes());
                        Place::Blob {
                            size_bytes: body.size_bytes(),
                        }
                    }
                };
                placed.push((*id, place));
            }
            for (id, _) in &changes.freed {
                self.encoder.free(*id);
            }
            position.sequence += 1;
            position.next_id = pending.next_id;
            position.timestamp = pending.now.millis();
            self.encoder.end(Head {
                sequence: position.sequence,
                group: first,
                next_id: position.next_id,
                timestamp: position.timestamp,
            });
        }
        (position, placed)
    }

    /// Brings the group into the index. Says which bodies' files are free then.
    fn apply(
        &self,
        group: &[Pending],
        placed: Vec<(BodyId, Place)>,
        (segment, base): (u64, u64),
    ) -> Result<Vec<BodyId>> {
        let index = self.shared.index.as_ref();
        let mut stage = Stage::default();
        for (id, place) in placed {
            stage.add(id, place.moved(segment, base));
        }
        for changes in group.iter().filter_map(|pending| pending.changes.as_ref()) {
            for (key, value) in &changes.rows {
                if !Table::BODIES.holds(key) {
                    stage.row(key.clone(), value.clone());
                }
            }
            for (id, place) in &changes.freed {
                stage.free(*id, *place, index)?;
            }
        }
        let mut applied = self.shared.applied();
        let batch = stage.finish(self.position, &mut applied.live);
        let is_steady = batch.keys().any(|key| Steady::holds(key));
        let changing = is_steady.then(|| self.shared.steady.changing());
        index.apply(&batch)?;
        drop(changing);
        applied.position = self.position;
        drop(applied);
        Ok(stage.freed_blobs)
    }

    /// The overlay's part is done for what the index shows now.
    fn settle(&self, group: &[Pending]) {
        let mut writers = self.shared.writers();
        for pending in group {
            if let Some(changes) = &pending.changes {
                let keys = changes.rows.iter().map(|(key, _)| key);
                writers.overlay.settle(pending.ticket, keys);
            }
        }
    }
}

fn bodies(group: &mut [Pending]) -> impl Iterator<Item = &mut crate::Body> {
    group
        .iter_mut()
        .filter_map(|pending| pending.changes.as_mut())
        .flat_map(|changes| changes.added.iter_mut().map(|(_, body)| body))
}

fn small_bodies(group: &[Pending]) -> impl Iterator<Item = (BodyId, &bytes::Bytes)> {
    group
        .iter()
        .filter_map(|pending| pending.changes.as_ref())
        .flat_map(|changes| &changes.added)
        .filter_map(|(id, body)| match body.content() {
            Content::Small(bytes) => Some((*id, bytes)),
            Content::Blob(_) => None,
        })
}

/// Ends all that wait with the same refusal.
fn fail_waiting(shared: &Shared, refusal: Refusal) {
    let mut writers = shared.writers();
    writers.overlay.clear();
    let waiting = std::mem::take(&mut writers.queue);
    drop(writers);
    for pending in waiting {
        pending.waiter.wake(Err(refusal));
    }
}
