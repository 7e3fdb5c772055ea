//! What a function is, and what it is given of an upload.

mod blocking;
mod cancellation;
mod content;
mod dynamic;
mod error;
mod log;
mod outputs;
mod progress;
mod report;
mod retry_after;

use std::future::Future;
use std::sync::Arc;

use two_buckets_objects::{BucketName, ObjectInfo, ObjectStore};

use crate::{FencingToken, Order};

pub use blocking::{Blocking, Reader, SeekReader, Writer};
pub use cancellation::{CancelOnDrop, Cancellation};
pub use content::Content;
pub use dynamic::{DynProcessor, Processing};
pub use error::ProcessError;
pub use log::{AttemptLog, LogExcerpt};
pub use outputs::Outputs;
pub use progress::{Progress, ProgressAt};
pub use report::Report;
pub use retry_after::RetryAfter;

/// The function that runs on each upload.
///
/// It runs at least once for each upload that is archived: after a crash, a lost lease or a failure it runs again for
/// the same version, with the same [`Incoming::idempotency_key`] and a higher [`Incoming::attempt`]. Two runs for the
/// same version may overlap when a worker stalls past its lease; the [`Incoming::token`] of the later one is higher.
///
/// Where the type is chosen while the program runs, use a [`DynProcessor`].
///
/// ```
/// use two_buckets_pipeline::{Incoming, ProcessError, Processor, Report};
///
/// /// Accepts what begins as a PDF does, and keeps its version number.
/// struct Pdf;
///
/// impl Processor for Pdf {
///     async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
///         let file = upload.content.bytes(100 << 20).await?;
///         let version = file
///             .strip_prefix(b"%PDF-")
///             .and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok())
///             .ok_or_else(|| ProcessError::permanent("not a PDF"))?;
///         upload.outputs.put_bytes("version.txt", "text/plain", version.to_owned()).await?;
///         Report::from_json(r#"{"media_type": "application/pdf"}"#)
///     }
/// }
/// assert_eq!(Pdf.name(), "pdf");
/// ```
///
/// The documentation of the crate `two-buckets` has an example for each thing that one may need.
pub trait Processor: Send + Sync + 'static {
    /// What people call it, on the page and in logs: the name of its type in small letters, unless it says otherwise.
    fn name(&self) -> String {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        path.rsplit("::").next().unwrap_or(path).to_lowercase()
    }

    /// How many files it likes to have at once where nobody says how many; none, and it gets as many as suit a function
    /// that computes about as long as it waits.
    fn concurrency(&self) -> Option<usize> {
        None
    }

    /// Looks at one upload and says how it went. Must not block for long: what does belongs into [`Incoming::blocking`].
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
    /// Its place among the uploads of its key.
    pub order: Order,
    /// Which run this is for this version, from 1; never reset, so a later run always has a higher number.
    pub attempt: u32,
    /// Which run this is since it came or was last made pending by hand, from 1.
    pub tries: u32,
    /// The fencing token this runs under. A function with its own storage can refuse lower ones than it has seen.
    pub token: FencingToken,
    /// The bytes of exactly this version.
    pub content: Content,
    /// Where the run writes what it makes.
    pub outputs: Outputs,
    /// What the run writes for people to read.
    pub log: AttemptLog,
    /// How far the run is.
    pub progress: Progress,
    /// When to try again, should it fail.
    pub retry_after: RetryAfter,
    /// Ends when the run is no longer wanted.
    pub cancellation: Cancellation,
}

impl Incoming {
    /// A run on a version in a store, with its outputs in an archive bucket there; its place is that of its time alone.
    /// It is cancelled when the guard is dropped.
    pub fn of_version<S: ObjectStore>(
        store: &Arc<S>,
        archive: BucketName,
        source: ObjectInfo,
        attempt: u32,
        token: FencingToken,
    ) -> (Self, CancelOnDrop) {
        let (guard, cancellation) = Cancellation::new();
        let incoming = Self {
            content: Content::of_version(Arc::clone(store), &source),
            outputs: Outputs::of_version(Arc::clone(store), archive, source.at.clone()),
            order: Order {
                last_modified: source.last_modified,
                number: 0,
            },
            source,
            attempt,
            tries: attempt,
            token,
            log: AttemptLog::default(),
            progress: Progress::default(),
            retry_after: RetryAfter::default(),
            cancellation,
        };
        (incoming, guard)
    }

    /// A name for this upload that is the same in every run and no other upload's: bucket, key and version id.
    pub fn idempotency_key(&self) -> String {
        let at = &self.source.at;
        format!("{}/{}#{}", at.bucket, at.key, at.version_id)
    }
}
