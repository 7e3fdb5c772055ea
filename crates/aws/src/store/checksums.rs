//! Checksums as S3 writes them: base64, and behind those of parts a hyphen and their number.

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType};
use aws_smithy_types::base64;
use two_buckets_objects::{Algorithm, Checksum, ChecksumKind};

pub(super) fn algorithm(algorithm: Algorithm) -> ChecksumAlgorithm {
    match algorithm {
        Algorithm::Crc32 => ChecksumAlgorithm::Crc32,
        Algorithm::Crc32c => ChecksumAlgorithm::Crc32C,
        Algorithm::Crc64Nvme => ChecksumAlgorithm::Crc64Nvme,
        Algorithm::Sha1 => ChecksumAlgorithm::Sha1,
        Algorithm::Sha256 => ChecksumAlgorithm::Sha256,
    }
}

/// What a checksum of a multipart upload can cover: only CRCs of parts can be put together to that of the whole
/// (S3 User Guide, "Checking object integrity").
pub(super) fn kind_of_parts(algorithm: Algorithm) -> ChecksumType {
    if can_cover_all(algorithm) {
        ChecksumType::FullObject
    } else {
        ChecksumType::Composite
    }
}

pub(super) fn can_cover_all(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme
    )
}

pub(super) fn text(checksum: &Checksum) -> String {
    let value = base64::encode(&checksum.value);
    match checksum.kind {
        ChecksumKind::FullObject => value,
        ChecksumKind::Composite { parts } => format!("{value}-{parts}"),
    }
}

/// What a text is a checksum of; none if it is not one of this algorithm, or covers what nobody says.
pub(super) fn parse(
    algorithm: Algorithm,
    text: &str,
    kind: Option<&ChecksumType>,
) -> Option<Checksum> {
    let (value, kind) = match (text.split_once('-'), kind) {
        (Some((value, parts)), _) => {
            let parts = parts.parse().ok()?;
            (value, ChecksumKind::Composite { parts })
        }
        (None, Some(ChecksumType::Composite)) => return None,
        (None, _) => (text, ChecksumKind::FullObject),
    };
    let value = base64::decode(value).ok()?;
    (value.len() == algorithm.length_bytes()).then(|| Checksum {
        algorithm,
        kind,
        value: value.into(),
    })
}

/// Sets a checksum on whatever of the SDK takes one.
macro_rules! with_checksum {
    ($builder:expr, $algorithm:expr, $text:expr) => {{
        let (builder, text) = ($builder, $text);
        match $algorithm {
            two_buckets_objects::Algorithm::Crc32 => builder.checksum_crc32(text),
            two_buckets_objects::Algorithm::Crc32c => builder.checksum_crc32_c(text),
            two_buckets_objects::Algorithm::Crc64Nvme => builder.checksum_crc64_nvme(text),
            two_buckets_objects::Algorithm::Sha1 => builder.checksum_sha1(text),
            two_buckets_objects::Algorithm::Sha256 => builder.checksum_sha256(text),
        }
    }};
}

/// The text of one algorithm's checksum in whatever of the SDK may have it.
macro_rules! checksum_in {
    ($output:expr, $algorithm:expr) => {
        match $algorithm {
            two_buckets_objects::Algorithm::Crc32 => $output.checksum_crc32(),
            two_buckets_objects::Algorithm::Crc32c => $output.checksum_crc32_c(),
            two_buckets_objects::Algorithm::Crc64Nvme => $output.checksum_crc64_nvme(),
            two_buckets_objects::Algorithm::Sha1 => $output.checksum_sha1(),
            two_buckets_objects::Algorithm::Sha256 => $output.checksum_sha256(),
        }
    };
}

pub(super) use {checksum_in, with_checksum};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_of_parts_is_never_taken_for_one_of_the_whole() {
        let whole = parse(Algorithm::Crc32, "AAAAAQ==", None).unwrap();
        assert_eq!(whole.kind, ChecksumKind::FullObject);
        assert_eq!(text(&whole), "AAAAAQ==");
        let parts = parse(
            Algorithm::Crc32,
            "AAAAAQ==-3",
            Some(&ChecksumType::Composite),
        )
        .unwrap();
        assert_eq!(parts.kind, ChecksumKind::Composite { parts: 3 });
        assert_eq!(text(&parts), "AAAAAQ==-3");
        assert_eq!(
            parse(Algorithm::Crc32, "AAAAAQ==", Some(&ChecksumType::Composite)),
            None
        );
        for wrong in ["AAAA", "-", "AAAAAQ==-x", "%"] {
            assert_eq!(parse(Algorithm::Crc32, wrong, None), None, "{wrong}");
        }
    }
}
