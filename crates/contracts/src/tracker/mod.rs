//! The clauses of [`Tracker`], on a host that works.

mod expecting;
mod listing;
mod replaying;
mod steering;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use two_buckets_objects::{Timestamp, VersionId, read_to_bytes};
use two_buckets_pipeline::{Incoming, ProcessError, Processor, Report};
use two_buckets_uploads::{ListUploads, Tracker, Upload, UploadId, UploadPage, UploadState};

pub use expecting::*;
pub use listing::*;
pub use replaying::*;
pub use steering::*;

/// A host whose tracker is held to its promises. Its function is [`Picky`].
pub trait TrackedHost: Send + Sync {
    /// Its tracker.
    type Tracker: Tracker;

    /// The tracker.
    fn tracker(&self) -> &Self::Tracker;

    /// The function.
    fn function(&self) -> &Picky;

    /// The time as the host has it.
    fn now(&self) -> Timestamp;

    /// A client puts a file into staging, of which workers are told.
    fn put(&self, key: &str, bytes: &'static [u8]) -> impl Future<Output = VersionId> + Send;

    /// Waits until workers have done all that they were woken for; while processing is paused, that is nothing.
    fn settle(&self) -> impl Future<Output = ()> + Send;
}

/// A function that refuses files with "bad" in their key, until it is mended.
#[derive(Clone, Debug, Default)]
pub struct Picky(Arc<AtomicBool>);

impl Picky {
    /// Accepts everything from now on.
    pub fn mend(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Processor for Picky {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        upload.log.append(b"looked at it\n");
        if upload.source.at.key.as_str().contains("bad") && !self.0.load(Ordering::SeqCst) {
            return Err(ProcessError::permanent("no such column: total"));
        }
        Report::from_json(r#"{"media_type": "text/plain"}"#)
    }
}

async fn page<H: TrackedHost>(host: &H, query: ListUploads) -> UploadPage {
    let limit = if query.limit == 0 { 100 } else { query.limit };
    let query = ListUploads { limit, ..query };
    host.tracker().list(query).await.unwrap()
}

async fn all<H: TrackedHost>(host: &H) -> UploadPage {
    page(host, ListUploads::default()).await
}

/// The uploads of a key, the newest first.
async fn of_key<H: TrackedHost>(host: &H, key: &str) -> Vec<Upload> {
    let query = ListUploads {
        key: Some(key.parse().unwrap()),
        ..ListUploads::default()
    };
    page(host, query).await.uploads
}

/// The one upload of a key.
async fn only<H: TrackedHost>(host: &H, key: &str) -> Upload {
    let [upload] = of_key(host, key).await.try_into().unwrap();
    upload
}

async fn content<H: TrackedHost>(host: &H, id: &UploadId) -> Vec<u8> {
    let body = host.tracker().content(id, None).await.unwrap();
    read_to_bytes(body, 1 << 20).await.unwrap().to_vec()
}

fn states(uploads: &[Upload]) -> Vec<UploadState> {
    uploads.iter().map(|upload| upload.state).collect()
}
