//! What a session works on between two changes of its slot, and what was noted of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use two_buckets_objects::{ObjectRef, VersionRef};

use super::Pin;
use super::uploads::Uploads;

/// Pins and their notes. Each request has the one it came in under, to its end.
#[derive(Debug)]
pub(crate) struct Invocation {
    pins: Vec<Pin>,
    notes: Mutex<Vec<Notes>>,
}

/// What was noted of one pin.
#[derive(Default, Debug)]
struct Notes {
    was_copied: bool,
    was_deleted: bool,
    uploads: Uploads,
}

/// One of the pins of an invocation, and its notes.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    invocation: Arc<Invocation>,
    index: usize,
}

impl Invocation {
    pub(super) fn new(pins: Vec<Pin>) -> Self {
        let notes = Mutex::new(pins.iter().map(|_| Notes::default()).collect());
        Self { pins, notes }
    }

    pub(super) fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The pin that this is true of, the first if there are several.
    pub(super) fn find(self: &Arc<Self>, is_it: impl Fn(&Pin) -> bool) -> Option<Own> {
        let index = self.pins.iter().position(is_it)?;
        Some(Own {
            invocation: Arc::clone(self),
            index,
        })
    }

    pub(super) fn of_staged(self: &Arc<Self>, staged: &ObjectRef) -> Option<Own> {
        self.find(|pin| is_of(&pin.staged, staged))
    }
}

impl Own {
    pub(crate) fn pin(&self) -> &Pin {
        // Pins are never added or removed.
        &self.invocation.pins[self.index]
    }

    pub(crate) fn was_copied(&self) -> bool {
        self.notes(|notes| notes.was_copied)
    }

    pub(crate) fn was_deleted(&self) -> bool {
        self.notes(|notes| notes.was_deleted)
    }

    pub(crate) fn note_copied(&self) {
        self.notes(|notes| notes.was_copied = true);
    }

    pub(crate) fn note_deleted(&self) {
        self.notes(|notes| notes.was_deleted = true);
    }

    /// Does something with the uploads in parts that were begun of the archive key. Nothing in it may wait.
    pub(super) fn uploads<T>(&self, use_them: impl FnOnce(&mut Uploads) -> T) -> T {
        self.notes(|notes| use_them(&mut notes.uploads))
    }

    fn notes<T>(&self, use_them: impl FnOnce(&mut Notes) -> T) -> T {
        // A panic leaves no note half taken: each is one assignment or one call on a map.
        let mut notes: MutexGuard<'_, Vec<Notes>> = self
            .invocation
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        use_them(&mut notes[self.index])
    }
}

/// Whether a version is one of this key.
pub(super) fn is_of(version: &VersionRef, object: &ObjectRef) -> bool {
    version.bucket == object.bucket && version.key == object.key
}
