use std::time::{SystemTime, UNIX_EPOCH};

use two_buckets_objects::Timestamp;

/// The wall time of this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary is where the clock is read and handed to everything else"
)]
pub(crate) fn now() -> Timestamp {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Timestamp::from_millis(millis)
}
