//! Checkpoints: the index is made durable, and log segments that nobody needs any more are removed.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Shared;

/// When a checkpoint is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// After so many bytes of log, which bounds what has to be replayed at a start.
    pub(crate) log_bytes: u64,
    /// After so long on a thread of its own, so that commits do not wait. With none the commit thread makes them, so
    /// that they happen in the same place each time.
    pub(crate) every: Option<Duration>,
}

/// Makes a checkpoint. A failure is reported and tried again with the next one: the log has everything.
pub(super) fn checkpoint(shared: &Shared) {
    let empty: Vec<u64> = {
        let mut applied = shared.applied();
        applied.log_bytes = 0;
        // As of now, and so of the index at the latest when it is durable: no row made durable names these.
        shared
            .segments
            .before(applied.position.segment)
            .into_iter()
            .filter(|segment| applied.live.of(*segment) == 0)
            .collect()
    };
    if let Err(error) = shared.index.checkpoint() {
        tracing::warn!(%error, "the index could not be synced; the log keeps what it misses");
        return;
    }
    if shared.check_writable().is_err() {
        // What the memory says of live bodies may be ahead of what the index has.
        return;
    }
    for segment in empty {
        if shared.pins.hold_segment(segment) {
            continue;
        }
        if let Err(error) = shared.segments.remove(segment) {
            tracing::warn!(segment, %error, "a log segment that is empty could not be removed");
        }
    }
}

/// Makes checkpoints when they are due until the engine is dropped.
pub(super) fn run(shared: &Arc<Shared>, schedule: Schedule) {
    let Some(every) = schedule.every else {
        return;
    };
    let mut clock = shared.clockwork();
    loop {
        if clock.is_stopping {
            return;
        }
        if !clock.is_due {
            clock = shared
                .due
                .wait_timeout(clock, every)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if clock.is_stopping {
            return;
        }
        clock.is_due = false;
        drop(clock);
        if shared.applied().log_bytes > 0 {
            checkpoint(shared);
        }
        clock = shared.clockwork();
    }
}
