//! Time, randomness and names of this machine.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{Clock, Holder};

/// The machine's wall time, and tokio's monotonic time for waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else on AWS is given"
    )]
    fn now(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Timestamp::from_millis(0).after(since_1970.unwrap_or_default())
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// A number for waits: good enough to spread them, nothing else rests on it.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The name in which a process holds keys: what people know it by, and what tells it from others of that name.
pub fn holder(of: &str) -> Holder {
    Holder(format!("{of} {:016x}", random()))
}

#[cfg(test)]
mod tests {
    use super::holder;

    #[test]
    fn two_processes_of_one_name_hold_keys_in_two() {
        let (one, other) = (holder("work on host"), holder("work on host"));
        assert!(one.0.starts_with("work on host "));
        assert_ne!(one, other);
    }
}
