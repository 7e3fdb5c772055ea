use std::error::Error as StdError;
use std::io;

/// Why a function did not accept an upload, by what happens next.
///
/// Make one of any error by [`Self::transient`] or [`Self::permanent`], and say what was tried by [`Self::context`]:
///
/// ```
/// use two_buckets_pipeline::ProcessError;
///
/// fn first_number(text: &str) -> Result<u32, ProcessError> {
///     text.parse()
///         .map_err(|error| ProcessError::permanent(error).context("the first line is no number"))
/// }
///
/// let failure = first_number("one").unwrap_err();
/// assert_eq!(failure.to_string(), "the first line is no number: invalid digit found in string");
/// ```
///
/// A failure to read the upload or to write an output becomes one by `?`: transient, but permanent where the bytes are
/// not what they were when they came or the store refuses what was asked, because the next run would find the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ProcessError {
    /// It may work later: the upload is tried again after a wait, until the attempts are used up.
    #[error("{0}")]
    Transient(String),
    /// It will not work: the upload is set aside as failed with this reason.
    #[error("{0}")]
    Permanent(String),
    /// The run ended without an answer (panic, killed process): tried again at once, until the attempts are used up.
    #[error("{0}")]
    Crashed(String),
    /// The function did not run, or was cut off long before its time, because whoever runs it had no room or no right to, and
    /// not for anything about this upload:
    /// tried again after a wait, and the attempt does not count, so that no file fails because others are many. For those who have
    /// functions run elsewhere; a function itself has run when it can say something.
    #[error("{0}")]
    NotRun(String),
}

impl ProcessError {
    /// A failure that may pass, with the error and all that caused it in words.
    pub fn transient(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Transient(in_words(&*error.into()))
    }

    /// A failure that will be the same next time, with the error and all that caused it in words.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Permanent(in_words(&*error.into()))
    }

    /// The same failure, with what was tried before its reason.
    #[must_use]
    pub fn context(self, what: impl std::fmt::Display) -> Self {
        match self {
            Self::Transient(reason) => Self::Transient(format!("{what}: {reason}")),
            Self::Permanent(reason) => Self::Permanent(format!("{what}: {reason}")),
            Self::Crashed(reason) => Self::Crashed(format!("{what}: {reason}")),
            Self::NotRun(reason) => Self::NotRun(format!("{what}: {reason}")),
        }
    }
}

impl From<two_buckets_objects::Error> for ProcessError {
    fn from(error: two_buckets_objects::Error) -> Self {
        use two_buckets_objects::Error;
        match error {
            Error::Integrity { .. } | Error::Refused { .. } => Self::permanent(error),
            error => Self::transient(error),
        }
    }
}

/// What reading and writing gave: a failure of [`Incoming::blocking`](crate::Incoming::blocking)'s readers and writers
/// as it was; of all others [`io::ErrorKind::InvalidData`], by which libraries say that a file is malformed, is
/// permanent, and the rest may pass.
impl From<io::Error> for ProcessError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Self::permanent(error),
            Err(error) => Self::transient(error),
        }
    }
}

/// An error and its causes, each once: many errors repeat their cause in their own words.
fn in_words(error: &(dyn StdError + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.ends_with(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::ProcessError;
    use std::io;

    use two_buckets_objects::Error;

    #[derive(Debug, thiserror::Error)]
    #[error("the index cannot be read")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_whole_chain_of_causes_is_in_the_words_each_once() {
        let inner = io::Error::other(io::Error::other("the disk is gone"));
        assert_eq!(
            ProcessError::transient(Outer(inner)).context("page 3"),
            ProcessError::Transient("page 3: the index cannot be read: the disk is gone".into())
        );
        assert_eq!(
            ProcessError::permanent("no header"),
            ProcessError::Permanent("no header".into())
        );
    }

    #[test]
    fn what_reading_gave_is_what_it_was_or_malformed_or_may_pass() {
        let refused = ProcessError::Permanent("x".into());
        let through = io::Error::other(refused.clone());
        assert_eq!(ProcessError::from(through), refused);
        let malformed = io::Error::new(io::ErrorKind::InvalidData, "no gzip");
        assert!(matches!(malformed.into(), ProcessError::Permanent(_)));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(full.into(), ProcessError::Transient(_)));
    }

    #[test]
    fn bytes_that_changed_stay_so_and_a_store_that_is_away_comes_back() {
        let integrity = Error::Integrity { reason: "x".into() };
        let away = Error::Unavailable {
            reason: "x".into(),
            source: None,
        };
        assert!(matches!(integrity.into(), ProcessError::Permanent(_)));
        assert!(matches!(away.into(), ProcessError::Transient(_)));
    }
}
