//! How long to wait before a repeat: exponential with full jitter, so that many that failed together do not come back
//! together (AWS Architecture Blog, "Exponential Backoff And Jitter"). The random number is the caller's.

use std::time::Duration;

/// The bound of the first wait of a function's repeat.
pub const ATTEMPT_WAIT_FIRST: Duration = Duration::from_secs(1);
/// The bound no wait of a function's repeat passes.
pub const ATTEMPT_WAIT_MAX: Duration = Duration::from_mins(15);
/// The bound of the first wait before a store is asked again within one claim.
pub const STORE_WAIT_FIRST: Duration = Duration::from_millis(20);
/// The bound no wait for a store within one claim passes; well below a lease's life.
pub const STORE_WAIT_MAX: Duration = Duration::from_secs(2);

const _: () = assert!(ATTEMPT_WAIT_FIRST.as_millis() <= ATTEMPT_WAIT_MAX.as_millis());
const _: () = assert!(STORE_WAIT_FIRST.as_millis() <= STORE_WAIT_MAX.as_millis());

/// The wait after so many failures in a row (1 for the first): evenly spread between a millisecond and
/// `first` doubled for each failure after the first, at most `max`.
pub fn full_jitter(failures: u32, first: Duration, max: Duration, random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let bound = first.saturating_mul(1_u32 << doublings).min(max);
    let bound_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(1 + random % bound_ms)
}

#[cfg(test)]
mod tests {
    use super::full_jitter;
    use std::time::Duration;

    const FIRST: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_mins(1);

    #[test]
    fn a_wait_is_never_zero_and_never_above_its_bound() {
        for (failures, bound_s) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 60), (200, 60)] {
            for random in [0, 1, 999, 1_000, 123_456_789, u64::MAX] {
                let wait = full_jitter(failures, FIRST, MAX, random);
                assert!(wait > Duration::ZERO);
                assert!(wait <= Duration::from_secs(bound_s), "{failures} {random}");
            }
        }
    }

    #[test]
    fn the_whole_range_is_used() {
        let waits = |random| full_jitter(3, FIRST, MAX, random);
        assert_eq!(waits(0), Duration::from_millis(1));
        assert_eq!(waits(3_999), Duration::from_secs(4));
    }
}
