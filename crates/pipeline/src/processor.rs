use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;
use two_buckets_objects::{Body, ByteRange, ObjectInfo, ObjectStore, Result, VersionRef};

use crate::FencingToken;

/// The function that runs on each upload.
///
/// It runs at least once for each upload that is archived: after a crash, a lost lease or a failure it runs again for
/// the same version, with the same [`Incoming::idempotency_key`] and a higher [`Incoming::attempt`]. Two runs for the
/// same version may overlap when a worker stalls past its lease; the [`Incoming::token`] of the later one is higher.
pub trait Processor: Send + Sync + 'static {
    /// Looks at one upload and says how it went. Must not block for long: heavy work belongs on threads of the host.
    ///
    /// Dropping the future cancels the run; so does the end of [`Incoming::cancellation`], for work that goes on elsewhere.
    /// A panic counts as [`ProcessError::Crashed`] where the host can catch it, and as a crash of the worker elsewhere.
    fn process(
        &self,
        upload: Incoming,
    ) -> impl Future<Output = Result<Report, ProcessError>> + Send;
}

/// One upload on its way through the function.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// What the staging bucket says of exactly this version: bucket, key, version, size, tag, checksums, metadata.
    pub source: ObjectInfo,
    /// Which run this is for this version, from 1; never reset, so a later run always has a higher number.
    pub attempt: u32,
    /// The fencing token this runs under. A function with its own storage can refuse lower ones than it has seen.
    pub token: FencingToken,
    /// The bytes of exactly this version.
    pub content: Content,
    /// Ends when the run is no longer wanted.
    pub cancellation: Cancellation,
}

impl Incoming {
    /// A name for this upload that is the same in every run and no other upload's: bucket, key and version id.
    pub fn idempotency_key(&self) -> String {
        let at = &self.source.at;
        format!("{}/{}#{}", at.bucket, at.key, at.version_id)
    }
}

/// What a function says of an upload it accepted: JSON text that the pipeline keeps and does not read.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Report(String);

impl Report {
    /// The longest report. A row of the largest ledger we serve holds 400 KB (Amazon `DynamoDB`, "Item size").
    pub const BYTES_MAX: usize = 64 << 10;

    /// Takes JSON text; gives it back if it is longer than [`Self::BYTES_MAX`]. That it is JSON is the caller's word.
    pub fn new(json: String) -> Result<Self, String> {
        if json.len() > Self::BYTES_MAX {
            Err(json)
        } else {
            Ok(Self(json))
        }
    }

    /// The JSON text; empty if the function had nothing to say.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a function did not accept an upload, by what happens next.
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
}

type Reading = Pin<Box<dyn Future<Output = Result<Body>> + Send>>;

/// The bytes of one immutable version, to be read as often as needed, whole or in ranges.
#[derive(Clone)]
pub struct Content(Arc<dyn Fn(Option<ByteRange>) -> Reading + Send + Sync>);

impl Content {
    /// Reads this version of this store.
    pub fn of_version<S: ObjectStore>(store: Arc<S>, at: VersionRef) -> Self {
        Self(Arc::new(move |range| {
            let store = Arc::clone(&store);
            let at = at.clone();
            Box::pin(async move { store.read_version(&at, range).await })
        }))
    }

    /// Reads all of it or a range, as a stream of bounded memory.
    pub async fn read(&self, range: Option<ByteRange>) -> Result<Body> {
        (self.0)(range).await
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content")
    }
}

/// Tells work that a future does not own, such as a thread, that nobody waits for it any more.
#[derive(Clone, Debug)]
pub struct Cancellation(Shared<oneshot::Receiver<()>>);

impl Cancellation {
    /// One that ends when the guard is dropped.
    pub fn new() -> (CancelOnDrop, Self) {
        let (guard, cancelled) = oneshot::channel();
        (CancelOnDrop { _guard: guard }, Self(cancelled.shared()))
    }

    /// Says whether it has ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.clone().now_or_never().is_some()
    }

    /// Ends when it has ended.
    pub async fn cancelled(&self) {
        if self.0.clone().await.is_err() {
            // The sender never sends: an error is how its end shows.
        }
    }
}

/// Ends its [`Cancellation`] when dropped.
#[derive(Debug)]
pub struct CancelOnDrop {
    _guard: oneshot::Sender<()>,
}

#[cfg(test)]
mod tests {
    use super::{Cancellation, Report};
    use futures::FutureExt;

    #[test]
    fn dropping_the_guard_cancels() {
        let (guard, cancellation) = Cancellation::new();
        assert!(!cancellation.is_cancelled());
        drop(guard);
        assert!(cancellation.is_cancelled());
        assert!(cancellation.cancelled().now_or_never().is_some());
    }

    #[test]
    fn a_report_is_bounded() {
        assert!(Report::new("x".repeat(Report::BYTES_MAX)).is_ok());
        assert!(Report::new("x".repeat(Report::BYTES_MAX + 1)).is_err());
    }
}
