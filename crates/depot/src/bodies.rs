use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5};
use two_buckets_objects::{Algorithm, Checksum, Hasher};

use crate::engine::{BodyId, Shared};
use crate::{Depot, Error, Result};

/// A body on its way in. Small ones stay in memory, others go to a file as they come, so memory is bounded whatever
/// the size. Dropping it removes what was written.
pub struct BodyWriter {
    size_bytes_max: u64,
    bytes: BytesMut,
    md5: Md5,
    hashers: Vec<Hasher>,
}

/// A body that is whole and, if it has a file, synced; not yet part of any object. Dropping it removes its file.
pub struct Body {
    bytes: Bytes,
    md5: [u8; 16],
    checksums: Vec<Checksum>,
}

impl Depot {
    /// Begins a body. The MD5 and CRC64NVME are always computed, and these algorithms as well.
    /// More than `size_bytes_max` bytes fail with [`Error::EntityTooLarge`](crate::Error::EntityTooLarge).
    pub fn body_writer(&self, algorithms: &[Algorithm], size_bytes_max: u64) -> BodyWriter {
        let mut wanted = vec![Algorithm::Crc64Nvme];
        for algorithm in algorithms {
            if !wanted.contains(algorithm) {
                wanted.push(*algorithm);
            }
        }
        BodyWriter {
            size_bytes_max,
            bytes: BytesMut::new(),
            md5: Md5::new(),
            hashers: wanted.into_iter().map(Algorithm::hasher).collect(),
        }
    }
}

impl BodyWriter {
    /// Takes the next bytes. Blocks on the disk.
    pub fn write(&mut self, bytes: &Bytes) -> Result<()> {
        if self.size_bytes() + bytes.len() as u64 > self.size_bytes_max {
            return Err(Error::EntityTooLarge {
                size_bytes_max: self.size_bytes_max,
            });
        }
        self.md5.update(bytes);
        for hasher in &mut self.hashers {
            hasher.update(bytes);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The bytes taken so far.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Ends the body and syncs its file, if it has one.
    pub fn finish(self) -> Result<Body> {
        Ok(Body {
            bytes: self.bytes.freeze(),
            md5: self.md5.finalize().into(),
            checksums: self.hashers.into_iter().map(Hasher::finish).collect(),
        })
    }
}

impl Body {
    /// The size.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
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
        None
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// Reads the bytes of one version from some place on, in order. Keeps them readable though the version be deleted meanwhile.
pub struct Reader {
    shared: Arc<Shared>,
    pieces: std::vec::IntoIter<(BodyId, Range<u64>)>,
    current: Option<(BodyId, Range<u64>)>,
    remaining_bytes: u64,
}

impl Reader {
    /// A reader of these ranges of these bodies one behind the other. None if one of the bodies is gone: the row that
    /// named it was replaced meanwhile, look it up again.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        pieces: Vec<(BodyId, Range<u64>)>,
    ) -> Result<Option<Self>> {
        for (id, _) in &pieces {
            if shared.read_body(*id, 0, 0)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            shared: Arc::clone(shared),
            remaining_bytes: pieces
                .iter()
                .map(|(_, range)| range.end - range.start)
                .sum(),
            pieces: pieces.into_iter(),
            current: None,
        }))
    }

    /// The next piece, at most `size_bytes_max` long; empty at the end. Blocks on the disk.
    pub fn next_piece(&mut self, size_bytes_max: usize) -> Result<Bytes> {
        loop {
            let Some((id, range)) = self.current.take().or_else(|| self.pieces.next()) else {
                return Ok(Bytes::new());
            };
            if range.is_empty() {
                continue;
            }
            let most = usize::try_from(range.end - range.start)
                .unwrap_or(usize::MAX)
                .min(size_bytes_max);
            let Some(bytes) = self.shared.read_body(id, range.start, most)? else {
                return Err(Error::Corrupt {
                    what: format!("body {id}"),
                });
            };
            self.current = Some((id, range.start + bytes.len() as u64..range.end));
            self.remaining_bytes -= bytes.len() as u64;
            return Ok(bytes);
        }
    }

    /// How many bytes are left.
    pub fn remaining_bytes(&self) -> u64 {
        self.remaining_bytes
    }
}
