use std::io::{self, Write};

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::executor::block_on;
use futures::{SinkExt as _, StreamExt as _, stream};
use two_buckets_objects::{Body, Error, Result as StoreResult, VersionRef};

use super::failures::{Failures, as_io, not_wanted};
use super::tasks::Tasks;
use crate::{AttemptLog, Incoming, ProcessError};

/// How much is gathered before it is handed over: libraries write a few bytes at a time.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces wait for the store.
const PIECES_BEHIND: usize = 1;

/// What the store is told: bytes, or that they are all.
enum Piece {
    Bytes(Bytes),
    End,
}

/// An output that is being written, as [`Write`].
///
/// It is there, whole and durable, once [`Self::finish`] has said so. One that is dropped before, because the work
/// failed, was cancelled or did not want it after all, leaves nothing; the log of the attempt then says so.
/// [`Write::flush`] only hands over what was gathered.
#[derive(Debug)]
#[must_use = "an output that is not finished is not kept"]
pub struct Writer {
    name: String,
    gathered: Vec<u8>,
    pieces: mpsc::Sender<Piece>,
    /// What became of storing it; none once that was heard.
    stored: Option<oneshot::Receiver<StoreResult<VersionRef>>>,
    failed: Option<ProcessError>,
    failures: Failures,
    log: AttemptLog,
}

impl Writer {
    pub(super) fn begin(
        upload: &Incoming,
        name: &str,
        media_type: &str,
        tasks: &Tasks,
        failures: &Failures,
    ) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_BEHIND);
        let (tell, stored) = oneshot::channel();
        let outputs = upload.outputs.clone();
        let (as_name, media_type) = (name.to_owned(), media_type.to_owned());
        tasks.begin(async move {
            // Where the writer is gone nobody needs to know.
            _ = tell.send(outputs.put(&as_name, &media_type, body(pieces)).await);
        });
        Self {
            name: name.to_owned(),
            gathered: Vec::with_capacity(PIECE_BYTES),
            pieces: sender,
            stored: Some(stored),
            failed: None,
            failures: failures.clone(),
            log: upload.log.clone(),
        }
    }

    /// Ends the output and waits until it is durable; says where it is.
    pub fn finish(mut self) -> Result<VersionRef, ProcessError> {
        self.hand_over()?;
        // If it is not taken, the store has failed, and says so.
        _ = block_on(self.pieces.send(Piece::End));
        self.outcome()
    }

    /// Hands over what was gathered, once there is room.
    fn hand_over(&mut self) -> Result<(), ProcessError> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE_BYTES));
        if block_on(self.pieces.send(Piece::Bytes(piece.into()))).is_ok() {
            return Ok(());
        }
        // It does not take more, so it has failed.
        match self.outcome() {
            Err(failure) => Err(failure),
            Ok(_) => Err(self.fail(ProcessError::Transient(
                "the store ended before the output did".into(),
            ))),
        }
    }

    /// What became of storing it.
    fn outcome(&mut self) -> Result<VersionRef, ProcessError> {
        match self.stored.take().map(block_on) {
            Some(Ok(Ok(at))) => Ok(at),
            Some(Ok(Err(error))) => {
                let failure =
                    ProcessError::from(error).context(format!("the output {}", self.name));
                Err(self.fail(failure))
            }
            Some(Err(oneshot::Canceled)) | None => Err(self.fail(not_wanted())),
        }
    }

    fn fail(&mut self, failure: ProcessError) -> ProcessError {
        self.failures.note(&failure);
        self.failed = Some(failure.clone());
        failure
    }
}

/// The pieces as a body that is whole only if its end was said.
fn body(pieces: mpsc::Receiver<Piece>) -> Body {
    Box::pin(stream::unfold(Some(pieces), |pieces| async {
        let mut pieces = pieces?;
        match pieces.next().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(pieces))),
            Some(Piece::End) => None,
            None => {
                let reason = "it was not finished".into();
                Some((Err(Error::Refused { reason }), None))
            }
        }
    }))
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gathered.len() >= PIECE_BYTES || self.failed.is_some() {
            self.hand_over().map_err(as_io)?;
        }
        let room = PIECE_BYTES - self.gathered.len();
        let taken = bytes.len().min(room);
        self.gathered.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_over().map_err(as_io)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.stored.is_some() && !std::thread::panicking() {
            let line = format!(
                "[the output {} was not finished and is not kept]\n",
                self.name
            );
            self.log.append(line.as_bytes());
        }
    }
}
