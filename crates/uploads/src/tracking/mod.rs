//! What a [`Tracker`](crate::Tracker) says and does in the same way on every host, of any ledger and any store.
//!
//! A host's own tracker is made of this and of what only that host knows: how many wait that have no row yet, how what
//! is archived gets to staging in bounded portions, how workers learn of a pause, and how changes are heard.

mod ids;
mod listing;
mod replaying;
mod retrying;
mod rows;
mod shown;
mod waiting;

use std::error::Error as StdError;

use two_buckets_objects::BucketName;
use two_buckets_pipeline::{Swept as PipelineSwept, ledger};

pub use listing::{counted, oldest_of};
pub use replaying::{Archived, ArchivedPage, Batch, Before, Portion, Replays, Run, replay};
pub use shown::shown;
pub use waiting::{Waiting, shown as shown_waiting};

use crate::{Error, Result, Swept};

/// Uploads to one staging bucket: those that have a row in the ledger, and versions that wait for theirs.
pub struct Tracking<'a, S, L, W> {
    /// Where the rows are.
    pub ledger: &'a L,
    /// Where the bytes are. None where this program may not look into the buckets: then an upload is seen from when a
    /// worker has noted it, and its bytes are [`Error::Refused`].
    pub store: Option<&'a S>,
    /// Who is told of uploads that are to be tried again.
    pub wake_ups: &'a W,
    /// The bucket.
    pub staging: &'a BucketName,
}

/// What the ledger's failures mean to a caller of the API.
pub fn failed(error: ledger::Error) -> Error {
    match error {
        ledger::Error::NotFound(id) => Error::NotFound {
            what: format!("upload {id}"),
        },
        ledger::Error::NotRetried(why) => Error::Conflict {
            reason: why.to_string(),
        },
        ledger::Error::NotCancelled(why) => Error::Conflict {
            reason: why.to_string(),
        },
        ledger::Error::DeclaredOtherwise(why) => Error::Conflict {
            reason: why.to_string(),
        },
        ledger::Error::Unavailable { .. } | ledger::Error::FencedOff => Error::Unavailable {
            reason: "the ledger does not answer".into(),
            source: Some(Box::new(error)),
        },
        ledger::Error::Unreadable { .. } => Error::Broken {
            reason: "the ledger cannot be read there".into(),
            source: Some(Box::new(error)),
        },
        error => Error::Broken {
            reason: "the ledger cannot do this".into(),
            source: Some(Box::new(error)),
        },
    }
}

/// What a sweep came to.
pub fn swept(swept: Result<PipelineSwept, impl StdError + Send + Sync + 'static>) -> Result<Swept> {
    match swept {
        Ok(swept) => Ok(Swept {
            listed: swept.listed,
            woken: swept.woken,
            finished: swept.finished,
            explained: swept.explained,
            passed_over: swept.passed_over,
        }),
        Err(error) => Err(Error::Unavailable {
            reason: "the sweep ended early".into(),
            source: Some(Box::new(error)),
        }),
    }
}

/// A store that fails when it is looked into.
fn unavailable(what: &str, source: impl StdError + Send + Sync + 'static) -> Error {
    Error::Unavailable {
        reason: format!("{what} cannot be read"),
        source: Some(Box::new(source)),
    }
}
