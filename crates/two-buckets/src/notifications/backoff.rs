//! How long to wait before something is tried again.

use std::time::Duration;

/// Waits that double up to a bound, each shortened by chance by up to half, so that those who failed together do not
/// come again together (AWS Architecture Blog, "Exponential Backoff And Jitter").
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

/// While a target is away.
pub(super) const AWAY: Backoff = Backoff {
    first: Duration::from_millis(500),
    longest: Duration::from_mins(1),
};
/// For one message that a target refuses, though it takes others. It is tried for good, but slowly.
pub(super) const REFUSED: Backoff = Backoff {
    first: Duration::from_secs(10),
    longest: Duration::from_mins(30),
};
/// The longest that a target may ask us to wait.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

impl Backoff {
    /// The wait behind so many failures, at least one; `chance` is any number.
    pub(super) fn after(self, failures: u32, chance: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let share = f64::from(chance) / f64::from(u32::MAX);
        whole.mul_f64(0.5 + share / 2.0)
    }
}

/// A number that others do not draw.
pub(super) fn chance() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness everybody waits equally long, which is no failure.
    match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_lose_at_most_half() {
        let longest = |failures| AWAY.after(failures, u32::MAX);
        let waits: Vec<u128> = (1..=9).map(|n| longest(n).as_millis()).collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]
        );
        assert_eq!(longest(u32::MAX), AWAY.longest);
        for failures in [1, 5, 1000] {
            assert_eq!(AWAY.after(failures, 0), longest(failures) / 2);
        }
    }
}
