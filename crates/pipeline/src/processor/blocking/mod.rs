//! An upload for libraries that are not async: [`std::io::Read`], [`std::io::Seek`] and [`std::io::Write`].

mod failures;
mod reader;
mod seek_reader;
mod tasks;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::Bytes;
use futures::channel::oneshot;
use two_buckets_objects::VersionRef;

use self::failures::{Failures, not_wanted};
use self::tasks::Tasks;
use super::{Incoming, ProcessError};

pub use reader::Reader;
pub use seek_reader::SeekReader;
pub use writer::Writer;

/// What the thread is called, in debuggers and lists of threads.
const THREAD_NAME: &str = "function";

/// An upload on the thread of [`Incoming::blocking`]. Cheap to clone, for threads that the work starts itself.
///
/// Memory is bounded: a [`Reader`] is a few of the store's pieces ahead, a [`Writer`] as many behind.
#[derive(Clone, Debug)]
pub struct Blocking {
    upload: Incoming,
    tasks: Tasks,
    failures: Failures,
}

impl Incoming {
    /// Does work that blocks or computes for long, on a thread of its own, and gives what it gave.
    ///
    /// ```
    /// use std::io::{BufRead as _, Write as _};
    /// use two_buckets_pipeline::{Incoming, ProcessError, Report};
    ///
    /// /// Keeps beside a text how long its lines are.
    /// async fn lengths(upload: Incoming) -> Result<Report, ProcessError> {
    ///     upload
    ///         .blocking(|upload| {
    ///             let mut lengths = upload.output("lengths.txt", "text/plain")?;
    ///             let mut count = 0_u64;
    ///             for line in upload.reader().lines() {
    ///                 writeln!(lengths, "{}", line?.len())?;
    ///                 count += 1;
    ///             }
    ///             lengths.finish()?;
    ///             Report::from_json(format!("{{\"lines\": {count}}}"))
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// **Errors.** A failed read of the upload (the bytes are not those that came, say, or the store is away) reaches the
    /// work as an [`std::io::Error`], and so does a failed write. It is also what the whole fails with, whatever the
    /// work makes of it, because libraries swallow such errors or take them for others: what is truncated by a disk that
    /// failed must not be set aside as malformed. A panic of the work is a panic here.
    ///
    /// **Cancellation.** Dropping the future, or the end of [`Incoming::cancellation`], makes reads and writes fail and
    /// lets nothing more be written. The thread itself ends when the work does; work that computes for long between
    /// reads asks [`Blocking::still_wanted`] now and then.
    pub async fn blocking<T, F>(&self, work: F) -> Result<T, ProcessError>
    where
        T: Send + 'static,
        F: FnOnce(Blocking) -> Result<T, ProcessError> + Send + 'static,
    {
        let (tasks, running) = Tasks::new();
        let failures = Failures::default();
        let blocking = Blocking {
            upload: self.clone(),
            tasks,
            failures: failures.clone(),
        };
        let (tell, done) = oneshot::channel();
        let span = tracing::Span::current();
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                let worked = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| work(blocking))));
                // Where nobody listens, nobody wants it any more.
                _ = tell.send(worked);
            })
            .map_err(|error| ProcessError::transient(error).context("no thread can be started"))?;
        let worked = running.until(done, self.cancellation.clone()).await;
        match (worked.ok_or_else(not_wanted)?, failures.first()) {
            (Err(panic), _) => resume_unwind(panic),
            (Ok(_), Some(failure)) => Err(failure),
            (Ok(worked), None) => worked,
        }
    }
}

impl Blocking {
    /// The upload itself: what is known of it, and its log and progress.
    pub fn upload(&self) -> &Incoming {
        &self.upload
    }

    /// Reads all of it once, from the beginning, checked as by [`Content::stream`](super::Content::stream): only its
    /// end says that all was right. Several may be at work; each reads all.
    pub fn reader(&self) -> Reader {
        Reader::begin(&self.upload.content, &self.tasks, &self.failures)
    }

    /// Reads at any place, for formats with an index at the end. See [`SeekReader`] for what is not checked.
    pub fn seek_reader(&self) -> SeekReader {
        SeekReader::new(&self.upload.content, &self.tasks, &self.failures)
    }

    /// Reads all of it into memory; see [`Content::bytes`](super::Content::bytes).
    pub fn bytes(&self, size_bytes_max: usize) -> Result<Bytes, ProcessError> {
        let content = self.upload.content.clone();
        let read = async move { content.bytes(size_bytes_max).await };
        Ok(self.tasks.wait_for(read)??)
    }

    /// Begins an output, which is there once [`Writer::finish`] has said so and not before. Name and media type are as
    /// for [`Outputs::put`](super::Outputs::put).
    pub fn output(&self, name: &str, media_type: &str) -> Result<Writer, ProcessError> {
        // A name that cannot be is said here, before anything is written.
        self.upload.outputs.key(name)?;
        Ok(Writer::begin(
            &self.upload,
            name,
            media_type,
            &self.tasks,
            &self.failures,
        ))
    }

    /// Writes an output that is in memory, as [`Outputs::put_bytes`](super::Outputs::put_bytes).
    pub fn put_bytes(
        &self,
        name: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<VersionRef, ProcessError> {
        let outputs = self.upload.outputs.clone();
        let (name, media_type, bytes) = (name.to_owned(), media_type.to_owned(), bytes.into());
        let put = async move { outputs.put_bytes(&name, &media_type, bytes).await };
        Ok(self.tasks.wait_for(put)??)
    }

    /// Fails once nobody waits for the work any more, as reads and writes do: `upload.still_wanted()?`.
    pub fn still_wanted(&self) -> Result<(), ProcessError> {
        if self.tasks.are_over() || self.upload.cancellation.is_cancelled() {
            return Err(not_wanted());
        }
        Ok(())
    }
}
