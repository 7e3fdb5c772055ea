//! The async face of the depot: each call runs on a thread that may block.

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use s3s::S3Result;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use two_buckets_depot::{Body, Depot, Reader};
use two_buckets_objects::Algorithm;

use crate::error::of_depot;
use crate::payload::BoxError;

/// A body up to this size is collected first and then written in one blocking call.
const SMALL_BODY_BYTES_MAX: u64 = 128 << 10;
/// How many pieces wait between the network and the disk, either way.
const PIECES_WAITING_MAX: usize = 4;
/// The size of pieces read from the disk.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// The depot, called from async code.
#[derive(Clone)]
pub(crate) struct Store(Depot);

impl Store {
    pub(crate) fn new(depot: Depot) -> Self {
        Self(depot)
    }

    /// Runs a call. Dropping the future does not stop the call.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Depot) -> two_buckets_depot::Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let depot = self.0.clone();
        spawn_blocking(move || call(&depot))
            .await
            .expect("the store does not panic, and nobody aborts its calls")
            .map_err(|error| of_depot(&error))
    }

    /// As [`Self::call`], for more than one step on the store.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        steps: impl FnOnce(&Depot) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let depot = self.0.clone();
        spawn_blocking(move || steps(&depot))
            .await
            .expect("the store does not panic, and nobody aborts its calls")
    }

    /// Writes a body from a stream. Whatever fails, nothing is left of it; so also when the future is dropped.
    pub(crate) async fn write_body<S>(
        &self,
        pieces: S,
        declared: Option<u64>,
        algorithms: Vec<Algorithm>,
        size_bytes_max: u64,
    ) -> S3Result<Body>
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Unpin,
    {
        if declared.is_some_and(|size| size <= SMALL_BODY_BYTES_MAX) {
            return self
                .write_small_body(pieces, algorithms, size_bytes_max)
                .await;
        }
        self.write_large_body(pieces, algorithms, size_bytes_max)
            .await
    }

    async fn write_small_body<S>(
        &self,
        mut pieces: S,
        algorithms: Vec<Algorithm>,
        size_bytes_max: u64,
    ) -> S3Result<Body>
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Unpin,
    {
        let mut collected = Vec::new();
        while let Some(piece) = pieces.next().await {
            collected.push(piece.map_err(crate::error::of_body)?);
        }
        self.call(move |depot| {
            let mut writer = depot.body_writer(&algorithms, size_bytes_max);
            for piece in &collected {
                writer.write(piece)?;
            }
            writer.finish()
        })
        .await
    }

    async fn write_large_body<S>(
        &self,
        mut pieces: S,
        algorithms: Vec<Algorithm>,
        size_bytes_max: u64,
    ) -> S3Result<Body>
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Unpin,
    {
        // `None` says that the body is whole. A sender that goes away without it, because the client broke off or
        // sent something wrong, makes the writer drop what it has.
        let (sender, mut receiver) = mpsc::channel::<Option<Bytes>>(PIECES_WAITING_MAX);
        let depot = self.0.clone();
        let writing = spawn_blocking(move || {
            let mut writer = depot.body_writer(&algorithms, size_bytes_max);
            while let Some(piece) = receiver.blocking_recv() {
                match piece {
                    Some(piece) => writer.write(&piece)?,
                    None => return writer.finish().map(Some),
                }
            }
            Ok(None)
        });
        let mut failure = None;
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => {
                    if sender.send(Some(piece)).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    failure = Some(crate::error::of_body(error));
                    break;
                }
            }
        }
        if failure.is_none() {
            // Fails only if the writer has ended already, with the error read below.
            let _ended: Result<(), _> = sender.send(None).await;
        }
        drop(sender);
        let written: two_buckets_depot::Result<Option<Body>> = writing
            .await
            .expect("the store does not panic, and nobody aborts its calls");
        match (failure, written) {
            (Some(error), _) => Err(error),
            (None, Ok(Some(body))) => Ok(body),
            (None, Ok(None)) => unreachable!("the sender said that the body is whole"),
            (None, Err(error)) => Err(of_depot(&error)),
        }
    }

    /// The bytes of a reader, read ahead by a few pieces. Dropping the stream ends the reading.
    pub(crate) fn read_pieces(
        mut reader: Reader,
    ) -> impl Stream<Item = two_buckets_depot::Result<Bytes>> + Send + Sync + 'static {
        let (sender, receiver) =
            mpsc::channel::<two_buckets_depot::Result<Bytes>>(PIECES_WAITING_MAX);
        // Owned by the stream: it ends when the receiver is gone or the bytes are.
        spawn_blocking(move || {
            loop {
                let piece = match reader.next_piece(PIECE_BYTES) {
                    Ok(piece) if piece.is_empty() => return,
                    Ok(piece) => Ok(piece),
                    Err(error) => {
                        // The status went out long ago; the client sees a body that is too short.
                        tracing::error!(%error, "reading an object failed in the middle");
                        Err(error)
                    }
                };
                let failed = piece.is_err();
                if sender.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        });
        futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        })
    }

    /// All bytes of a reader that is known to be small.
    pub(crate) fn read_small(mut reader: Reader) -> two_buckets_depot::Result<Bytes> {
        let first = reader.next_piece(PIECE_BYTES)?;
        if reader.remaining_bytes() == 0 {
            return Ok(first);
        }
        let mut whole = first.to_vec();
        loop {
            let piece = reader.next_piece(PIECE_BYTES)?;
            if piece.is_empty() {
                return Ok(whole.into());
            }
            whole.extend_from_slice(&piece);
        }
    }

    /// Whether a body of this size is read in one call, without a thread that stays with it.
    pub(crate) fn is_small(size_bytes: u64) -> bool {
        size_bytes <= SMALL_BODY_BYTES_MAX
    }
}
