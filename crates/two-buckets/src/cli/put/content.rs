//! The bytes of one request: a range of a file, read as it goes, or a piece of a stream, in memory.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::crc64::Crc64;
use crate::cli::api::SentBody;
use crate::failure::Failure;

/// How much is read from a file at a time.
const PIECE_SIZE_BYTES: usize = 256 << 10;
/// How many pieces wait to be sent; with the piece this bounds the memory of one request to about a megabyte.
const PIECES_MAX: usize = 3;

/// What is sent with one request.
#[derive(Clone)]
pub(super) enum Content {
    /// A range of a file.
    File {
        path: Arc<Path>,
        offset: u64,
        size_bytes: u64,
    },
    /// What was read from a stream.
    Memory(Bytes),
}

impl Content {
    /// How many bytes it has.
    pub(super) fn size_bytes(&self) -> u64 {
        match self {
            Self::File { size_bytes, .. } => *size_bytes,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The CRC-64/NVME of its bytes.
    pub(super) async fn crc64(&self) -> Result<Crc64, Failure> {
        self.digest(Crc64::default(), Crc64::update).await
    }

    /// The SHA-256 of its bytes.
    pub(super) async fn sha256(&self) -> Result<[u8; 32], Failure> {
        let hasher = self.digest(Sha256::new(), |hasher, piece| hasher.update(piece));
        Ok(hasher.await?.finalize().into())
    }

    /// Reads all of it, on a thread of its own.
    async fn digest<T: Send + 'static>(
        &self,
        mut digest: T,
        take: fn(&mut T, &[u8]),
    ) -> Result<T, Failure> {
        let content = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            content.read(|piece| {
                take(&mut digest, &piece);
                true
            })?;
            Ok::<_, io::Error>(digest)
        });
        read.await
            .map_err(|error| Failure::failed(format!("reading stopped: {error}")))?
            .map_err(|error| Failure::failed(format!("it cannot be read: {error}")))
    }

    /// The bytes as a body to send; `progress` hears of each piece handed to the connection.
    pub(super) fn body(&self, progress: mpsc::UnboundedSender<u64>) -> SentBody {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let content = self.clone();
        tokio::task::spawn_blocking(move || {
            let read = content.read(|piece| {
                // The receiver is gone when the request ended early; then reading on is of no use.
                sender.blocking_send(Ok(piece)).is_ok()
            });
            if let Err(error) = read
                && sender.blocking_send(Err(error)).is_err()
            {
                tracing::debug!("a file could not be read, and its request had ended already");
            }
        });
        Streamed {
            pieces,
            remaining_bytes: self.size_bytes(),
            progress,
        }
        .boxed()
    }

    /// Reads piece by piece until `take` wants no more. A file that ends early is an error: it shrank.
    fn read(&self, mut take: impl FnMut(Bytes) -> bool) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                let mut rest = bytes.clone();
                while !rest.is_empty() && take(rest.split_to(rest.len().min(PIECE_SIZE_BYTES))) {}
                Ok(())
            }
            Self::File {
                path,
                offset,
                size_bytes,
            } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                let mut remaining = *size_bytes;
                while remaining > 0 {
                    let wanted = usize::try_from(remaining)
                        .map_or(PIECE_SIZE_BYTES, |n| n.min(PIECE_SIZE_BYTES));
                    let mut piece = vec![0; wanted];
                    file.read_exact(&mut piece)?;
                    remaining -= wanted as u64;
                    if !take(piece.into()) {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

struct Streamed {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    remaining_bytes: u64,
    progress: mpsc::UnboundedSender<u64>,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(piece) = ready!(self.pieces.poll_recv(cx)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(piece.map(|piece| {
            let size_bytes = piece.len() as u64;
            self.remaining_bytes = self.remaining_bytes.saturating_sub(size_bytes);
            if self.progress.send(size_bytes).is_err() {
                tracing::trace!("nobody looks at the progress any more");
            }
            Frame::data(piece)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining_bytes)
    }
}
