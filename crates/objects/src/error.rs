use std::error::Error as StdError;

/// The result of an operation on an [`ObjectStore`](crate::ObjectStore).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A name that its field does not allow.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the {what} {why}")]
pub struct InvalidName {
    what: &'static str,
    why: &'static str,
}

impl InvalidName {
    pub(crate) fn new(what: &'static str, why: &'static str) -> Self {
        Self { what, why }
    }
}

/// Why an operation on a store failed, by what the caller does next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such bucket, key or version (S3: 404, or a delete marker as current version).
    #[error("{what} not found")]
    NotFound {
        /// The bucket, key or version that is not there.
        what: String,
    },
    /// A [`WriteCondition`](crate::WriteCondition) did not hold: nothing was written; look again (S3: 412).
    #[error("the condition does not hold for {key}")]
    ConditionFailed {
        /// The key whose current version is not as asked.
        key: String,
    },
    /// A concurrent write got in the way: nothing was written; try again (S3: 409, 503, other 5xx, an error inside a 200).
    #[error("nothing was written: {reason}")]
    NotWritten {
        /// What the store said.
        reason: String,
        /// The cause below, if any.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// No answer came or it was cut off: the write may have happened; look again.
    #[error("the outcome is unknown: {reason}")]
    Unknown {
        /// What is known of the failure.
        reason: String,
        /// The cause below, if any.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// What was read or written does not have the checksum or size it must have.
    #[error("integrity: {reason}")]
    Integrity {
        /// What differs.
        reason: String,
    },
    /// The store refuses the request as it stands; trying again does not help (S3: other 4xx).
    #[error("refused: {reason}")]
    Refused {
        /// What the store said.
        reason: String,
    },
    /// The store cannot serve now, for reads as well (disk, network, closed).
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What the store said.
        reason: String,
        /// The cause below, if any.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}
