//! What sweeps have found since the workers were started.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use two_buckets_objects::Timestamp;
use two_buckets_pipeline::Swept;

/// Sweeps since the workers were started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SweepFigures {
    /// How many ended well.
    pub whole: u64,
    /// How many failed.
    pub failed: u64,
    /// The last one that ended well.
    pub last: Option<LastSweep>,
    /// What those that ended well have found, together.
    pub found: Swept,
}

/// A sweep that has ended well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastSweep {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, without the wait for one that was under way.
    pub took: Duration,
    /// How many versions and delete markers it saw in staging.
    pub listed: u64,
}

/// Cheap to clone; clones are the same. Sweeps are rare, so this is behind a lock.
#[derive(Clone, Default)]
pub(crate) struct Sweeps(Arc<Mutex<SweepFigures>>);

impl Sweeps {
    /// One has ended; none was found if it failed.
    pub(crate) fn ended(&self, swept: Option<&Swept>, began: Timestamp, at: Timestamp) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(swept) = swept else {
            figures.failed += 1;
            return;
        };
        figures.whole += 1;
        figures.last = Some(LastSweep {
            at,
            took: at.since(began),
            listed: swept.listed,
        });
        let found = &mut figures.found;
        found.listed += swept.listed;
        found.woken += swept.woken;
        found.finished += swept.finished;
        found.explained += swept.explained;
        found.markers_removed += swept.markers_removed;
        found.expired += swept.expired;
        found.passed_over += swept.passed_over;
    }

    pub(crate) fn figures(&self) -> SweepFigures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
