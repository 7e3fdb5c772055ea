use std::fmt;
use std::str::FromStr;

use ring::digest::{Context, SHA256};
use sha1::Digest as _;

/// The checksum algorithms S3 knows for objects (S3 User Guide, "Checking object integrity").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC), 4 bytes.
    Crc32,
    /// CRC-32C (Castagnoli), 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes; S3's own default.
    Crc64Nvme,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

impl Algorithm {
    /// Every algorithm, in the order of the enum.
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The name S3 uses in `x-amz-checksum-algorithm` and in XML, such as `CRC64NVME`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The length of a value in bytes.
    pub fn length_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Starts a computation of this algorithm.
    pub fn hasher(self) -> Hasher {
        use crc_fast::{CrcAlgorithm, Digest};
        Hasher(match self {
            Self::Crc32 => State::Crc(Digest::new(CrcAlgorithm::Crc32IsoHdlc), self),
            Self::Crc32c => State::Crc(Digest::new(CrcAlgorithm::Crc32Iscsi), self),
            Self::Crc64Nvme => State::Crc(Digest::new(CrcAlgorithm::Crc64Nvme), self),
            Self::Sha1 => State::Sha1(sha1::Sha1::new()),
            Self::Sha256 => State::Sha256(Context::new(&SHA256)),
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no checksum algorithm S3 knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the checksum algorithm must be one of CRC32, CRC32C, CRC64NVME, SHA1, SHA256")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownAlgorithm)
    }
}

/// What a checksum covers (S3 API, `x-amz-checksum-type`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChecksumKind {
    /// The bytes of the whole object.
    FullObject,
    /// The checksums of the parts of a multipart upload, in part order; written with `-N` behind.
    Composite {
        /// How many parts.
        parts: u32,
    },
}

/// A checksum's value with its algorithm and what it covers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: Algorithm,
    /// What it covers.
    pub kind: ChecksumKind,
    /// The value, big-endian for CRCs; [`Algorithm::length_bytes`] long.
    pub value: Box<[u8]>,
}

/// A checksum being computed.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Crc(crc_fast::Digest, Algorithm),
    Sha1(sha1::Sha1),
    /// By ring: on a processor without instructions for SHA it takes half the time of the `sha2` crate.
    Sha256(Context),
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(crc, _) => crc.update(bytes),
            State::Sha1(sha) => sha.update(bytes),
            State::Sha256(sha) => sha.update(bytes),
        }
    }

    /// The algorithm this computes.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            State::Crc(_, algorithm) => *algorithm,
            State::Sha1(_) => Algorithm::Sha1,
            State::Sha256(_) => Algorithm::Sha256,
        }
    }

    /// Ends the computation; the result is a [`ChecksumKind::FullObject`] checksum of what was taken.
    pub fn finish(self) -> Checksum {
        let algorithm = self.algorithm();
        let value: Box<[u8]> = match self.0 {
            State::Crc(crc, _) => {
                let wide = crc.finalize().to_be_bytes();
                wide[wide.len() - algorithm.length_bytes()..].into()
            }
            State::Sha1(sha) => sha.finalize().as_slice().into(),
            State::Sha256(sha) => sha.finish().as_ref().into(),
        };
        Checksum {
            algorithm,
            kind: ChecksumKind::FullObject,
            value,
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes every write");
            text
        })
    }

    #[test]
    fn values_are_the_published_check_values() {
        for (algorithm, expected) in [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                Algorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ] {
            let mut hasher = algorithm.hasher();
            hasher.update(b"1234");
            hasher.update(b"56789");
            assert_eq!(hex(&hasher.finish().value), expected, "{algorithm}");
        }
    }
}
