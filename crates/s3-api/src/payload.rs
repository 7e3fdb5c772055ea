//! The body of a request on its way in: unframed, checked against everything the client said of it, never held whole.
//!
//! A body that is too short, too long or not the one signed ends in an error, which the reader must answer by throwing
//! away what it has. Pieces are passed on before the check at the end: that is what keeps memory flat whatever the
//! chunk size.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use ring::digest::{Context, SHA256};
use s3s::S3ErrorCode;
use subtle::ConstantTimeEq as _;

use crate::auth::{ChunkSigner, unique};
use crate::refusal::Refusal;

/// Any error a connection gives while a body is read.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The raw body of a request.
pub(crate) type RawBody = UnsyncBoxBody<Bytes, BoxError>;

/// How long the client may pause within a body (S3: `RequestTimeout`).
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// The longest line before a chunk: a size in hex and a signature.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// The most bytes of trailing headers.
const TRAILER_BYTES_MAX: usize = 4096;

/// How a body is framed and what of it is signed, as `x-amz-content-sha256` says.
pub(crate) enum PayloadKind {
    /// Plain, not signed.
    Unsigned,
    /// Plain, with this SHA-256 in lower-case hex.
    Hashed(String),
    /// aws-chunked without signatures, with trailing headers.
    UnsignedChunks,
    /// aws-chunked, each chunk signed; with trailing headers or without.
    SignedChunks {
        trailer: bool,
        /// What checks the signatures; set once the seed signature is known.
        signer: Option<ChunkSigner>,
    },
}

impl PayloadKind {
    /// Reads the header's value.
    pub(crate) fn parse(value: &str) -> Result<Self, Refusal> {
        match value {
            "UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::UnsignedChunks),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::SignedChunks {
                trailer: false,
                signer: None,
            }),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::SignedChunks {
                trailer: true,
                signer: None,
            }),
            hash if hash.len() == 64
                && hash
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) =>
            {
                Ok(Self::Hashed(hash.to_owned()))
            }
            other if other.starts_with("STREAMING-") => Err(Refusal::not_implemented(format!(
                "bodies of the kind {other} are not supported"
            ))),
            _ => Err(Refusal::invalid_argument(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING name or a SHA-256 in lower-case hex",
            )),
        }
    }

    /// Reads the header, if there is one.
    pub(crate) fn of_header(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        unique(headers, "x-amz-content-sha256")?
            .map(Self::parse)
            .transpose()
    }

    fn is_chunked(&self) -> bool {
        matches!(self, Self::UnsignedChunks | Self::SignedChunks { .. })
    }
}

/// The trailing headers of a body; empty until its end was read.
#[derive(Clone, Default)]
pub(crate) struct Trailers(Arc<Mutex<HeaderMap>>);

impl Trailers {
    /// A trailing header's value.
    pub(crate) fn get(&self, name: &str) -> Option<HeaderValue> {
        // A map that a panic left behind is as good as any other: it is only ever replaced whole.
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(name).cloned()
    }

    fn set(&self, map: HeaderMap) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = map;
    }
}

/// The size a body will have, unframed, as far as the headers tell.
/// Takes framing headers out, so that what is behind sees a plain body.
pub(crate) fn declared_size(
    headers: &mut HeaderMap,
    kind: &PayloadKind,
) -> Result<Option<u64>, Refusal> {
    let number = |name: &str, value: &str| {
        value
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| value.parse::<u64>().ok())
            .flatten()
            .ok_or_else(|| Refusal::invalid_argument(format!("the header {name} is no number")))
    };
    let size = if kind.is_chunked() {
        let name = "x-amz-decoded-content-length";
        let value = unique(headers, name)?.ok_or_else(|| {
            Refusal::new(
                S3ErrorCode::MissingContentLength,
                "an aws-chunked body needs the header x-amz-decoded-content-length",
            )
        })?;
        Some(number(name, value)?)
    } else {
        unique(headers, "content-length")?
            .map(|value| number("content-length", value))
            .transpose()?
    };
    without_aws_chunked(headers, kind)?;
    if let (true, Some(size)) = (kind.is_chunked(), size) {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(size));
        headers.remove(http::header::TRANSFER_ENCODING);
    }
    Ok(size)
}

/// Takes `aws-chunked` out of `Content-Encoding`: it frames the request and is no property of the object.
fn without_aws_chunked(headers: &mut HeaderMap, kind: &PayloadKind) -> Result<(), Refusal> {
    let mut codings = Vec::new();
    let mut framed = false;
    for value in headers.get_all(http::header::CONTENT_ENCODING) {
        let value = value
            .to_str()
            .map_err(|_| Refusal::invalid_argument("Content-Encoding is not ASCII"))?;
        for coding in value.split(',').map(str::trim).filter(|c| !c.is_empty()) {
            if coding.eq_ignore_ascii_case("aws-chunked") {
                framed = true;
            } else {
                codings.push(coding);
            }
        }
    }
    if !framed {
        return Ok(());
    }
    if !kind.is_chunked() {
        return Err(Refusal::invalid_request(
            "Content-Encoding says aws-chunked, but x-amz-content-sha256 names no STREAMING kind",
        ));
    }
    let rest = codings.join(",");
    if rest.is_empty() {
        headers.remove(http::header::CONTENT_ENCODING);
    } else {
        let value = HeaderValue::try_from(rest).expect("it was a header's value before");
        headers.insert(http::header::CONTENT_ENCODING, value);
    }
    Ok(())
}

/// A body being read. Dropping it leaves the rest of the body unread on the connection.
pub(crate) struct Payload {
    raw: RawBody,
    /// Bytes received and not looked at.
    buffer: BytesMut,
    framing: Framing,
    /// Bytes passed on.
    taken: u64,
    declared: Option<u64>,
    size_max: u64,
}

enum Framing {
    Plain(Option<Expected>),
    Chunks(Chunks),
    Done,
}

/// The SHA-256 that a plain body must have, in lower-case hex, and that of what came.
struct Expected {
    sha256: String,
    found: Context,
}

struct Chunks {
    signer: Option<ChunkSigner>,
    has_trailer: bool,
    /// The trailing headers announced in `x-amz-trailer`.
    announced: Vec<HeaderName>,
    trailers: Trailers,
    chunk: Option<Chunk>,
}

struct Chunk {
    left: u64,
    signature: Option<String>,
    sha256: Context,
}

impl Payload {
    /// Begins to read. More than `size_max` bytes are refused, whatever was declared.
    pub(crate) fn new(
        raw: RawBody,
        kind: PayloadKind,
        headers: &HeaderMap,
        declared: Option<u64>,
        size_max: u64,
    ) -> Result<(Self, Trailers), Refusal> {
        let too_large = |size: u64| size > size_max;
        if declared.is_some_and(too_large) {
            return Err(entity_too_large(size_max));
        }
        let trailers = Trailers::default();
        let framing = match kind {
            PayloadKind::Unsigned => Framing::Plain(None),
            PayloadKind::Hashed(sha256) => Framing::Plain(Some(Expected {
                sha256,
                found: Context::new(&SHA256),
            })),
            PayloadKind::UnsignedChunks => Framing::Chunks(Chunks {
                signer: None,
                has_trailer: true,
                announced: announced_trailers(headers)?,
                trailers: trailers.clone(),
                chunk: None,
            }),
            PayloadKind::SignedChunks { trailer, signer } => Framing::Chunks(Chunks {
                signer: Some(signer.ok_or_else(|| {
                    Refusal::invalid_request("chunk signatures need a seed signature")
                })?),
                has_trailer: trailer,
                announced: if trailer {
                    announced_trailers(headers)?
                } else {
                    Vec::new()
                },
                trailers: trailers.clone(),
                chunk: None,
            }),
        };
        let payload = Self {
            raw,
            buffer: BytesMut::new(),
            framing,
            taken: 0,
            declared,
            size_max,
        };
        Ok((payload, trailers))
    }

    /// The body as a stream of pieces; ends after the first error.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Refusal>> + Send {
        futures::stream::try_unfold(self, |mut payload| async move {
            Ok(payload.next_piece().await?.map(|piece| (piece, payload)))
        })
    }

    /// The whole body, which must have at most `size_max` bytes.
    pub(crate) async fn collect(mut self) -> Result<Bytes, Refusal> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next_piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The next piece, never empty; none once the whole body was read and found to be right.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let piece = match &mut self.framing {
                Framing::Done => return Ok(None),
                Framing::Plain(_) => self.next_plain().await?,
                Framing::Chunks(_) => self.next_of_chunk().await?,
            };
            let Some(piece) = piece else {
                if self.declared.is_some_and(|declared| declared != self.taken) {
                    return Err(incomplete("the body is shorter than declared"));
                }
                self.framing = Framing::Done;
                return Ok(None);
            };
            self.taken += piece.len() as u64;
            if self.declared.is_some_and(|declared| self.taken > declared) {
                return Err(incomplete("the body is longer than declared"));
            }
            if self.taken > self.size_max {
                return Err(entity_too_large(self.size_max));
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    async fn next_plain(&mut self) -> Result<Option<Bytes>, Refusal> {
        let received = receive(&mut self.raw).await?;
        let Framing::Plain(expected) = &mut self.framing else {
            return Ok(None);
        };
        if let Some(piece) = received {
            if let Some(expected) = expected {
                expected.found.update(&piece);
            }
            return Ok(Some(piece));
        }
        if let Some(Expected { sha256, found }) = expected.take() {
            let found = hex::encode(found.finish());
            if !bool::from(found.as_bytes().ct_eq(sha256.as_bytes())) {
                return Err(Refusal::content_sha256_mismatch());
            }
        }
        Ok(None)
    }

    async fn next_of_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Framing::Chunks(chunks) = &mut self.framing else {
            return Ok(None);
        };
        if chunks.chunk.is_none() {
            let line = line(&mut self.raw, &mut self.buffer, CHUNK_LINE_BYTES_MAX).await?;
            let (size, signature) = parse_chunk_line(&line, chunks.signer.is_some())?;
            // Refused before its bytes are read: a chunk cannot be larger than the whole.
            if self
                .declared
                .is_some_and(|declared| size > declared.saturating_sub(self.taken))
            {
                return Err(incomplete("the body is longer than declared"));
            }
            chunks.chunk = Some(Chunk {
                left: size,
                signature,
                sha256: Context::new(&SHA256),
            });
            if size == 0 {
                let chunk = chunks.chunk.take().expect("it was set just above");
                chunk.check(chunks.signer.as_mut())?;
                read_trailer(&mut self.raw, &mut self.buffer, chunks).await?;
                if !self.buffer.is_empty() || receive(&mut self.raw).await?.is_some() {
                    return Err(Refusal::malformed_trailer(
                        "there are bytes behind the end of the aws-chunked body",
                    ));
                }
                return Ok(None);
            }
        }
        if self.buffer.is_empty() {
            match receive(&mut self.raw).await? {
                Some(piece) => self.buffer = BytesMut::from(piece),
                None => return Err(incomplete("the body ends within a chunk")),
            }
        }
        let chunk = chunks.chunk.as_mut().expect("a chunk was begun above");
        let length = usize::try_from(chunk.left)
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        let piece = self.buffer.split_to(length).freeze();
        chunk.left -= length as u64;
        if chunk.signature.is_some() {
            chunk.sha256.update(&piece);
        }
        if chunk.left == 0 {
            if !line(&mut self.raw, &mut self.buffer, 2).await?.is_empty() {
                return Err(incomplete("a chunk is longer than its size"));
            }
            let chunk = chunks.chunk.take().expect("a chunk was begun above");
            chunk.check(chunks.signer.as_mut())?;
        }
        Ok(Some(piece))
    }
}

impl Chunk {
    fn check(self, signer: Option<&mut ChunkSigner>) -> Result<(), Refusal> {
        match (signer, self.signature) {
            (Some(signer), Some(signature)) => {
                signer.check_chunk(&hex::encode(self.sha256.finish()), &signature)
            }
            _ => Ok(()),
        }
    }
}

fn parse_chunk_line(line: &[u8], signed: bool) -> Result<(u64, Option<String>), Refusal> {
    let malformed = || Refusal::invalid_request("the aws-chunked body has a malformed chunk size");
    let line = std::str::from_utf8(line).map_err(|_| malformed())?;
    let (size, extension) = match line.split_once(';') {
        Some((size, extension)) => (size, Some(extension)),
        None => (line, None),
    };
    if size.is_empty() || size.len() > 16 || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(malformed());
    }
    let size = u64::from_str_radix(size, 16).map_err(|_| malformed())?;
    if !signed {
        return Ok((size, None));
    }
    let signature = extension
        .and_then(|extension| extension.strip_prefix("chunk-signature="))
        .ok_or_else(|| Refusal::access_denied("a chunk of the body is not signed"))?;
    Ok((size, Some(signature.trim().to_owned())))
}

/// Reads what follows the last chunk, up to the blank line that ends the body.
async fn read_trailer(
    raw: &mut RawBody,
    buffer: &mut BytesMut,
    chunks: &mut Chunks,
) -> Result<(), Refusal> {
    const SIGNATURE: &str = "x-amz-trailer-signature";
    let mut found = HeaderMap::new();
    let mut canonical = Vec::new();
    let mut signature = None;
    let needs_signature = chunks.has_trailer && chunks.signer.is_some();
    let mut left = TRAILER_BYTES_MAX;
    loop {
        let line = line(raw, buffer, left).await?;
        left = left.saturating_sub(line.len() + 1);
        if line.is_empty() {
            // Amazon's own example of a signed trailer has a blank line before the signature.
            if needs_signature && signature.is_none() && !found.is_empty() {
                continue;
            }
            break;
        }
        let malformed = || Refusal::malformed_trailer("a trailing header is malformed");
        let text = std::str::from_utf8(&line).map_err(|_| malformed())?;
        let (name, value) = text.split_once(':').ok_or_else(malformed)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == SIGNATURE {
            signature = Some(value.to_owned());
            continue;
        }
        canonical.extend_from_slice(format!("{name}:{value}\n").as_bytes());
        let name = HeaderName::try_from(name).map_err(|_| malformed())?;
        if !chunks.announced.contains(&name) {
            return Err(Refusal::malformed_trailer(format!(
                "the trailing header {name} was not announced in x-amz-trailer"
            )));
        }
        let value = HeaderValue::try_from(value).map_err(|_| malformed())?;
        if found.insert(name, value).is_some() {
            return Err(Refusal::malformed_trailer("a trailing header came twice"));
        }
    }
    if let Some(missing) = chunks.announced.iter().find(|n| !found.contains_key(*n)) {
        return Err(Refusal::malformed_trailer(format!(
            "the trailing header {missing} was announced in x-amz-trailer and not sent"
        )));
    }
    if needs_signature && let Some(signer) = &mut chunks.signer {
        let signature = signature
            .ok_or_else(|| Refusal::malformed_trailer("the trailing headers are not signed"))?;
        signer.check_trailer(&canonical, &signature)?;
    }
    chunks.trailers.set(found);
    Ok(())
}

/// The trailing headers a request announces. Only checksums may come there.
fn announced_trailers(headers: &HeaderMap) -> Result<Vec<HeaderName>, Refusal> {
    let mut names = Vec::new();
    for name in unique(headers, "x-amz-trailer")?
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
    {
        if crate::digests::algorithm_of_header(&name).is_none() {
            return Err(Refusal::invalid_request(format!(
                "the trailing header {name} is not supported; it must be one of the x-amz-checksum headers"
            )));
        }
        names.push(HeaderName::try_from(name).expect("it is the name of a checksum header"));
    }
    Ok(names)
}

/// The next line without its end. A line feed ends it; a carriage return before that belongs to the end.
async fn line(
    raw: &mut RawBody,
    buffer: &mut BytesMut,
    bytes_max: usize,
) -> Result<Bytes, Refusal> {
    let mut searched = 0;
    loop {
        if let Some(found) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
            let mut line = buffer.split_to(searched + found).freeze();
            buffer.advance(1);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            return Ok(line);
        }
        searched = buffer.len();
        if searched > bytes_max {
            return Err(Refusal::invalid_request(format!(
                "the aws-chunked body has a line of more than {bytes_max} bytes between its chunks"
            )));
        }
        match receive(raw).await? {
            Some(piece) => buffer.extend_from_slice(&piece),
            None => return Err(incomplete("the aws-chunked body has no end")),
        }
    }
}

/// The next bytes from the connection, or none at the end of the body.
pub(crate) async fn receive(raw: &mut RawBody) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = tokio::time::timeout(PAUSE_MAX, raw.frame())
            .await
            .map_err(|_| {
                Refusal::new(
                    S3ErrorCode::RequestTimeout,
                    format!("no byte of the body came for {} s", PAUSE_MAX.as_secs()),
                )
            })?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(incomplete("the connection ended within the body")),
            Some(Ok(frame)) => {
                // HTTP's own trailers carry nothing for S3.
                if let Ok(piece) = frame.into_data()
                    && !piece.is_empty()
                {
                    return Ok(Some(piece));
                }
            }
        }
    }
}

fn incomplete(message: &str) -> Refusal {
    Refusal::new(S3ErrorCode::IncompleteBody, message)
}

pub(crate) fn entity_too_large(size_max: u64) -> Refusal {
    Refusal::new(
        S3ErrorCode::EntityTooLarge,
        format!("the body has more than the most of {size_max} bytes"),
    )
}
