//! The async face of the depot: calls that may block run on threads made for it, short ones where they are asked for.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use s3s::S3Result;
use tokio::task::{JoinHandle, spawn_blocking};
use two_buckets_depot::{Body, BodyHashes, BodyStorer, BodyWriter, Depot, Reader};
use two_buckets_objects::Algorithm;

use crate::cause::RequestCause;
use crate::error::of_depot;
use crate::payload::BoxError;

/// The size of pieces read from the disk, and the least that is written to it at once but at the end of a body. A body
/// waits in memory for at most twice this and what one read from the network gives.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Why waiting for a blocking call cannot fail.
const NO_PANIC: &str = "the store does not panic, and nobody aborts its calls";

/// The depot, called from async code.
///
/// A thread is taken for one step at a time and never waits for a client, so that slow clients, however many, do not
/// use up the threads.
#[derive(Clone)]
pub(crate) struct Store(Depot);

/// A body received whole, not yet all written.
pub(crate) struct Received {
    algorithms: Vec<Algorithm>,
    size_bytes_max: u64,
    /// What has its beginning, if that was too long to wait in memory.
    writer: Option<BodyWriter>,
    rest: Vec<Bytes>,
}

/// The largest body that is hashed on a thread that others wait for: some hundred microseconds of it.
const HASHED_AT_ONCE_MAX: usize = 64 << 10;

impl Received {
    /// Whether it can be made a body without waiting for the disk, and soon.
    pub(crate) fn is_small(&self, depot: &Depot) -> bool {
        let size: usize = self.rest.iter().map(Bytes::len).sum();
        self.writer.is_none() && size <= depot.small_body_bytes_max().min(HASHED_AT_ONCE_MAX)
    }

    /// Writes what is left and ends the body. Blocks on the disk.
    pub(crate) fn into_body(self, depot: &Depot) -> two_buckets_depot::Result<Body> {
        let mut writer = self
            .writer
            .unwrap_or_else(|| depot.body_writer(&self.algorithms, self.size_bytes_max));
        for piece in &self.rest {
            writer.write(piece)?;
        }
        writer.finish()
    }
}

/// A step that failed in S3's words.
struct Failed(s3s::S3Error);

impl From<two_buckets_depot::Error> for Failed {
    fn from(error: two_buckets_depot::Error) -> Self {
        Self(of_depot(&error))
    }
}

impl Store {
    pub(crate) fn new(depot: Depot) -> Self {
        Self(depot)
    }

    pub(crate) fn depot(&self) -> &Depot {
        &self.0
    }

    /// Runs a call. Dropping the future does not stop the call.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Depot) -> two_buckets_depot::Result<T> + Send + 'static,
    ) -> S3Result<T> {
        self.run(move |depot| call(depot).map_err(|error| of_depot(&error)))
            .await
    }

    /// As [`Self::call`], for more than one step on the store.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        steps: impl FnOnce(&Depot) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let depot = RequestCause::current(&self.0);
        spawn_blocking(move || steps(&depot)).await.expect(NO_PANIC)
    }

    /// Makes calls that only look into the index and write rows, or a body that is in memory, on this thread; ends when
    /// what they wrote is durable. Dropping the future does not undo them.
    pub(crate) async fn begin<T>(&self, steps: impl FnOnce(&Depot) -> S3Result<T>) -> S3Result<T> {
        let begun = RequestCause::current(&self.0).begin(|depot| steps(depot).map_err(Failed));
        begun.await.map_err(|Failed(error)| error)
    }

    /// As [`Self::begin`], where nothing is written.
    #[expect(
        clippy::unused_async,
        reason = "those who call say nothing of where it is done"
    )]
    pub(crate) async fn look<T>(
        &self,
        look: impl FnOnce(&Depot) -> two_buckets_depot::Result<T>,
    ) -> S3Result<T> {
        look(&self.0).map_err(|error| of_depot(&error))
    }

    /// Receives a body from a stream, writing while it comes. Whatever fails, nothing is left of it; so also when the
    /// future is dropped.
    pub(crate) async fn receive<S>(
        &self,
        mut pieces: S,
        algorithms: Vec<Algorithm>,
        size_bytes_max: u64,
    ) -> S3Result<Received>
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Unpin,
    {
        let mut waiting = Vec::new();
        let mut waiting_bytes = 0;
        let mut writing: Option<Writing> = None;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(crate::error::of_body)?;
            waiting_bytes += piece.len();
            waiting.push(piece);
            if waiting_bytes < PIECE_BYTES {
                continue;
            }
            // One write goes on while the next bytes come.
            let writer = match writing.take() {
                None => self.0.body_writer(&algorithms, size_bytes_max),
                Some(writing) => writing.end().await?,
            };
            waiting_bytes = 0;
            writing = Some(Writing::begin(writer, std::mem::take(&mut waiting)));
        }
        Ok(Received {
            algorithms,
            size_bytes_max,
            writer: match writing {
                None => None,
                Some(writing) => Some(writing.end().await?),
            },
            rest: waiting,
        })
    }

    /// The first bytes of a reader.
    pub(crate) async fn first_piece(&self, mut reader: Reader) -> S3Result<(Bytes, Reader)> {
        let is_at_hand = reader.is_at_hand();
        let read = move || {
            let first = reader.next_piece(PIECE_BYTES);
            first.map(|first| (first, reader))
        };
        if is_at_hand {
            return read().map_err(|error| of_depot(&error));
        }
        self.call(move |_| read()).await
    }

    /// The bytes of a reader; some are read while those before are sent, and more at once for a client that waits for them.
    /// Dropping the stream ends the reading.
    pub(crate) fn read_pieces(
        reader: Reader,
    ) -> impl Stream<Item = two_buckets_depot::Result<Bytes>> + Send + Sync + 'static {
        futures::stream::unfold(Some(Reading::begin(reader, 1)), |reading| async move {
            let reading = reading?;
            let is_waited_for = !reading.task.is_finished();
            let at_once = if is_waited_for {
                (reading.at_once * 2).min(PIECES_AT_ONCE_MAX)
            } else {
                1
            };
            let read = reading.task.await.expect(NO_PANIC)?;
            let (next, failed) = match read.reader {
                Ok(reader) => (Some(Reading::begin(reader, at_once)), None),
                Err(error) => {
                    // The status went out long ago; the client sees a body that is too short.
                    tracing::error!(%error, "reading an object failed in the middle");
                    (None, Some(Err(error)))
                }
            };
            let pieces = read.pieces.into_iter().map(Ok).chain(failed);
            Some((futures::stream::iter(pieces), next))
        })
        .flatten()
    }
}

/// The most pieces that are read at once.
const PIECES_AT_ONCE_MAX: usize = 4;

/// Pieces that are being read.
struct Reading {
    task: JoinHandle<Option<Read>>,
    at_once: usize,
}

/// Pieces that were read, and what reads on.
struct Read {
    pieces: Vec<Bytes>,
    reader: two_buckets_depot::Result<Reader>,
}

impl Reading {
    fn begin(mut reader: Reader, at_once: usize) -> Self {
        let task = spawn_blocking(move || {
            let mut pieces = Vec::with_capacity(at_once);
            while pieces.len() < at_once {
                match reader.next_piece(PIECE_BYTES) {
                    Ok(piece) if piece.is_empty() => break,
                    Ok(piece) => pieces.push(piece),
                    Err(error) => {
                        return Some(Read {
                            pieces,
                            reader: Err(error),
                        });
                    }
                }
            }
            (!pieces.is_empty()).then_some(Read {
                pieces,
                reader: Ok(reader),
            })
        });
        Self { task, at_once }
    }
}

/// Pieces that are being hashed by one thread and written by another: one body alone is as fast as the slower of both.
struct Writing {
    hashing: JoinHandle<BodyHashes>,
    storing: JoinHandle<two_buckets_depot::Result<BodyStorer>>,
}

impl Writing {
    fn begin(writer: BodyWriter, pieces: Vec<Bytes>) -> Self {
        let (mut hashes, mut storer) = writer.split();
        let pieces = Arc::new(pieces);
        let hashed = Arc::clone(&pieces);
        Self {
            hashing: spawn_blocking(move || {
                for piece in &*hashed {
                    hashes.update(piece);
                }
                hashes
            }),
            storing: spawn_blocking(move || {
                for piece in &*pieces {
                    storer.write(piece)?;
                }
                Ok(storer)
            }),
        }
    }

    async fn end(self) -> S3Result<BodyWriter> {
        let storer = self.storing.await.expect(NO_PANIC);
        let hashes = self.hashing.await.expect(NO_PANIC);
        match storer {
            Ok(storer) => Ok(BodyWriter::join(hashes, storer)),
            Err(error) => Err(of_depot(&error)),
        }
    }
}
