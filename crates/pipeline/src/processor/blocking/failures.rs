use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ProcessError;

/// The first failed read or write of some work, which is what the work fails with.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(Arc<Mutex<Option<ProcessError>>>);

impl Failures {
    /// Keeps it if it is the first.
    pub(super) fn note(&self, failure: &ProcessError) {
        self.lock().get_or_insert_with(|| failure.clone());
    }

    /// What went wrong first, if anything did.
    pub(super) fn first(&self) -> Option<ProcessError> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ProcessError>> {
        // It is set at once, so a panic elsewhere leaves a whole value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The failure as a library hears it, to be a [`ProcessError`] again by `?`. Never of the kind `Interrupted`, which
/// would be tried again without end.
pub(super) fn as_io(failure: ProcessError) -> io::Error {
    io::Error::other(failure)
}

/// Why reads and writes fail once nobody waits any more.
pub(super) fn not_wanted() -> ProcessError {
    ProcessError::Transient("the run was cancelled".into())
}
