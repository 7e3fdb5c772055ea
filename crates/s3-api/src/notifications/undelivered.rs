//! How many events wait for a target, as far as that was told.

use std::sync::atomic::{AtomicI64, Ordering};

/// A count in memory. It is told of events once they are durable, and by then one may have been read, accepted and
/// forgotten by another thread: so it may be below zero for a moment, and what is said of it then is zero.
#[derive(Default)]
pub(super) struct Undelivered(AtomicI64);

impl Undelivered {
    pub(super) fn set(&self, count: u64) {
        self.0.store(signed(count), Ordering::Relaxed);
    }

    pub(super) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn forgotten(&self, count: u64) {
        self.0.fetch_sub(signed(count), Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Undelivered;

    #[test]
    fn what_is_forgotten_before_it_was_counted_does_not_fill_the_target() {
        let undelivered = Undelivered::default();
        undelivered.forgotten(1);
        assert_eq!(undelivered.count(), 0);
        undelivered.one_more();
        assert_eq!(undelivered.count(), 0);
        undelivered.one_more();
        assert_eq!(undelivered.count(), 1);
    }
}
