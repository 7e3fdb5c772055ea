use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

/// A CRC-64/NVME with the number of bytes it covers, so that those of parts can be joined to that of the whole.
#[derive(Clone)]
pub(super) struct Crc64 {
    digest: Digest,
    size_bytes: u64,
}

impl Default for Crc64 {
    fn default() -> Self {
        Self {
            digest: Digest::new(CrcAlgorithm::Crc64Nvme),
            size_bytes: 0,
        }
    }
}

impl Crc64 {
    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }

    /// The value as S3 writes it: base64 of eight bytes, the highest first.
    pub(super) fn text(&self) -> String {
        BASE64.encode(self.digest.finalize().to_be_bytes())
    }

    /// The text of the CRC of what these cover, one behind the other.
    pub(super) fn joined<'a>(parts: impl Iterator<Item = &'a Self>) -> String {
        let whole = parts
            .map(|part| (part.digest.finalize(), part.size_bytes))
            .reduce(|(front, size), (back, back_size)| {
                let joined = checksum_combine(CrcAlgorithm::Crc64Nvme, front, back, back_size);
                (joined, size + back_size)
            });
        match whole {
            Some((crc, _)) => BASE64.encode(crc.to_be_bytes()),
            None => Self::default().text(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Crc64;

    fn of(bytes: &[u8]) -> Crc64 {
        let mut crc = Crc64::default();
        crc.update(bytes);
        crc
    }

    #[test]
    fn the_crc_of_the_parts_joined_is_that_of_the_whole() {
        // The check value of CRC-64/NVME, ae8b14860a799888.
        assert_eq!(of(b"123456789").text(), "rosUhgp5mIg=");
        let parts = [of(b"1"), of(b""), of(b"2345678"), of(b"9")];
        assert_eq!(Crc64::joined(parts.iter()), "rosUhgp5mIg=");
        assert_eq!(Crc64::joined([].iter()), of(b"").text());
    }
}
