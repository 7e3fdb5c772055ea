use std::fmt;
use std::str::FromStr;

/// Which reasons are meant: those that have these texts in them, one behind the other. Written with `*` between them:
/// `time* out` is in "the function timed out". Letter for letter, and anywhere in the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReasonPattern(String);

/// A text that is no pattern of reasons.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the reason must be a text of at most {} bytes, in which * stands for any text",
    ReasonPattern::BYTES_MAX
)]
pub struct InvalidReasonPattern;

impl ReasonPattern {
    /// The longest pattern.
    pub const BYTES_MAX: usize = 1_000;

    /// Whether a reason is meant.
    pub fn matches(&self, reason: &str) -> bool {
        let mut rest = reason;
        // The earliest place of each piece leaves the most for those behind it, so nothing is ever tried twice.
        self.0.split('*').all(|piece| match rest.find(piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    }
}

impl FromStr for ReasonPattern {
    type Err = InvalidReasonPattern;

    fn from_str(text: &str) -> Result<Self, InvalidReasonPattern> {
        // Nothing but asterisks would mean all reasons by what may be a slip of a shell.
        if text.len() <= Self::BYTES_MAX && text.chars().any(|c| c != '*') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidReasonPattern)
        }
    }
}

impl fmt::Display for ReasonPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ReasonPattern;

    #[test]
    fn a_reason_is_meant_that_has_every_piece_in_order() {
        let reason = "the function answered with exit code 75: database is locked";
        for (pattern, is_meant) in [
            ("database is locked", true),
            ("exit code", true),
            ("Exit code", false),
            ("the*locked", true),
            ("*exit code * locked*", true),
            ("exit code*database*locked", true),
            ("locked*exit", false),
            ("code 75*75", false),
            ("lockedx", false),
            ("a**b", true),
            (" ", true),
        ] {
            let pattern: ReasonPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(reason), is_meant, "{pattern}");
        }
    }

    #[test]
    fn what_would_mean_everything_is_no_pattern() {
        for text in ["", "*", "***", &"a".repeat(1_001)] {
            assert!(text.parse::<ReasonPattern>().is_err(), "{text}");
        }
    }
}
