//! What a session works on between two changes of its slot, and what was noted of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use two_buckets_objects::ObjectRef;

use super::Pin;

/// Pins and their notes. Each request has the one it came in under, to its end.
#[derive(Debug)]
pub(crate) struct Invocation {
    pins: Vec<Pin>,
    notes: Mutex<Vec<Notes>>,
}

/// What was noted of one pin.
#[derive(Clone, Copy, Default, Debug)]
struct Notes {
    was_copied: bool,
    was_deleted: bool,
}

impl Invocation {
    pub(super) fn new(pins: Vec<Pin>) -> Self {
        let notes = Mutex::new(vec![Notes::default(); pins.len()]);
        Self { pins, notes }
    }

    pub(super) fn was_copied(&self, staged: &ObjectRef) -> bool {
        self.notes_of(staged).was_copied
    }

    pub(super) fn was_deleted(&self, staged: &ObjectRef) -> bool {
        self.notes_of(staged).was_deleted
    }

    fn notes_of(&self, staged: &ObjectRef) -> Notes {
        self.pins
            .iter()
            .position(|pin| pin.staged.object() == *staged)
            .and_then(|index| self.notes().get(index).copied())
            .unwrap_or_default()
    }

    fn notes(&self) -> MutexGuard<'_, Vec<Notes>> {
        // Single flags: a panic leaves none of them half set.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
