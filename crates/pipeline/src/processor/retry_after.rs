use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When a run that fails is to be tried again. Cheap to clone; clones are one.
///
/// Failures that may pass are tried again after a wait that grows and is random. A function that knows better, because a
/// service named the time or a route has one, asks for more:
///
/// ```
/// use std::time::Duration;
/// use two_buckets_pipeline::RetryAfter;
///
/// let retry_after = RetryAfter::default();
/// retry_after.at_least(Duration::from_secs(90));
/// retry_after.at_least(Duration::from_secs(30));
/// assert_eq!(retry_after.least(), Duration::from_secs(90));
/// ```
#[derive(Clone, Debug, Default)]
pub struct RetryAfter(Arc<AtomicU64>);

impl RetryAfter {
    /// The longest wait that can be asked for: a day.
    pub const MAX: Duration = Duration::from_hours(24);

    /// Has the next attempt wait so long at least, [`Self::MAX`] at most. Of several calls the longest counts. Means
    /// nothing for a run that succeeds, crashes or fails for good.
    pub fn at_least(&self, wait: Duration) {
        let millis = u64::try_from(wait.min(Self::MAX).as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_max(millis, Ordering::Relaxed);
    }

    /// The wait asked for so far; zero if none.
    pub fn least(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
