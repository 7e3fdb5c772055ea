use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest as _, Md5};
use two_buckets_objects::{Algorithm, Checksum, Hasher};

use crate::engine::{
    BlobFile, BlobReader, BlobWriter, BodyId, CHUNK_BYTES, Pinned, Place, Shared,
    TRANSACTION_BYTES_MAX,
};
use crate::{Depot, Error, Result};

/// A body on its way in. Small ones stay in memory, others go to a file as they come, so memory is bounded whatever
/// the size. Dropping it removes what was written.
pub struct BodyWriter {
    shared: Arc<Shared>,
    size_bytes_max: u64,
    small_bytes_max: usize,
    size_bytes: u64,
    /// The only piece so far, which need not be copied if no other comes.
    only: Bytes,
    /// What is not written to the file yet.
    buffer: Vec<u8>,
    blob: Option<BlobWriter>,
    md5: Md5,
    hashers: Vec<Hasher>,
}

/// A body that is whole and, if it has a file, synced; not yet part of any object. Dropping it removes its file.
pub struct Body {
    content: Content,
    size_bytes: u64,
    md5: [u8; 16],
    checksums: Vec<Checksum>,
}

/// The largest body that can live in the log, whatever the options say: a record is held in memory whole.
const SMALL_BODY_BYTES_LIMIT: usize = 4 << 20;
const _: () = assert!(2 * SMALL_BODY_BYTES_LIMIT <= TRANSACTION_BYTES_MAX);

/// Where a body is until its transaction is durable.
pub(crate) enum Content {
    Small(Bytes),
    Blob(BlobFile),
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
            shared: Arc::clone(shared),
            size_bytes_max,
            small_bytes_max,
            size_bytes: 0,
            only: Bytes::new(),
            buffer: Vec::new(),
            blob: None,
            md5: Md5::new(),
            hashers: wanted.into_iter().map(Algorithm::hasher).collect(),
        }
    }

    /// Takes the next bytes. Blocks on the disk. After an error the body cannot be finished; drop it.
    pub fn write(&mut self, bytes: &Bytes) -> Result<()> {
        let size_bytes = self.size_bytes + bytes.len() as u64;
        if size_bytes > self.size_bytes_max {
            return Err(Error::EntityTooLarge {
                size_bytes_max: self.size_bytes_max,
            });
        }
        self.shared.take_note_of_bytes(bytes.len());
        self.md5.update(bytes);
        for hasher in &mut self.hashers {
            hasher.update(bytes);
        }
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

    /// The bytes taken so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Ends the body and syncs its file, if it has one. A sync that fails ends writing to the whole store
    /// ([`Error::ReadOnly`]).
    pub fn finish(mut self) -> Result<Body> {
        let content = match self.blob {
            None if self.only.is_empty() => Content::Small(self.buffer.into()),
            None => Content::Small(self.only),
            Some(mut blob) => {
                if !self.buffer.is_empty() {
                    blob.chunk(&std::mem::take(&mut self.buffer))?;
                }
                Content::Blob(blob.finish()?)
            }
        };
        Ok(Body {
            content,
            size_bytes: self.size_bytes,
            md5: self.md5.finalize().into(),
            checksums: self.hashers.into_iter().map(Hasher::finish).collect(),
        })
    }
}

impl Body {
    /// The size.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The MD5 of the bytes.
    pub fn md5(&self) -> [u8; 16] {
        self.md5
    }

    /// The checksum by this algorithm, if it was asked for when the body was begun.
    pub fn checksum(&self, algorithm: Algorithm) -> Option<&Checksum> {
        self.checksums
            .iter()
            .find(|checksum| checksum.algorithm == algorithm)
    }

    /// The id it has already, because its file is named by it.
    pub(crate) fn id(&self) -> Option<BodyId> {
        match &self.content {
            Content::Small(_) => None,
            Content::Blob(blob) => Some(blob.id()),
        }
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// The CRC64NVME of the bytes.
    pub(crate) fn crc64(&self) -> &[u8] {
        &self
            .checksum(Algorithm::Crc64Nvme)
            .expect("a writer always computes it")
            .value
    }

    /// Leaves the file on the disk, because a row names it or may name it.
    pub(crate) fn keep(&mut self) {
        if let Content::Blob(blob) = &mut self.content {
            blob.keep();
        }
    }
}

/// Reads the bytes of one version from some place on, in order. Keeps them readable though the version be deleted meanwhile.
///
/// What was read is checked: bytes that are not the ones written are answered by [`Error::Corrupt`], never given out.
pub struct Reader {
    pieces: VecDeque<Piece>,
    opened: Option<Opened>,
    remaining_bytes: u64,
    pinned: Pinned,
}

/// A range of one body.
struct Piece {
    id: BodyId,
    place: Place,
    range: Range<u64>,
}

/// What of the first piece was read already.
enum Opened {
    Small(Bytes),
    Blob {
        file: BlobReader,
        /// The chunk read last, and its number.
        chunk: Option<(u64, Bytes)>,
    },
}

impl Reader {
    /// A reader of these ranges of these bodies one behind the other. None if one of the bodies is gone: the row that
    /// named it was replaced meanwhile, look it up again.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        pieces: Vec<(BodyId, Range<u64>)>,
    ) -> Result<Option<Self>> {
        let Some((pinned, places)) = Pinned::new(shared, pieces.iter().map(|(id, _)| *id))? else {
            return Ok(None);
        };
        let pieces: VecDeque<Piece> = pieces
            .into_iter()
            .zip(places)
            .filter(|((_, range), _)| !range.is_empty())
            .map(|((id, range), place)| Piece { id, place, range })
            .collect();
        for piece in &pieces {
            if piece.range.end > piece.place.size_bytes() {
                return Err(Error::Corrupt {
                    what: format!("body {}, which is shorter than its object", piece.id),
                });
            }
        }
        let remaining_bytes = pieces
            .iter()
            .map(|piece| piece.range.end - piece.range.start)
            .sum();
        let opened = pieces
            .front()
            .and_then(|first| shared.at_hand(first.id))
            .map(Opened::Small);
        Ok(Some(Self {
            pieces,
            opened,
            remaining_bytes,
            pinned,
        }))
    }

    /// Whether all that is left is in memory, so that [`Self::next_piece`] does not wait for the disk.
    pub fn is_at_hand(&self) -> bool {
        match &self.opened {
            None => self.pieces.is_empty(),
            Some(Opened::Small(_)) => self.pieces.len() == 1,
            Some(Opened::Blob { .. }) => false,
        }
    }

    /// The next piece, at most `size_bytes_max` long; empty at the end. Blocks on the disk.
    pub fn next_piece(&mut self, size_bytes_max: usize) -> Result<Bytes> {
        let Some(piece) = self.pieces.front_mut() else {
            return Ok(Bytes::new());
        };
        let opened = match self.opened.take() {
            Some(opened) => self.opened.insert(opened),
            None => self
                .opened
                .insert(Opened::new(self.pinned.shared(), piece)?),
        };
        let most = (size_bytes_max as u64).min(piece.range.end - piece.range.start);
        let bytes = opened.bytes(piece.range.start, most)?;
        piece.range.start += bytes.len() as u64;
        self.remaining_bytes -= bytes.len() as u64;
        if piece.range.is_empty() {
            self.pieces.pop_front();
            self.opened = None;
        }
        Ok(bytes)
    }

    /// How many bytes are left.
    pub fn remaining_bytes(&self) -> u64 {
        self.remaining_bytes
    }
}

impl Opened {
    fn new(shared: &Shared, piece: &Piece) -> Result<Self> {
        Ok(match piece.place {
            Place::Log { .. } => Self::Small(shared.read_from_log(piece.id, piece.place)?),
            Place::Blob { size_bytes } => Self::Blob {
                file: BlobReader::open(shared, piece.id, size_bytes)?,
                chunk: None,
            },
        })
    }

    /// Some of the bytes from an offset on, at most so many.
    fn bytes(&mut self, offset: u64, most: u64) -> Result<Bytes> {
        match self {
            Self::Small(bytes) => Ok(slice(bytes, offset, most)),
            Self::Blob { file, chunk } => {
                let index = offset / CHUNK_BYTES as u64;
                let bytes = match chunk {
                    Some((at, bytes)) if *at == index => bytes,
                    _ => &chunk.insert((index, file.chunk(index)?)).1,
                };
                Ok(slice(bytes, offset % CHUNK_BYTES as u64, most))
            }
        }
    }
}

/// At most so many bytes from an offset on.
fn slice(bytes: &Bytes, offset: u64, most: u64) -> Bytes {
    let place = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
    bytes.slice(place(offset)..place(offset.saturating_add(most)))
}
