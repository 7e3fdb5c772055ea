//! Wall time, for the two places where another program reads it: the deadline a runtime is told, which it compares with
//! the same clock of the same machine, and the date in a log stream's name. Everything else is measured with tokio's clock.
#![expect(
    clippy::disallowed_methods,
    reason = "a runtime compares the deadline with this machine's clock, so no other clock will do"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::macros::format_description;

/// Milliseconds since 1970 at the moment that is `from_now` away.
pub(crate) fn unix_ms(from_now: Duration) -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    (since.unwrap_or_default() + from_now).as_millis()
}

/// Today in UTC, as Lambda's log streams are named by it: `2026/11/25`.
pub(crate) fn today() -> String {
    OffsetDateTime::from(SystemTime::now())
        .format(format_description!("[year]/[month]/[day]"))
        .unwrap_or_else(|_| "0000/00/00".to_owned())
}
