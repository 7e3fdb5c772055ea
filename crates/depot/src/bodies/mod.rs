//! The bytes of objects, on their way in and out.

mod reading;
mod writing;

use two_buckets_objects::{Algorithm, Checksum};

pub use reading::Reader;
pub use writing::{BodyHashes, BodyStorer, BodyWriter};

use crate::engine::{BlobFile, BodyId};

/// A body that is whole and, if it has a file, synced; not yet part of any object. Dropping it removes its file.
pub struct Body {
    content: Content,
    size_bytes: u64,
    md5: [u8; 16],
    checksums: Vec<Checksum>,
}

/// Where a body is until its transaction is durable.
pub(crate) enum Content {
    Small(bytes::Bytes),
    Blob(BlobFile),
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
