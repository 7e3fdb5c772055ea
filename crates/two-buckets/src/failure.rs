use std::fmt;

/// Why the program ends without having done what was asked: the sentence for the person, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    sentence: String,
}

impl Failure {
    /// What was typed or configured cannot be done here: a bad flag, a port taken, a folder that cannot be written.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self {
            code: 2,
            sentence: sentence.into(),
        }
    }

    /// It was tried and did not work.
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self {
            code: 1,
            sentence: sentence.into(),
        }
    }

    /// Somebody stopped it (128 and the signal's number, as shells count).
    pub(crate) fn interrupted(sentence: impl Into<String>) -> Self {
        Self {
            code: 130,
            sentence: sentence.into(),
        }
    }

    /// The same with something more to say.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.sentence.push_str(more);
        self
    }

    /// The exit code: 2 if something must be typed or configured otherwise, 1 if trying again may help, 130 if it was
    /// stopped.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// An unexpected failure, with what led to it: `cannot do this: because that`.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

/// The words of an error and of all that led to it: hyper's own say little.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}
