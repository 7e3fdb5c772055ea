use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use two_buckets_objects::Timestamp;

/// The most that are counted at once. Where there are more, all are forgotten, which forgives and never refuses.
const COUNTED_MAX: usize = 10_000;

/// How often each of many may do something: so often a minute, and as often at once after a minute of quiet.
pub(super) struct Rates {
    per_minute: f64,
    left: Mutex<HashMap<String, Left>>,
}

#[derive(Clone, Copy)]
struct Left {
    times: f64,
    at: Timestamp,
}

impl Rates {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            per_minute: f64::from(per_minute.max(1)),
            left: Mutex::default(),
        }
    }

    /// Counts one time; or says how long to wait for the next.
    pub(super) fn take(&self, name: &str, now: Timestamp) -> Result<(), Duration> {
        let mut left = self.left.lock().expect("nothing panics while it is held");
        if left.len() >= COUNTED_MAX && !left.contains_key(name) {
            left.retain(|_, it| self.refilled(*it, now) < self.per_minute);
            if left.len() >= COUNTED_MAX {
                left.clear();
            }
        }
        let before = left.get(name).copied().unwrap_or(Left {
            times: self.per_minute,
            at: now,
        });
        let times = self.refilled(before, now);
        if times < 1.0 {
            let missing = (1.0 - times) / self.per_minute * 60.0;
            return Err(Duration::from_secs_f64(missing));
        }
        let after = Left {
            times: times - 1.0,
            at: now,
        };
        left.insert(name.to_owned(), after);
        Ok(())
    }

    /// A clock that was set back adds nothing, one that was set forward at most a minute's worth.
    fn refilled(&self, left: Left, now: Timestamp) -> f64 {
        let minutes = now.since(left.at).as_secs_f64() / 60.0;
        minutes
            .mul_add(self.per_minute, left.times)
            .min(self.per_minute)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use two_buckets_objects::Timestamp;

    use super::{COUNTED_MAX, Rates};

    #[test]
    fn each_has_a_minutes_worth_and_then_waits_for_the_next() {
        let rates = Rates::new(6);
        let start = Timestamp::from_millis(1_000_000);
        for _ in 0..6 {
            rates.take("a", start).expect("within its rate");
        }
        let wait = rates.take("a", start).expect_err("more than its rate");
        assert_eq!(wait, Duration::from_secs(10));
        rates.take("b", start).expect("b has its own");
        rates
            .take("a", start.after(Duration::from_secs(5)))
            .expect_err("too early");
        rates
            .take("a", start.after(Duration::from_secs(10)))
            .expect("the next");
        rates.take("a", start).expect_err("the clock went back");
        let later = start.after(Duration::from_hours(1));
        for _ in 0..6 {
            rates.take("a", later).expect("full again");
        }
        rates.take("a", later).expect_err("and no fuller");
    }

    #[test]
    fn any_number_of_names_takes_bounded_memory() {
        let rates = Rates::new(1);
        for n in 0..3 * COUNTED_MAX {
            rates
                .take(&n.to_string(), Timestamp::from_millis(0))
                .expect("each once");
        }
        assert!(rates.left.lock().unwrap().len() <= COUNTED_MAX);
    }
}
