use std::time::Duration;

use crate::failure::Failure;

/// Why a request brought nothing, sorted by what to do next.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may work in a while: no connection, a connection that broke, a server that is busy or failed.
    Passing {
        /// What to say if it never does.
        failure: Failure,
        /// How long the server asks to be left alone.
        after: Option<Duration>,
    },
    /// It will not work by asking again.
    Final {
        /// What to say.
        failure: Failure,
        /// S3's word for it, where S3 said it.
        code: Option<String>,
    },
}

impl Trouble {
    /// Nobody asked the server, or it gave no code.
    pub(super) fn last(sentence: impl Into<String>) -> Self {
        Failure::failed(sentence).into()
    }

    /// What may pass.
    pub(super) fn passing(sentence: impl Into<String>) -> Self {
        Self::Passing {
            failure: Failure::failed(sentence),
            after: None,
        }
    }

    /// Says whether S3 gave this word for it.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Final { code: Some(code), .. } if code == word)
    }

    /// The same, where what stood in the way was removed.
    pub(super) fn passing_after_all(self) -> Self {
        Self::Passing {
            failure: self.into(),
            after: None,
        }
    }

    /// The same with something more to say.
    pub(super) fn and(self, more: &str) -> Self {
        let more_of = |failure: Failure| failure.and(more);
        match self {
            Self::Passing { failure, after } => Self::Passing {
                failure: more_of(failure),
                after,
            },
            Self::Final { failure, code } => Self::Final {
                failure: more_of(failure),
                code,
            },
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Final {
            failure,
            code: None,
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Passing { failure, .. } | Trouble::Final { failure, .. } => failure,
        }
    }
}
