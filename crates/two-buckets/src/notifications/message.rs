//! What becomes of a message that is sent.

use std::time::Duration;

/// What a target says of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It has it.
    Accepted,
    /// It does not take this one. Others it may.
    Refused {
        /// Why, in words without secrets.
        why: String,
    },
    /// It takes none now: it does not answer, is broken, or has too much to do.
    Away {
        /// Why, in words without secrets.
        why: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// What a status means: all of 2xx that it is accepted; that it may be tried again soon, what HTTP says so of.
    pub(super) fn of_status(status: u16, said: &str, retry_after: Option<Duration>) -> Self {
        let why = if said.is_empty() {
            format!("answered {status}")
        } else {
            format!("answered {status}: {said}")
        };
        match status {
            200..=299 => Self::Accepted,
            300..=399 => Self::Refused {
                why: format!("{why} (redirects are not followed; give the url it leads to)"),
            },
            408 | 425 | 429 | 500..=599 => Self::Away { why, retry_after },
            _ => Self::Refused { why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_accepted_refused_or_away() {
        let is = |status| match Outcome::of_status(status, "", None) {
            Outcome::Accepted => "accepted",
            Outcome::Refused { .. } => "refused",
            Outcome::Away { .. } => "away",
        };
        for (statuses, what) in [
            (&[200, 202, 204, 299][..], "accepted"),
            (&[301, 400, 401, 403, 404, 410, 413, 422], "refused"),
            (&[408, 425, 429, 500, 502, 503, 504], "away"),
        ] {
            for status in statuses {
                assert_eq!(is(*status), what, "{status}");
            }
        }
    }
}
