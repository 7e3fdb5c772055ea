//! The real clock, asked in one place.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use two_buckets_objects::Timestamp;

/// Now, for measuring.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now, for signing.
#[expect(
    clippy::disallowed_methods,
    reason = "a server checks signatures against real time"
)]
pub(crate) fn stamp() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
