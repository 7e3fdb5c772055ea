use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::cli::api::SentBody;
use crate::failure::Failure;

/// How much is read from a file at a time.
const PIECE_SIZE_BYTES: usize = 256 << 10;
/// How many pieces wait to be sent; with the piece this bounds the memory of one upload to about a megabyte.
const PIECES_MAX: usize = 3;

/// A file to be uploaded, as it was when it was looked at.
pub(super) struct Source {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its own name.
    pub(super) name: String,
    /// Its size.
    pub(super) size_bytes: u64,
}

impl Source {
    /// Looks at a file and says what is wrong with it in words.
    pub(super) fn look_at(path: &Path) -> Result<Self, String> {
        let refused = |why: &str| format!("{} {why}", path.display());
        let found = File::open(path)
            .and_then(|file| file.metadata())
            .map_err(|error| refused(&format!("cannot be read: {error}")))?;
        if found.is_dir() {
            return Err(refused("is a folder; name its files"));
        }
        if !found.is_file() {
            return Err(refused(
                "is no regular file, so its size is not known beforehand",
            ));
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| refused("has a name that is not UTF-8, and keys are"))?;
        Ok(Self {
            path: path.to_owned(),
            name: name.to_owned(),
            size_bytes: found.len(),
        })
    }

    /// The SHA-256 of a range. Reads on a thread of its own.
    pub(super) async fn sha256(&self, offset: u64, size_bytes: u64) -> Result<String, Failure> {
        let path = self.path.clone();
        let hashed = tokio::task::spawn_blocking(move || {
            let mut hasher = Sha256::new();
            read_range(&path, offset, size_bytes, |piece| {
                hasher.update(&piece);
                true
            })?;
            Ok::<_, io::Error>(hex::encode(hasher.finalize()))
        });
        hashed
            .await
            .map_err(|error| Failure::failed(format!("reading stopped: {error}")))?
            .map_err(|error| Failure::failed(format!("it cannot be read: {error}")))
    }

    /// A range as a body to send, read as it goes; `sent` hears of each piece handed to the connection.
    pub(super) fn body(&self, offset: u64, size_bytes: u64, progress: Progress) -> SentBody {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || {
            let read = read_range(&path, offset, size_bytes, |piece| {
                // The receiver is gone when the request ended early; then reading on is of no use.
                sender.blocking_send(Ok(piece)).is_ok()
            });
            if let Err(error) = read
                && sender.blocking_send(Err(error)).is_err()
            {
                tracing::debug!("a file could not be read, and its request had ended already");
            }
        });
        FileBody {
            pieces,
            remaining_bytes: size_bytes,
            progress,
        }
        .boxed()
    }
}

/// Counts the bytes handed to a connection.
pub(super) type Progress = mpsc::UnboundedSender<u64>;

struct FileBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    remaining_bytes: u64,
    progress: Progress,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.pieces.poll_recv(cx).map(|piece| {
            Some(piece?.map(|piece| {
                let size_bytes = piece.len() as u64;
                self.remaining_bytes = self.remaining_bytes.saturating_sub(size_bytes);
                if self.progress.send(size_bytes).is_err() {
                    tracing::trace!("nobody looks at the progress any more");
                }
                Frame::data(piece)
            }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining_bytes)
    }
}

/// Reads a range piece by piece until `take` wants no more. A file that ends early is an error: it shrank.
fn read_range(
    path: &Path,
    offset: u64,
    size_bytes: u64,
    mut take: impl FnMut(Bytes) -> bool,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut remaining = size_bytes;
    while remaining > 0 {
        let wanted =
            usize::try_from(remaining).map_or(PIECE_SIZE_BYTES, |n| n.min(PIECE_SIZE_BYTES));
        let mut piece = vec![0; wanted];
        file.read_exact(&mut piece)?;
        remaining -= wanted as u64;
        if !take(piece.into()) {
            return Ok(());
        }
    }
    Ok(())
}
