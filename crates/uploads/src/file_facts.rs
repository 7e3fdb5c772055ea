use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use two_buckets_objects::{Algorithm, Checksum, ChecksumKind};

use crate::ContentType;
use crate::problem::Problem;

const CHECKSUM_SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");

/// What a client says of the file it is going to send. Whatever is known is bound to the grant.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileFacts {
    pub(crate) content_type: Option<ContentType>,
    pub(crate) size_bytes: Option<u64>,
    sha256: Option<[u8; 32]>,
}

impl FileFacts {
    /// Reads what was sent. Browsers send an empty type for files they do not know.
    pub(crate) fn read(
        media_type: Option<&str>,
        size_bytes: Option<u64>,
        sha256: Option<&str>,
    ) -> Result<Self, Problem> {
        let content_type = media_type
            .filter(|text| !text.is_empty())
            .map(str::parse::<ContentType>)
            .transpose()
            .map_err(|error| Problem::BadRequest(error.to_string()))?;
        let digest = sha256.map(|text| {
            from_hex(text).ok_or_else(|| {
                Problem::BadRequest("the sha256 must have 64 hexadecimal digits".into())
            })
        });
        Ok(Self {
            content_type,
            size_bytes,
            sha256: digest.transpose()?,
        })
    }

    /// The headers that bind a PUT of the whole file to what is known of it.
    pub(crate) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let content_type = self
            .content_type
            .as_ref()
            .map(|content_type| (CONTENT_TYPE, content_type.as_header().clone()));
        let size = self
            .size_bytes
            .map(|size| (CONTENT_LENGTH, HeaderValue::from(size)));
        let sha256 = self.sha256.map(|digest| {
            let value = HeaderValue::from_str(&BASE64.encode(digest));
            (CHECKSUM_SHA256, value.expect("base64 is a header value"))
        });
        content_type.into_iter().chain(size).chain(sha256).collect()
    }

    /// The checksum the file shall have.
    pub(crate) fn checksum(&self) -> Option<Checksum> {
        self.sha256.map(|digest| Checksum {
            algorithm: Algorithm::Sha256,
            kind: ChecksumKind::FullObject,
            value: digest.into(),
        })
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = (*byte << 4) | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}
