use std::hint::black_box;

use bytes::Bytes;
use two_buckets_objects::Algorithm;

use crate::store::{depot, text};
use crate::{Case, LARGE_BYTES, Run, SMALL_BYTES};

/// S3's own checksum.
pub(crate) const CRC64_SMALL: Case = Case::new("hash-crc64-4k", |_| {
    hashed(Algorithm::Crc64Nvme, SMALL_BYTES)
})
.only_timed();
pub(crate) const CRC64_LARGE: Case = Case::new("hash-crc64-1m", |_| {
    hashed(Algorithm::Crc64Nvme, LARGE_BYTES)
})
.only_timed();

/// What signatures and descriptions use.
pub(crate) const SHA256_SMALL: Case =
    Case::new("hash-sha256-4k", |_| hashed(Algorithm::Sha256, SMALL_BYTES)).only_timed();
pub(crate) const SHA256_LARGE: Case =
    Case::new("hash-sha256-1m", |_| hashed(Algorithm::Sha256, LARGE_BYTES)).only_timed();

/// A body on its way into the store: MD5 for its tag and CRC64NVME. A large one is written to a file in memory too.
pub(crate) const BODY_SMALL: Case = Case::new("hash-body-4k", |_| body(SMALL_BYTES)).only_timed();
pub(crate) const BODY_LARGE: Case = Case::new("hash-body-1m", |_| body(LARGE_BYTES)).only_timed();

fn hashed(algorithm: Algorithm, size_bytes: usize) -> Run {
    let bytes = text(size_bytes);
    Box::new(move || {
        let mut hasher = algorithm.hasher();
        hasher.update(black_box(&bytes));
        black_box(hasher.finish());
    })
}

fn body(size_bytes: usize) -> Run {
    let depot = depot();
    let bytes: Bytes = text(size_bytes);
    Box::new(move || {
        let mut writer = depot.body_writer(&[], size_bytes as u64);
        writer
            .write(black_box(&bytes))
            .expect("memory can be written");
        black_box(writer.finish().expect("memory can be written"));
    })
}
