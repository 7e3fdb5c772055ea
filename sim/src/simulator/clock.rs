//! Virtual time: the runtime's clock is stopped and goes on to the next moment anybody waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::time::Instant;
use two_buckets_objects::Timestamp;

/// Where virtual time begins: in September 2026.
const BEGINNING_MILLIS: i64 = 1_790_000_000_000;

/// The simulation's clocks: one that only goes on, and one of wall time that may jump.
pub(super) struct VirtualClock {
    began: Instant,
    jumped_millis: AtomicI64,
    thread: ThreadId,
}

impl VirtualClock {
    /// Begins now, on the thread of the simulation and in its runtime.
    pub(super) fn begin() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            jumped_millis: AtomicI64::new(0),
            thread: thread::current().id(),
        })
    }

    /// How long the simulation runs, by virtual time.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Wall time.
    pub(super) fn wall(&self) -> Timestamp {
        assert_eq!(
            thread::current().id(),
            self.thread,
            "time is read on another thread, where it would be the real one"
        );
        let elapsed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(
            BEGINNING_MILLIS + elapsed + self.jumped_millis.load(Ordering::Relaxed),
        )
    }

    /// Sets wall time to so much later or earlier than it would be.
    pub(super) fn jump_to(&self, millis: i64) {
        self.jumped_millis.store(millis, Ordering::Relaxed);
    }
}
