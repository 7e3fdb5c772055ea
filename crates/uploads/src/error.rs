use std::error::Error as StdError;

/// The result of a call on [`Grants`](crate::Grants) or [`Tracker`](crate::Tracker).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed, by what the caller does next. Its words are shown to people; secrets never enter them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such upload, or nothing is left of its bytes (404).
    #[error("{what} not found")]
    NotFound {
        /// What is not there.
        what: String,
    },
    /// The upload is not in a state that allows this: look again (409).
    #[error("{reason}")]
    Conflict {
        /// What is in the way.
        reason: String,
    },
    /// The request as it stands cannot be done; trying again does not help (400).
    #[error("{reason}")]
    Refused {
        /// What is wrong with it.
        reason: String,
    },
    /// The store or the pipeline cannot serve now; try again later (503).
    #[error("cannot serve this now: {reason}")]
    Unavailable {
        /// What is wrong, in words.
        reason: String,
        /// The cause below, if any.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// A bug or a broken disk: logged once where it is answered, and not explained to the caller (500).
    #[error("something broke: {reason}")]
    Broken {
        /// What broke, for the log.
        reason: String,
        /// The cause below, if any.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}
