//! Which of the calls that a rule is about it strikes.

use std::fmt;

/// Which calls are struck, counted from one in the order they come.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum When {
    /// Each.
    Always,
    /// Each with this probability, above 0 and at most 1. Whether one is struck is decided by the seed and its number
    /// alone, so the same seed strikes the same ones again.
    Probability {
        /// Of one call.
        probability: f64,
        /// What the decisions come from.
        seed: u64,
    },
    /// This one only.
    Nth(u64),
    /// Each one whose number this divides.
    Every(u64),
    /// Those up to this one.
    First(u64),
}

impl When {
    /// Whether the call with this number is struck.
    pub(crate) fn strikes(self, number: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Probability { probability, seed } => share(seed, number) < probability,
            Self::Nth(nth) => number == nth,
            Self::Every(every) => number.is_multiple_of(every),
            Self::First(first) => number <= first,
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Probability { probability, seed } => {
                write!(f, "with probability {probability} (seed {seed})")
            }
            Self::Nth(nth) => write!(f, "the {} time", ordinal(*nth)),
            Self::Every(1) => f.write_str("every time"),
            Self::Every(every) => write!(f, "every {} time", ordinal(*every)),
            Self::First(1) => f.write_str("the first time"),
            Self::First(first) => write!(f, "the first {first} times"),
        }
    }
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (1, n) if n != 11 => "st",
        (2, n) if n != 12 => "nd",
        (3, n) if n != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// A number from 0 up to 1, the same for the same seed and number: splitmix64 (Steele, Lea, Flood 2014), whose outputs
/// for neighbouring inputs have nothing to do with each other.
fn share(seed: u64, number: u64) -> f64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are exact in an f64, and enough for any probability a person writes"
    )]
    let share = (z >> 11) as f64 / (1_u64 << 53) as f64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(when: When) -> Vec<u64> {
        (1..=10).filter(|number| when.strikes(*number)).collect()
    }

    #[test]
    fn calls_are_struck_by_their_number() {
        assert_eq!(struck(When::Always).len(), 10);
        assert_eq!(struck(When::Nth(4)), [4]);
        assert_eq!(struck(When::Every(3)), [3, 6, 9]);
        assert_eq!(struck(When::First(2)), [1, 2]);
    }

    #[test]
    fn a_seed_strikes_the_same_calls_again_and_another_seed_others() {
        let of = |seed| When::Probability {
            probability: 0.5,
            seed,
        };
        let hundred = |when: When| -> Vec<bool> { (1..=100).map(|n| when.strikes(n)).collect() };
        assert_eq!(hundred(of(7)), hundred(of(7)));
        assert_ne!(hundred(of(7)), hundred(of(8)));
        // Written down once: a seed that somebody kept must mean the same in the next release.
        assert_eq!(struck(of(7)), [1, 2, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn a_probability_is_the_share_that_is_struck() {
        for (probability, least, most) in
            [(0.1, 900, 1100), (0.9, 8900, 9100), (1.0, 10_000, 10_000)]
        {
            let when = When::Probability {
                probability,
                seed: 1,
            };
            let count = (1..=10_000).filter(|n| when.strikes(*n)).count();
            assert!((least..=most).contains(&count), "{probability}: {count}");
        }
    }

    #[test]
    fn it_is_said_in_words() {
        for (when, words) in [
            (When::Nth(1), "the 1st time"),
            (When::Nth(12), "the 12th time"),
            (When::Every(3), "every 3rd time"),
            (When::First(1), "the first time"),
            (When::First(22), "the first 22 times"),
            (
                When::Probability {
                    probability: 0.25,
                    seed: 9,
                },
                "with probability 0.25 (seed 9)",
            ),
        ] {
            assert_eq!(when.to_string(), words);
        }
    }
}
