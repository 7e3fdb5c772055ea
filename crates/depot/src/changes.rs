//! Changes of objects, for whoever keeps rows of them in the same transaction.

use std::any::Any;
use std::sync::Arc;

use two_buckets_objects::{ETag, ObjectRef, VersionId};

use crate::{Depot, Result, Transaction};

/// What happened to a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// It was written in one piece.
    Put,
    /// It was made from another version, by a copy or a move.
    Copied,
    /// It was completed from parts.
    Completed,
    /// It is gone for good: it was deleted, or moved to another key. A version `null` that another took the place of is
    /// not told of.
    Removed,
    /// A delete marker was made. That one is gone again is [`Self::Removed`].
    DeleteMarkerMade,
}

/// A change of an object, as it is made.
#[derive(Clone, Debug)]
pub struct ObjectChange<'a> {
    /// What happens.
    pub kind: ChangeKind,
    /// To which key.
    pub at: &'a ObjectRef,
    /// The version that is made or goes.
    pub version_id: VersionId,
    /// The size of what is made; none for what goes, and for delete markers.
    pub size_bytes: Option<u64>,
    /// The tag of what is made; none as above.
    pub etag: Option<&'a ETag>,
}

/// Called in the transaction itself for each version that it makes or takes away, in their order. Rows that it sets
/// become durable with the change or not at all; with an error nothing happens. All other writers wait meanwhile.
pub type RecordChange =
    Arc<dyn Fn(&mut Transaction<'_>, &ObjectChange<'_>) -> Result<()> + Send + Sync>;

/// What is called when a transaction is durable.
pub(crate) type WhenDurable = Box<dyn FnOnce() + Send>;

/// Why something is done, as the store's user has it; the store hands it to [`RecordChange`] and does not look inside.
pub type Cause = Arc<dyn Any + Send + Sync>;

impl Depot {
    /// The same store; what is done through this clone has this cause.
    #[must_use]
    pub fn caused_by(&self, cause: Cause) -> Self {
        Self {
            cause: Some(cause),
            ..self.clone()
        }
    }
}

impl Transaction<'_> {
    /// Why this transaction runs, if its caller said so.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause
    }

    /// A number larger than every one given before, in this store and for good. Of transactions that come to nothing the
    /// numbers may be left out, or given again after a restart.
    pub fn next_number(&mut self) -> u64 {
        self.engine.sequence()
    }

    /// Has this called once the transaction is durable, on the thread that ran it, or on one of the store's own if nobody
    /// waits for it any more; not at all if it comes to nothing. Must not block, and must not hold the store.
    pub fn when_durable(&mut self, call: impl FnOnce() + Send + 'static) {
        self.when_durable.push(Box::new(call));
    }

    /// Tells whoever keeps rows of changes.
    pub(crate) fn record(&mut self, change: &ObjectChange<'_>) -> Result<()> {
        match self.recorder {
            None => Ok(()),
            Some(record) => record(self, change),
        }
    }
}
