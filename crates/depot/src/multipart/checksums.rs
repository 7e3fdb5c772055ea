//! The checksum of a multipart object from those of its parts, without reading a byte again
//! (S3 User Guide, "Checking object integrity", "Full object and composite checksum types").

use two_buckets_objects::{Algorithm, Checksum, ChecksumKind};

use crate::{Error, Result};

/// The kind an upload's checksum has, by S3's table of which go together: CRC64NVME covers the whole object only,
/// SHA-1 and SHA-256 the parts only, CRC32 and CRC32C either, and the parts unless asked otherwise.
pub(super) fn kind_for(algorithm: Algorithm, asked: Option<ChecksumKind>) -> Result<ChecksumKind> {
    let composite = ChecksumKind::Composite { parts: 0 };
    match (algorithm, asked) {
        (Algorithm::Crc64Nvme, None | Some(ChecksumKind::FullObject))
        | (Algorithm::Crc32 | Algorithm::Crc32c, Some(ChecksumKind::FullObject)) => {
            Ok(ChecksumKind::FullObject)
        }
        (Algorithm::Crc64Nvme, Some(ChecksumKind::Composite { .. })) => Err(
            Error::InvalidArgument(format!("{algorithm} has no composite checksum")),
        ),
        (Algorithm::Sha1 | Algorithm::Sha256, Some(ChecksumKind::FullObject)) => {
            Err(Error::InvalidArgument(format!(
                "{algorithm} has no full-object checksum for a multipart upload"
            )))
        }
        (_, None | Some(ChecksumKind::Composite { .. })) => Ok(composite),
    }
}

/// The object's checksum, from its parts' checksums by the same algorithm and their sizes, in part order.
pub(super) fn of_object<'a>(
    algorithm: Algorithm,
    kind: ChecksumKind,
    parts: impl ExactSizeIterator<Item = (&'a Checksum, u64)>,
) -> Checksum {
    match (kind, crc(algorithm)) {
        (ChecksumKind::FullObject, Some(crc)) => full_object(algorithm, crc, parts),
        (ChecksumKind::FullObject, None) => {
            unreachable!("kind_for allows no full-object checksum for a SHA")
        }
        (ChecksumKind::Composite { .. }, _) => composite(algorithm, parts),
    }
}

fn full_object<'a>(
    algorithm: Algorithm,
    crc: Crc,
    parts: impl Iterator<Item = (&'a Checksum, u64)>,
) -> Checksum {
    // Of the parts all but the last have the same size nearly always.
    let mut last_shift = (0, crc.one());
    let whole = parts
        .map(|(checksum, size_bytes)| (number(&checksum.value), size_bytes))
        .reduce(|(front, front_bytes), (back, back_bytes)| {
            if last_shift.0 != back_bytes {
                last_shift = (back_bytes, crc.shift(back_bytes));
            }
            (
                crc.product(front, last_shift.1) ^ back,
                front_bytes + back_bytes,
            )
        });
    let Some((whole, _)) = whole else {
        return algorithm.hasher().finish();
    };
    let wide = whole.to_be_bytes();
    Checksum {
        algorithm,
        kind: ChecksumKind::FullObject,
        value: wide[wide.len() - algorithm.length_bytes()..].into(),
    }
}

fn composite<'a>(
    algorithm: Algorithm,
    parts: impl ExactSizeIterator<Item = (&'a Checksum, u64)>,
) -> Checksum {
    let count = u32::try_from(parts.len()).expect("an upload has at most 10,000 parts");
    let mut outer = algorithm.hasher();
    for (checksum, _) in parts {
        outer.update(&checksum.value);
    }
    Checksum {
        kind: ChecksumKind::Composite { parts: count },
        ..outer.finish()
    }
}

fn number(big_endian: &[u8]) -> u64 {
    big_endian
        .iter()
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// A CRC as a polynomial over GF(2): with its bits reflected, beginning and ending with all of them inverted, so that what
/// was before moves on by a product and what comes is added. The highest bit is the coefficient of x^0.
///
/// `crc-fast` joins two of them by squaring matrices: a tenth of a millisecond and more for each part, and there are up to
/// ten thousand, for which everybody would wait.
#[derive(Clone, Copy)]
struct Crc {
    width: u32,
    generator: u64,
}

fn crc(algorithm: Algorithm) -> Option<Crc> {
    let (width, generator) = match algorithm {
        Algorithm::Crc32 => (32, 0xedb8_8320),
        Algorithm::Crc32c => (32, 0x82f6_3b78),
        Algorithm::Crc64Nvme => (64, 0x9a6c_9329_ac4b_c9b5),
        Algorithm::Sha1 | Algorithm::Sha256 => return None,
    };
    Some(Crc { width, generator })
}

impl Crc {
    const fn one(self) -> u64 {
        1 << (self.width - 1)
    }

    /// What moves a CRC over so many bytes of zeros: x to the power of their bits.
    fn shift(self, size_bytes: u64) -> u64 {
        let mut result = self.one();
        let mut base = self.one() >> 1;
        let mut exponent = size_bytes * 8;
        while exponent != 0 {
            if exponent & 1 == 1 {
                result = self.product(result, base);
            }
            base = self.product(base, base);
            exponent >>= 1;
        }
        result
    }

    /// The product modulo the generator.
    fn product(self, a: u64, mut b: u64) -> u64 {
        let mut product = 0;
        let mut bit = self.one();
        while bit != 0 {
            if a & bit != 0 {
                product ^= b;
            }
            b = (b >> 1) ^ (self.generator & (b & 1).wrapping_neg());
            bit >>= 1;
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use crc_fast::{CrcAlgorithm, checksum_combine};
    use proptest::prelude::*;
    use two_buckets_objects::{Algorithm, Checksum, ChecksumKind};

    use super::{crc, kind_for, of_object};

    fn checksum(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = algorithm.hasher();
        hasher.update(bytes);
        hasher.finish()
    }

    proptest! {
        #[test]
        fn a_full_object_crc_is_that_of_the_joined_parts(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..6),
        ) {
            for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
                let checksums: Vec<_> = parts.iter().map(|part| checksum(algorithm, part)).collect();
                let sized = checksums.iter().zip(&parts).map(|(sum, part)| (sum, part.len() as u64));
                prop_assert_eq!(
                    of_object(algorithm, ChecksumKind::FullObject, sized.collect::<Vec<_>>().into_iter()),
                    checksum(algorithm, &parts.concat())
                );
            }
        }
    }

    proptest! {
        #[test]
        fn crcs_of_parts_of_every_size_are_joined_as_a_library_does(
            front in any::<u64>(), back in any::<u64>(), back_bytes in 0..=(5_u64 << 30),
        ) {
            for (algorithm, theirs) in [
                (Algorithm::Crc32, CrcAlgorithm::Crc32IsoHdlc),
                (Algorithm::Crc32c, CrcAlgorithm::Crc32Iscsi),
                (Algorithm::Crc64Nvme, CrcAlgorithm::Crc64Nvme),
            ] {
                let crc = crc(algorithm).unwrap();
                let (front, back) = (front >> (64 - crc.width), back >> (64 - crc.width));
                let joined = crc.product(front, crc.shift(back_bytes)) ^ back;
                prop_assert_eq!(joined, checksum_combine(theirs, front, back, back_bytes));
            }
        }
    }

    #[test]
    fn a_composite_checksum_is_that_of_the_parts_values_and_counts_them() {
        let parts = [
            checksum(Algorithm::Sha256, b"one"),
            checksum(Algorithm::Sha256, b"two"),
        ];
        let whole = of_object(
            Algorithm::Sha256,
            kind_for(Algorithm::Sha256, None).unwrap(),
            parts.iter().map(|part| (part, 3)),
        );
        let joined = [parts[0].value.clone(), parts[1].value.clone()].concat();
        assert_eq!(whole.value, checksum(Algorithm::Sha256, &joined).value);
        assert_eq!(whole.kind, ChecksumKind::Composite { parts: 2 });
    }

    #[test]
    fn algorithms_and_kinds_go_together_as_on_s3() {
        let full = Some(ChecksumKind::FullObject);
        let composite = Some(ChecksumKind::Composite { parts: 0 });
        for crc in [Algorithm::Crc32, Algorithm::Crc32c] {
            assert_eq!(kind_for(crc, full).ok(), full);
            assert_eq!(kind_for(crc, composite).ok(), composite);
            assert_eq!(kind_for(crc, None).ok(), composite);
        }
        for sha in [Algorithm::Sha1, Algorithm::Sha256] {
            assert!(kind_for(sha, full).is_err());
            assert_eq!(kind_for(sha, None).ok(), composite);
        }
        assert!(kind_for(Algorithm::Crc64Nvme, composite).is_err());
        assert_eq!(kind_for(Algorithm::Crc64Nvme, None).ok(), full);
    }
}
