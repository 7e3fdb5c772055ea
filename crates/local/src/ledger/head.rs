//! Where an index that is used as a queue begins.
//!
//! What is taken out of the front of such an index leaves marks of its deletion there until the engine merges them away, and
//! a look for the first row passes all of them: some ten thousand after a burst. So what is known to be empty is remembered.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A key that no row lies before.
#[derive(Default)]
pub(super) struct Head(Mutex<State>);

#[derive(Default)]
struct State {
    from: From,
    looks: usize,
    /// The least key that was added while somebody looks.
    added: Option<Vec<u8>>,
}

/// The least key that a row can have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum From {
    Key(Vec<u8>),
    /// There is none.
    Nowhere,
}

impl Default for From {
    fn default() -> Self {
        Self::Key(Vec::new())
    }
}

/// A look for the first row.
pub(super) struct Look<'a> {
    head: &'a Head,
    from: From,
}

impl Head {
    /// Rows with this key were added. Called when they are durable, and before whoever added them is answered.
    pub(super) fn added(&self, key: &[u8]) {
        let mut state = self.state();
        if matches!(&state.from, From::Key(from) if from.as_slice() <= key) && state.looks == 0 {
            return;
        }
        let added = From::Key(key.to_vec());
        if added < state.from {
            state.from = added;
        }
        if state.looks > 0 && state.added.as_deref().is_none_or(|least| key < least) {
            state.added = Some(key.to_vec());
        }
    }

    /// Begins a look for the first row: before the rows are read.
    pub(super) fn look(&self) -> Look<'_> {
        let mut state = self.state();
        if state.looks == 0 {
            state.added = None;
        }
        state.looks += 1;
        Look {
            head: self,
            from: state.from.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look<'_> {
    /// The key to look from; none if there is no row.
    pub(super) fn from(&self) -> Option<&[u8]> {
        match &self.from {
            From::Key(key) => Some(key),
            From::Nowhere => None,
        }
    }

    /// Ends it with the first key that was found, if there was any.
    pub(super) fn found(self, first: Option<&[u8]>) {
        let mut state = self.head.state();
        let mut from = first.map_or(From::Nowhere, |key| From::Key(key.to_vec()));
        // What came meanwhile may not have been seen.
        if let Some(added) = state.added.clone() {
            from = from.min(From::Key(added));
        }
        if from > state.from {
            state.from = from;
        }
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.head.state().looks -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(head: &Head) -> Option<Vec<u8>> {
        head.look().from().map(<[u8]>::to_vec)
    }

    #[test]
    fn what_was_found_empty_is_not_looked_through_again() {
        let head = Head::default();
        assert_eq!(from(&head), Some(b"".to_vec()));
        head.look().found(Some(b"m"));
        assert_eq!(from(&head), Some(b"m".to_vec()));
        head.look().found(None);
        assert_eq!(from(&head), None);
    }

    #[test]
    fn a_row_that_is_added_before_it_is_found() {
        let head = Head::default();
        head.look().found(Some(b"m"));
        head.added(b"z");
        assert_eq!(from(&head), Some(b"m".to_vec()));
        head.added(b"c");
        assert_eq!(from(&head), Some(b"c".to_vec()));
        head.look().found(None);
        head.added(b"q");
        assert_eq!(from(&head), Some(b"q".to_vec()));
    }

    #[test]
    fn a_row_that_is_added_during_a_look_is_found_by_the_next() {
        let head = Head::default();
        let look = head.look();
        // In the order of keys behind where it was looked from, and before what it finds.
        head.added(b"c");
        look.found(Some(b"m"));
        assert_eq!(from(&head), Some(b"c".to_vec()));
        let (one, other) = (head.look(), head.look());
        head.added(b"d");
        one.found(Some(b"x"));
        assert_eq!(from(&head), Some(b"d".to_vec()));
        other.found(None);
        assert_eq!(from(&head), Some(b"d".to_vec()));
    }

    #[test]
    fn a_look_that_is_given_up_changes_nothing() {
        let head = Head::default();
        drop(head.look());
        assert_eq!(from(&head), Some(b"".to_vec()));
        head.look().found(Some(b"m"));
        assert_eq!(from(&head), Some(b"m".to_vec()));
    }
}
