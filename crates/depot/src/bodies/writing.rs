//! Bodies on their way in.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest as _, Md5};
use two_buckets_objects::{Algorithm, Hasher};

use super::{Body, Content};
use crate::engine::{BlobWriter, CHUNK_BYTES, Shared, TRANSACTION_BYTES_MAX};
use crate::{Depot, Error, Result};

/// The largest body that can live in the log, whatever the options say: a record is held in memory whole.
const SMALL_BODY_BYTES_LIMIT: usize = 4 << 20;
const _: () = assert!(2 * SMALL_BODY_BYTES_LIMIT <= TRANSACTION_BYTES_MAX);

/// A body on its way in. Small ones stay in memory, others go to a file as they come, so memory is bounded whatever
/// the size. Dropping it removes what was written.
pub struct BodyWriter {
    hashes: BodyHashes,
    storer: BodyStorer,
}

/// The half of a [`BodyWriter`] that hashes.
pub struct BodyHashes {
    size_bytes: u64,
    md5: Md5,
    hashers: Vec<Hasher>,
}

/// The half of a [`BodyWriter`] that keeps the bytes. Dropping it removes what was written.
pub struct BodyStorer {
    shared: Arc<Shared>,
    size_bytes_max: u64,
    small_bytes_max: usize,
    size_bytes: u64,
    /// What is not written to the file yet, as it came: it is written from where it is, so that no memory is taken on one
    /// thread for another to give back, of which allocators keep much.
    pieces: VecDeque<Bytes>,
    pieces_bytes: usize,
    blob: Option<BlobWriter>,
}

/// In more pieces than this a chunk is copied together before it is written.
const PIECES_WRITTEN_MAX: usize = 16;

impl Depot {
    /// Begins a body. The MD5 and CRC64NVME are always computed, and these algorithms as well.
    /// More than `size_bytes_max` bytes fail with [`Error::EntityTooLarge`](crate::Error::EntityTooLarge).
    pub fn body_writer(&self, algorithms: &[Algorithm], size_bytes_max: u64) -> BodyWriter {
        BodyWriter::new(
            self.inner.engine.shared(),
            algorithms,
            size_bytes_max,
            self.small_body_bytes_max(),
        )
    }

    /// The largest body that lives in the log and needs no file of its own.
    pub fn small_body_bytes_max(&self) -> usize {
        self.inner
            .options
            .small_body_bytes_max
            .min(SMALL_BODY_BYTES_LIMIT)
    }
}

impl BodyWriter {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        algorithms: &[Algorithm],
        size_bytes_max: u64,
        small_bytes_max: usize,
    ) -> Self {
        // The first is the one the engine itself checks small bodies by.
        let mut wanted = vec![Algorithm::Crc64Nvme];
        for algorithm in algorithms {
            if !wanted.contains(algorithm) {
                wanted.push(*algorithm);
            }
        }
        Self {
            hashes: BodyHashes {
                size_bytes: 0,
                md5: Md5::new(),
                hashers: wanted.into_iter().map(Algorithm::hasher).collect(),
            },
            storer: BodyStorer {
                shared: Arc::clone(shared),
                size_bytes_max,
                small_bytes_max,
                size_bytes: 0,
                pieces: VecDeque::new(),
                pieces_bytes: 0,
                blob: None,
            },
        }
    }

    /// Takes the next bytes. Blocks on the disk. After an error the body cannot be finished; drop it.
    pub fn write(&mut self, bytes: &Bytes) -> Result<()> {
        self.storer.write(bytes)?;
        self.hashes.update(bytes);
        Ok(())
    }

    /// Both halves, for hashing on one thread what another writes: each takes about as long as the other. A body whose
    /// halves were not given the same bytes is [`Error::InvalidArgument`] in the end, as far as their numbers tell.
    pub fn split(self) -> (BodyHashes, BodyStorer) {
        (self.hashes, self.storer)
    }

    /// The writer whose halves these are.
    pub fn join(hashes: BodyHashes, storer: BodyStorer) -> Self {
        Self { hashes, storer }
    }

    /// The bytes taken so far.
    pub fn size_bytes(&self) -> u64 {
        self.storer.size_bytes
    }

    /// Ends the body and syncs its file, if it has one. A sync that fails ends writing to the whole store
    /// ([`Error::ReadOnly`]).
    pub fn finish(self) -> Result<Body> {
        let Self { hashes, storer } = self;
        let size_bytes = storer.size_bytes;
        if hashes.size_bytes != size_bytes {
            return Err(Error::InvalidArgument(format!(
                "{} bytes of a body were hashed and {size_bytes} written",
                hashes.size_bytes
            )));
        }
        Ok(Body {
            content: storer.finish()?,
            size_bytes,
            md5: hashes.md5.finalize().into(),
            checksums: hashes.hashers.into_iter().map(Hasher::finish).collect(),
        })
    }
}

impl BodyHashes {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &Bytes) {
        self.size_bytes += bytes.len() as u64;
        self.md5.update(bytes);
        for hasher in &mut self.hashers {
            hasher.update(bytes);
        }
    }
}

impl BodyStorer {
    /// Takes the next bytes. Blocks on the disk. After an error the body cannot be finished; drop it.
    pub fn write(&mut self, bytes: &Bytes) -> Result<()> {
        let size_bytes = self.size_bytes + bytes.len() as u64;
        if size_bytes > self.size_bytes_max {
            return Err(Error::EntityTooLarge {
                size_bytes_max: self.size_bytes_max,
            });
        }
        self.shared.take_note_of_bytes(bytes.len());
        self.size_bytes = size_bytes;
        self.pieces.push_back(bytes.clone());
        self.pieces_bytes += bytes.len();
        if size_bytes <= self.small_bytes_max as u64 {
            return Ok(());
        }
        // Before there was a file more than a chunk may have come, if small bodies may be that large.
        while self.pieces_bytes >= CHUNK_BYTES {
            self.spill(CHUNK_BYTES)?;
        }
        Ok(())
    }

    /// Writes the first bytes that wait as a chunk of the file.
    fn spill(&mut self, size: usize) -> Result<()> {
        let blob = match &mut self.blob {
            Some(blob) => blob,
            None => self.blob.insert(BlobWriter::create(&self.shared)?),
        };
        let mut chunk = Vec::new();
        let mut missing = size;
        while missing > 0
            && let Some(mut piece) = self.pieces.pop_front()
        {
            if piece.len() > missing {
                self.pieces.push_front(piece.split_off(missing));
            }
            missing -= piece.len();
            chunk.push(piece);
        }
        self.pieces_bytes -= size;
        if chunk.len() > PIECES_WRITTEN_MAX {
            chunk = vec![joined(chunk)];
        }
        blob.chunk(&chunk)
    }

    fn finish(mut self) -> Result<Content> {
        if self.size_bytes > self.small_bytes_max as u64 && self.pieces_bytes > 0 {
            self.spill(self.pieces_bytes)?;
        }
        match self.blob {
            Some(blob) => Ok(Content::Blob(blob.finish()?)),
            None => Ok(Content::Small(joined(self.pieces.into()))),
        }
    }
}

/// One piece as it is, several in one.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() > 1 {
        return pieces.concat().into();
    }
    pieces.pop().unwrap_or_default()
}
