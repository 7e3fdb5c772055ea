//! The checksum of a multipart object from those of its parts, without reading a byte again
//! (S3 User Guide, "Checking object integrity", "Full object and composite checksum types").

use crc_fast::{CrcAlgorithm, checksum_combine};
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
    crc: CrcAlgorithm,
    parts: impl Iterator<Item = (&'a Checksum, u64)>,
) -> Checksum {
    let whole = parts
        .map(|(checksum, size_bytes)| (number(&checksum.value), size_bytes))
        .reduce(|(front, front_bytes), (back, back_bytes)| {
            (
                checksum_combine(crc, front, back, back_bytes),
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

fn crc(algorithm: Algorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        Algorithm::Sha1 | Algorithm::Sha256 => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use two_buckets_objects::{Algorithm, Checksum, ChecksumKind};

    use super::{kind_for, of_object};

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
