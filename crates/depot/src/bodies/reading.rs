//! Bodies on their way out.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{BlobReader, BodyId, CHUNK_BYTES, Pinned, Place, Shared};
use crate::{Error, Result};

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
