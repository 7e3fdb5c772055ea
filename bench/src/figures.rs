//! Medians and percentiles.

use std::time::Duration;

/// The middle of some figures; 0 of none.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
    }
}

/// The smallest duration that `share` of them do not exceed; sorts them. Zero of none.
pub(crate) fn percentile(durations: &mut [Duration], share: f64) -> Duration {
    durations.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among durations that fit in memory, from a share between 0 and 1"
    )]
    let rank = (durations.len() as f64 * share).ceil() as usize;
    durations
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// In microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// In milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{median, percentile};

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn percentiles_are_measured_values_and_never_out_of_range() {
        let mut hundred: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut hundred, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&mut hundred, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&mut hundred, 1.0), Duration::from_millis(100));
        assert_eq!(percentile(&mut [], 0.5), Duration::ZERO);
    }
}
