//! Versions that were moved away a moment ago and still answer in their old place.
//!
//! Some clients look at an object they have just put; here it may be archived by then. The entries are in memory only,
//! bounded, never in lists, and gone after a restart: a courtesy, not a promise.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use two_buckets_objects::{ObjectRef, Timestamp};

use crate::records::VersionRecord;
use crate::row_keys::Order;

/// The most bytes of rows kept; beyond it the oldest go early.
const BYTES_MAX: usize = 32 << 20;
/// What an entry takes beside its row's bytes, about.
const ENTRY_BYTES: usize = 256;

/// The versions that still answer, by the place they were moved from; of a key only the one moved last.
pub(crate) struct JustMoved {
    grace: Duration,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_place: HashMap<ObjectRef, Entry>,
    /// Places in the order they were moved from; an entry may have been replaced or dropped since.
    by_age: VecDeque<(ObjectRef, u64)>,
    next_serial: u64,
    bytes: usize,
}

struct Entry {
    serial: u64,
    until: Timestamp,
    order: Order,
    row: Vec<u8>,
}

impl JustMoved {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            grace,
            entries: Mutex::default(),
        }
    }

    /// Keeps a version for the grace. It is called before the move is durable: until then the version's own row is
    /// there and found first.
    pub(crate) fn keep(
        &self,
        from: ObjectRef,
        order: Order,
        record: &VersionRecord,
        now: Timestamp,
    ) {
        if self.grace.is_zero() {
            return;
        }
        let row = record.encode();
        let mut entries = self.entries();
        entries.drop_at(&from);
        let serial = entries.next_serial;
        entries.next_serial += 1;
        entries.bytes += row.len() + from.key.as_str().len() + ENTRY_BYTES;
        entries.by_age.push_back((from.clone(), serial));
        entries.by_place.insert(
            from,
            Entry {
                serial,
                until: now.after(self.grace),
                order,
                row,
            },
        );
        entries.trim(now);
    }

    /// The version moved from here last, if the grace is not over.
    pub(crate) fn find(&self, from: &ObjectRef, now: Timestamp) -> Option<(Order, VersionRecord)> {
        if self.grace.is_zero() {
            return None;
        }
        let mut entries = self.entries();
        entries.trim(now);
        let entry = entries
            .by_place
            .get(from)
            .filter(|entry| now < entry.until)?;
        let record = VersionRecord::decode(&entry.row).expect("the row was encoded in memory");
        Some((entry.order, record))
    }

    /// Forgets what was moved from here.
    pub(crate) fn forget(&self, from: &ObjectRef) {
        self.entries().drop_at(from);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every change is complete before the guard goes, so a panic elsewhere leaves the entries whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn drop_at(&mut self, from: &ObjectRef) {
        if let Some(entry) = self.by_place.remove(from) {
            self.bytes -= entry.row.len() + from.key.as_str().len() + ENTRY_BYTES;
        }
    }

    fn trim(&mut self, now: Timestamp) {
        while let Some((place, serial)) = self.by_age.front() {
            let entry = self
                .by_place
                .get(place)
                .filter(|entry| entry.serial == *serial);
            if entry.is_some_and(|entry| now < entry.until) && self.bytes <= BYTES_MAX {
                return;
            }
            let is_there = entry.is_some();
            let (place, _) = self.by_age.pop_front().expect("there is a front");
            if is_there {
                self.drop_at(&place);
            }
        }
    }
}
