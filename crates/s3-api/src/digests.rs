//! The digests a client may send with a body: `Content-MD5` and the `x-amz-checksum-*` headers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use md5::Digest as _;
use s3s::S3ErrorCode;
use two_buckets_objects::{Algorithm, Checksum, ChecksumKind};

use crate::auth::unique;
use crate::payload::Trailers;
use crate::refusal::Refusal;

/// The header a checksum by this algorithm travels in.
pub(crate) fn header_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "x-amz-checksum-crc32",
        Algorithm::Crc32c => "x-amz-checksum-crc32c",
        Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        Algorithm::Sha1 => "x-amz-checksum-sha1",
        Algorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

/// The algorithm whose header this is.
pub(crate) fn algorithm_of_header(name: &str) -> Option<Algorithm> {
    Algorithm::ALL
        .into_iter()
        .find(|algorithm| header_of(*algorithm) == name)
}

/// What a client says of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    md5: Option<[u8; 16]>,
    /// In the headers; at most one.
    checksum: Option<Checksum>,
    /// In the trailer to come; at most one, and none if there is one in the headers.
    trailing: Option<Algorithm>,
    /// Named by `x-amz-sdk-checksum-algorithm` or `x-amz-checksum-algorithm` without a value.
    named: Option<Algorithm>,
}

impl Claims {
    /// Reads only `Content-MD5`, where the checksums in the headers are of something else than the body.
    pub(crate) fn md5_only(headers: &HeaderMap) -> Result<Self, Refusal> {
        Ok(Self {
            md5: parse_md5(headers)?,
            ..Self::default()
        })
    }

    /// Reads the headers; names S3 does not know and values that cannot be right are refused.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut claims = Self {
            md5: parse_md5(headers)?,
            ..Self::default()
        };
        for name in headers.keys().map(http::HeaderName::as_str) {
            let Some(suffix) = name.strip_prefix("x-amz-checksum-") else {
                continue;
            };
            if matches!(suffix, "algorithm" | "mode" | "type") {
                continue;
            }
            let algorithm = algorithm_of_header(name).ok_or_else(|| {
                Refusal::invalid_request(format!("the checksum header {name} is not supported"))
            })?;
            let text = unique(headers, name)?.unwrap_or_default();
            if claims.checksum.is_some() {
                return Err(Refusal::invalid_request(
                    "expecting a single x-amz-checksum header",
                ));
            }
            claims.checksum = Some(parse_checksum(algorithm, text)?);
        }
        for name in unique(headers, "x-amz-trailer")?
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase())
        {
            let Some(algorithm) = algorithm_of_header(&name) else {
                continue;
            };
            if claims.checksum.is_some() || claims.trailing.is_some() {
                return Err(Refusal::invalid_request(
                    "expecting a single x-amz-checksum header",
                ));
            }
            claims.trailing = Some(algorithm);
        }
        for name in ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"] {
            if let Some(text) = unique(headers, name)? {
                let algorithm = text
                    .parse()
                    .map_err(|error| Refusal::invalid_request(format!("{name}: {error}")))?;
                claims.named = Some(algorithm);
            }
        }
        if let (Some(named), Some(sent)) = (claims.named, claims.sent())
            && named != sent
        {
            return Err(Refusal::invalid_request(format!(
                "the checksum sent is {sent}, but the algorithm named is {named}"
            )));
        }
        Ok(claims)
    }

    /// The algorithm whose value is sent, in front of the body or behind it.
    pub(crate) fn sent(&self) -> Option<Algorithm> {
        self.checksum
            .as_ref()
            .map(|checksum| checksum.algorithm)
            .or(self.trailing)
    }

    /// The algorithm the client wants kept, if it says so.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.sent().or(self.named)
    }

    /// Compares what was received with what was said. Call it after the whole body was read.
    pub(crate) fn verify<'a>(
        &self,
        md5: [u8; 16],
        computed: impl Fn(Algorithm) -> Option<&'a Checksum>,
        trailers: &Trailers,
    ) -> Result<(), Refusal> {
        if self.md5.is_some_and(|claimed| claimed != md5) {
            return Err(Refusal::new(
                S3ErrorCode::BadDigest,
                "the body's MD5 is not the one in Content-MD5",
            ));
        }
        let trailing = match self.trailing {
            None => None,
            Some(algorithm) => {
                let name = header_of(algorithm);
                let value = trailers.get(name).ok_or_else(|| {
                    Refusal::malformed_trailer(format!("the trailing header {name} is missing"))
                })?;
                let text = value.to_str().unwrap_or_default();
                Some(parse_checksum(algorithm, text)?)
            }
        };
        for claimed in self.checksum.iter().chain(&trailing) {
            let found = computed(claimed.algorithm)
                .expect("the reader asks for every algorithm that claims name");
            if found.value != claimed.value {
                return Err(Refusal::new(
                    S3ErrorCode::BadDigest,
                    format!(
                        "the body's {} is not the one in {}",
                        claimed.algorithm,
                        header_of(claimed.algorithm)
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Compares a body that is in memory with what was said of it.
    pub(crate) fn verify_bytes(&self, body: &[u8], trailers: &Trailers) -> Result<(), Refusal> {
        let computed = self.sent().map(|algorithm| {
            let mut hasher = algorithm.hasher();
            hasher.update(body);
            hasher.finish()
        });
        let md5 = if self.md5.is_some() {
            md5::Md5::digest(body).into()
        } else {
            [0; 16]
        };
        self.verify(md5, |_| computed.as_ref(), trailers)
    }
}

fn parse_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, Refusal> {
    let Some(text) = unique(headers, "content-md5")? else {
        return Ok(None);
    };
    BASE64_STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .map(Some)
        .ok_or_else(|| {
            Refusal::new(
                S3ErrorCode::InvalidDigest,
                "Content-MD5 is not the base64 of 16 bytes",
            )
        })
}

/// Reads a full-object checksum as it travels: base64, of the algorithm's length.
pub(crate) fn parse_checksum(algorithm: Algorithm, text: &str) -> Result<Checksum, Refusal> {
    let value = BASE64_STANDARD
        .decode(text)
        .ok()
        .filter(|value| value.len() == algorithm.length_bytes())
        .ok_or_else(|| {
            Refusal::invalid_request(format!(
                "the value of {} is not the base64 of {} bytes",
                header_of(algorithm),
                algorithm.length_bytes()
            ))
        })?;
    Ok(Checksum {
        algorithm,
        kind: ChecksumKind::FullObject,
        value: value.into(),
    })
}

/// A checksum as it travels: base64, with `-N` behind if it is composite.
pub(crate) fn text_of(checksum: &Checksum) -> String {
    let value = BASE64_STANDARD.encode(&checksum.value);
    match checksum.kind {
        ChecksumKind::FullObject => value,
        ChecksumKind::Composite { parts } => format!("{value}-{parts}"),
    }
}
