//! Durations, counted in fixed buckets: what a monitoring system makes percentiles of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in milliseconds: from the shortest a row of the ledger can tell to more than a
/// weekend. A longer duration is in none but the last, which has no bound.
const BOUNDS_MS: [u64; BUCKETS - 1] = [
    1,
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    30_000,
    60_000,
    5 * 60_000,
    15 * 60_000,
    60 * 60_000,
    4 * 60 * 60_000,
    24 * 60 * 60_000,
    72 * 60 * 60_000,
];
const BUCKETS: usize = 21;

/// Counts durations, without a lock. The store's time goes by milliseconds, and so does this.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ms: AtomicU64,
}

/// How long something took, each time since the counting began.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Durations {
    /// How many took at most so long, and longer than the bound before; ascending, the last without a bound.
    pub buckets: Vec<(Option<Duration>, u64)>,
    /// All of them together.
    pub sum: Duration,
}

impl Durations {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MS.partition_point(|bound| *bound < took_ms);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ms.fetch_add(took_ms, Ordering::Relaxed);
    }

    /// What was observed. Others may observe meanwhile, so the sum may be of a few more than are counted.
    pub(crate) fn durations(&self) -> Durations {
        let bounds = BOUNDS_MS.map(|bound| Some(Duration::from_millis(bound)));
        let counts = self.buckets.iter().map(|it| it.load(Ordering::Relaxed));
        Durations {
            buckets: bounds.into_iter().chain([None]).zip(counts).collect(),
            sum: Duration::from_millis(self.sum_ms.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_it_fits_into() {
        assert!(BOUNDS_MS.is_sorted());
        for (took_ms, bound_ms) in [
            (0, Some(1)),
            (1, Some(1)),
            (2, Some(5)),
            (60_000, Some(60_000)),
            (60_001, Some(300_000)),
            (72 * 3_600_000, Some(72 * 3_600_000)),
            (72 * 3_600_000 + 1, None),
        ] {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_millis(took_ms));
            let found = histogram.durations();
            let hit = found.buckets.iter().find(|(_, count)| *count == 1);
            assert_eq!(
                hit.map(|(bound, _)| *bound),
                Some(bound_ms.map(Duration::from_millis)),
                "{took_ms}"
            );
            assert_eq!((found.count(), found.sum.as_millis()), (1, took_ms.into()));
        }
    }
}
