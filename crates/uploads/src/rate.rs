use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use two_buckets_objects::Timestamp;

/// How many callers are remembered. One that is forgotten begins anew with all of its minute.
const CALLERS_MAX: usize = 10_000;
const MINUTE_MICROS: i64 = 60_000_000;

/// Counts what callers begin: so many in any minute at most, and as many at once. A caller who waits gets them back
/// evenly.
///
/// For each caller only one moment is kept, at which all it may begin would be free again (the generic cell rate
/// algorithm). The time is passed in; where it runs backwards nobody waits longer than a minute for that.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    free_at_micros: Mutex<HashMap<String, i64>>,
}

impl Rates {
    /// Counts one more, or says how long to wait until it would be allowed.
    pub(crate) fn count(
        &self,
        caller: &str,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let whole_minute = Duration::from_micros(MINUTE_MICROS.unsigned_abs());
        if per_minute == 0 {
            return Err(whole_minute);
        }
        let each = MINUTE_MICROS / i64::from(per_minute);
        let now = now.millis().saturating_mul(1_000);
        let mut all = self
            .free_at_micros
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let free_at = all.get(caller).copied().unwrap_or(now);
        let free_at = free_at.clamp(now, now.saturating_add(MINUTE_MICROS));
        // One of `each` must fit before a minute from now.
        let wait = free_at.saturating_add(each) - now.saturating_add(MINUTE_MICROS);
        if wait > 0 {
            // Kept, or a clock that was set back would be waited for anew each time.
            all.insert(caller.to_owned(), free_at);
            return Err(Duration::from_micros(wait.unsigned_abs()));
        }
        if all.len() >= CALLERS_MAX && !all.contains_key(caller) {
            all.retain(|_, free_at| *free_at > now);
            // Nobody is idle: better one caller too generously treated than memory without bound.
            if all.len() >= CALLERS_MAX
                && let Some(one) = all.keys().next().cloned()
            {
                all.remove(&one);
            }
        }
        all.insert(caller.to_owned(), free_at.saturating_add(each));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use two_buckets_objects::Timestamp;

    use super::Rates;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_431_050_000 + millis)
    }

    #[test]
    fn a_minute_has_so_many_at_once_and_gives_them_back_evenly() {
        let rates = Rates::default();
        for _ in 0..3 {
            assert_eq!(rates.count("a", 3, at(0)), Ok(()));
        }
        assert_eq!(rates.count("a", 3, at(0)), Err(Duration::from_secs(20)));
        assert_eq!(rates.count("b", 3, at(0)), Ok(()), "another caller");
        assert_eq!(
            rates.count("a", 3, at(19_999)),
            Err(Duration::from_millis(1))
        );
        assert_eq!(rates.count("a", 3, at(20_000)), Ok(()));
        assert!(rates.count("a", 3, at(20_000)).is_err());
        for _ in 0..3 {
            assert_eq!(rates.count("a", 3, at(90_000)), Ok(()));
        }
        assert!(rates.count("a", 3, at(90_000)).is_err());
    }

    #[test]
    fn no_caller_with_none_begins_and_none_waits_for_a_clock_that_was_set_back() {
        let rates = Rates::default();
        assert!(rates.count("a", 0, at(0)).is_err());
        for _ in 0..2 {
            assert_eq!(rates.count("a", 2, at(86_400_000)), Ok(()));
        }
        assert_eq!(rates.count("a", 2, at(0)), Err(Duration::from_secs(30)));
        assert_eq!(rates.count("a", 2, at(30_000)), Ok(()));
    }

    #[test]
    fn callers_without_end_take_bounded_memory() {
        let rates = Rates::default();
        for name in 0..super::CALLERS_MAX + 100 {
            assert_eq!(rates.count(&name.to_string(), 1, at(0)), Ok(()));
        }
        let kept = rates.free_at_micros.lock().expect("unpoisoned").len();
        assert!(kept <= super::CALLERS_MAX);
    }
}
