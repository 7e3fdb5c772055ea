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
        let entry = entries.by_place.get(from)?;
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

    /// Drops what is over, and the oldest where it is too much. All have the same grace and time does not go back, so
    /// the oldest are over first.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use two_buckets_objects::{ETag, Metadata, ObjectRef, Tags, Timestamp};

    use super::{BYTES_MAX, JustMoved};
    use crate::engine::BodyId;
    use crate::records::{Content, ObjectRecord, VersionRecord, VersionState};
    use crate::row_keys::Order;

    fn place(n: usize) -> ObjectRef {
        ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: format!("key {n}").parse().unwrap(),
        }
    }

    fn record(content_type: &str) -> VersionRecord {
        VersionRecord {
            is_null: false,
            last_modified: Timestamp::default(),
            state: VersionState::Object(Box::new(ObjectRecord {
                size_bytes: 0,
                etag: ETag::new("e"),
                checksum: None,
                crc64: None,
                metadata: Metadata {
                    content_type: Some(content_type.to_owned()),
                    ..Metadata::default()
                },
                tags: Tags::default(),
                content: Content::Body(BodyId::new(1)),
            })),
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_go_first() {
        let just_moved = JustMoved::new(Duration::from_secs(5));
        let large = record(&"x".repeat(64 << 10));
        let now = Timestamp::default();
        for n in 0..1000 {
            just_moved.keep(place(n), Order(n as u64), &large, now);
            assert!(just_moved.entries().bytes <= BYTES_MAX);
        }
        assert!(just_moved.find(&place(0), now).is_none());
        assert!(just_moved.find(&place(999), now).is_some());
        let later = now.after(Duration::from_secs(5));
        assert!(just_moved.find(&place(999), later).is_none());
        let entries = just_moved.entries();
        assert_eq!((entries.bytes, entries.by_age.len()), (0, 0));
    }

    #[test]
    fn of_one_place_only_what_was_moved_last_answers() {
        let just_moved = JustMoved::new(Duration::from_secs(5));
        let now = Timestamp::default();
        just_moved.keep(place(1), Order(1), &record("first"), now);
        just_moved.keep(place(1), Order(2), &record("second"), now);
        let (order, found) = just_moved.find(&place(1), now).unwrap();
        assert_eq!((order, found), (Order(2), record("second")));
        just_moved.forget(&place(1));
        assert!(just_moved.find(&place(1), now).is_none());
        assert_eq!(just_moved.entries().bytes, 0);
    }
}
