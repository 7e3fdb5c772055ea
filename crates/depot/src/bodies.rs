use bytes::Bytes;
use two_buckets_objects::{Algorithm, Checksum};

use crate::{Depot, Result};

/// A body on its way in. Small ones stay in memory, others go to a file as they come, so memory is bounded whatever
/// the size. Dropping it removes what was written.
pub struct BodyWriter {}

/// A body that is whole and, if it has a file, synced; not yet part of any object. Dropping it removes its file.
pub struct Body {}

impl Depot {
    /// Begins a body. The MD5 and CRC64NVME are always computed, and these algorithms as well.
    /// More than `size_bytes_max` bytes fail with [`Error::EntityTooLarge`](crate::Error::EntityTooLarge).
    pub fn body_writer(&self, algorithms: &[Algorithm], size_bytes_max: u64) -> BodyWriter {
        let _ = (algorithms, size_bytes_max);
        unimplemented!()
    }
}

impl BodyWriter {
    /// Takes the next bytes. Blocks on the disk.
    pub fn write(&mut self, bytes: &Bytes) -> Result<()> {
        let _ = bytes;
        unimplemented!()
    }

    /// The bytes taken so far.
    pub fn size_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// Ends the body and syncs its file, if it has one.
    pub fn finish(self) -> Result<Body> {
        unimplemented!()
    }
}

impl Body {
    /// The size.
    pub fn size_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// The MD5 of the bytes.
    pub fn md5(&self) -> [u8; 16] {
        unimplemented!()
    }

    /// The checksum by this algorithm, if it was asked for when the body was begun.
    pub fn checksum(&self, algorithm: Algorithm) -> Option<&Checksum> {
        let _ = algorithm;
        unimplemented!()
    }
}

/// Reads the bytes of one version from some place on, in order. Keeps them readable though the version be deleted meanwhile.
pub struct Reader {}

impl Reader {
    /// The next piece, at most `size_bytes_max` long; empty at the end. Blocks on the disk.
    pub fn next_piece(&mut self, size_bytes_max: usize) -> Result<Bytes> {
        let _ = size_bytes_max;
        unimplemented!()
    }

    /// How many bytes are left.
    pub fn remaining_bytes(&self) -> u64 {
        unimplemented!()
    }
}
