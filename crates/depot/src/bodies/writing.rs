//! Bodies on their way in.

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
    /// The only piece so far, which need not be copied if no other comes.
    only: Bytes,
    /// What is not written to the file yet.
    buffer: Vec<u8>,
    blob: Option<BlobWriter>,
}

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
                only: Bytes::new(),
                buffer: Vec::new(),
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
        let is_small = size_bytes <= self.small_bytes_max as u64;
        if is_small && self.size_bytes == 0 {
            self.only = bytes.clone();
            self.size_bytes = size_bytes;
            return Ok(());
        }
        self.size_bytes = size_bytes;
        let only = std::mem::take(&mut self.only);
        self.buffer.extend_from_slice(&only);
        if is_small {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.spill(bytes)
    }

    /// Takes bytes that go to the file, a whole chunk at a time.
    fn spill(&mut self, mut bytes: &[u8]) -> Result<()> {
        let blob = match &mut self.blob {
            Some(blob) => blob,
            None => self.blob.insert(BlobWriter::create(&self.shared)?),
        };
        loop {
            // Before there was a file the buffer may have grown past a chunk, if small bodies may be that large.
            let mut whole = self.buffer.chunks_exact(CHUNK_BYTES);
            for chunk in &mut whole {
                blob.chunk(chunk)?;
            }
            let rest = whole.remainder().len();
            self.buffer.drain(..self.buffer.len() - rest);
            if bytes.is_empty() {
                return Ok(());
            }
            let (taken, left) = bytes.split_at(bytes.len().min(CHUNK_BYTES - rest));
            self.buffer.extend_from_slice(taken);
            bytes = left;
        }
    }

    fn finish(self) -> Result<Content> {
        Ok(match self.blob {
            None if self.only.is_empty() => Content::Small(self.buffer.into()),
            None => Content::Small(self.only),
            Some(mut blob) => {
                if !self.buffer.is_empty() {
                    blob.chunk(&self.buffer)?;
                }
                Content::Blob(blob.finish()?)
            }
        })
    }
}
