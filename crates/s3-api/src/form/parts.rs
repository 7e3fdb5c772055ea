//! `multipart/form-data` as it comes (RFC 7578), with nothing held but a part's head and the end of what was received.
//!
//! Our own and not `multer`, which takes from the connection whatever is there before it looks at it, and has no bound
//! on a part's head: a fast client would decide how much memory a form takes.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem;
use s3s::S3ErrorCode;

use crate::refusal::Refusal;

/// The longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_LENGTH_MAX: usize = 70;
/// The longest head of a part: a file name may have a few hundred characters, each of several bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// The most spaces behind a boundary, which some gateways put there.
const PADDING_BYTES_MAX: usize = 64;

/// What a part's head says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
}

/// What was found next.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A part begins.
    Head(Head),
    /// Bytes of the part; never empty.
    Bytes(Bytes),
    /// The part ends.
    End,
    /// The last part has ended; what may follow says nothing.
    Close,
    /// More must be received first.
    Nothing,
}

/// Finds parts in what it is given.
pub(crate) struct Parts {
    /// `\r\n--boundary`.
    delimiter: Vec<u8>,
    received: BytesMut,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first boundary.
    Front,
    /// Behind a boundary.
    BehindBoundary,
    Head,
    Body,
    Closed,
}

impl Parts {
    /// Begins, for a body with this `Content-Type`.
    pub(crate) fn new(content_type: &str) -> Result<Self, Refusal> {
        let boundary = boundary(content_type)?;
        Ok(Self {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            // The first boundary has no line before it.
            received: BytesMut::from(&b"\r\n"[..]),
            place: Place::Front,
        })
    }

    /// Gives what was received.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.place != Place::Closed {
            self.received.extend_from_slice(piece);
        }
    }

    /// How many bytes wait to be looked at.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.received.len()
    }

    /// Finds the next thing.
    pub(crate) fn find(&mut self) -> Result<Found, Refusal> {
        loop {
            match self.place {
                Place::Closed => {
                    self.received.clear();
                    return Ok(Found::Close);
                }
                Place::Front => {
                    if self.received.len() < self.delimiter.len() {
                        return Ok(Found::Nothing);
                    }
                    if !self.received.starts_with(&self.delimiter) {
                        return Err(malformed("it does not begin with its boundary"));
                    }
                    self.received.advance(self.delimiter.len());
                    self.place = Place::BehindBoundary;
                }
                Place::BehindBoundary => {
                    if !self.skip_boundary_end()? {
                        return Ok(Found::Nothing);
                    }
                }
                Place::Head => {
                    let Some(end) = memmem::find(&self.received, b"\r\n\r\n") else {
                        if self.received.len() > HEAD_BYTES_MAX {
                            return Err(malformed("the head of a part is too long"));
                        }
                        return Ok(Found::Nothing);
                    };
                    if end > HEAD_BYTES_MAX {
                        return Err(malformed("the head of a part is too long"));
                    }
                    let head = self.received.split_to(end);
                    self.received.advance(b"\r\n\r\n".len());
                    self.place = Place::Body;
                    return head_of(&head).map(Found::Head);
                }
                Place::Body => return Ok(self.find_body()),
            }
        }
    }

    /// The end of the body: everything must have been there.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        if self.place == Place::Closed {
            return Ok(());
        }
        Err(malformed("it ends before its last boundary"))
    }

    fn find_body(&mut self) -> Found {
        if let Some(at) = memmem::find(&self.received, &self.delimiter) {
            if at > 0 {
                return Found::Bytes(self.received.split_to(at).freeze());
            }
            self.received.advance(self.delimiter.len());
            self.place = Place::BehindBoundary;
            return Found::End;
        }
        // What could be the beginning of a boundary is kept.
        let sure = self.received.len().saturating_sub(self.delimiter.len() - 1);
        if sure == 0 {
            return Found::Nothing;
        }
        Found::Bytes(self.received.split_to(sure).freeze())
    }

    /// Goes over what stands between a boundary and the next head or the end. False if it is not there yet.
    fn skip_boundary_end(&mut self) -> Result<bool, Refusal> {
        let padding = self
            .received
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        if padding > PADDING_BYTES_MAX {
            return Err(malformed("a boundary does not end"));
        }
        match self.received.get(padding..padding + 2) {
            None => Ok(false),
            Some(b"--") if padding == 0 => {
                self.received.clear();
                self.place = Place::Closed;
                Ok(true)
            }
            Some(b"\r\n") => {
                self.received.advance(padding + 2);
                self.place = Place::Head;
                Ok(true)
            }
            Some(_) => Err(malformed("a boundary does not end its line")),
        }
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(
        S3ErrorCode::MalformedPOSTRequest,
        format!("the body is not well-formed multipart/form-data: {what}"),
    )
}

/// The boundary that a `Content-Type` names.
fn boundary(content_type: &str) -> Result<String, Refusal> {
    let (_, parameters) = content_type
        .split_once(';')
        .ok_or_else(|| malformed("its Content-Type names no boundary"))?;
    let parameters =
        parameters_of(parameters).ok_or_else(|| malformed("its Content-Type cannot be read"))?;
    let mut found = None;
    for (name, value) in parameters {
        if name == "boundary" && found.replace(value).is_some() {
            return Err(malformed("its Content-Type names two boundaries"));
        }
    }
    let boundary = found.ok_or_else(|| malformed("its Content-Type names no boundary"))?;
    let is_legal = (1..=BOUNDARY_LENGTH_MAX).contains(&boundary.len())
        && !boundary.ends_with(' ')
        && boundary
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte));
    if is_legal {
        Ok(boundary)
    } else {
        Err(malformed("its boundary is none"))
    }
}

/// Reads a part's head; only `Content-Disposition` counts, as on S3.
fn head_of(head: &[u8]) -> Result<Head, Refusal> {
    let head =
        std::str::from_utf8(head).map_err(|_| malformed("the head of a part is not UTF-8"))?;
    let mut disposition = None;
    for line in head.split("\r\n") {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| malformed("the head of a part has a line that is no header"))?;
        if name.eq_ignore_ascii_case("content-disposition") {
            if disposition.replace(value).is_some() {
                return Err(malformed("a part has two Content-Dispositions"));
            }
        } else if name.eq_ignore_ascii_case("content-transfer-encoding")
            && !["7bit", "8bit", "binary"]
                .iter()
                .any(|plain| value.trim().eq_ignore_ascii_case(plain))
        {
            return Err(malformed(
                "a part has a transfer encoding, which forms do not have (RFC 7578, section 4.7)",
            ));
        }
    }
    let disposition = disposition
        .and_then(|disposition| {
            let (kind, parameters) = disposition.split_once(';')?;
            kind.trim()
                .eq_ignore_ascii_case("form-data")
                .then_some(parameters)
        })
        .ok_or_else(|| malformed("a part has no Content-Disposition of the kind form-data"))?;
    let parameters = parameters_of(disposition)
        .ok_or_else(|| malformed("a Content-Disposition cannot be read"))?;
    let (mut field, mut file) = (None, None);
    for (name, value) in parameters {
        let slot = match name.as_str() {
            "name" => &mut field,
            "filename" => &mut file,
            "filename*" => {
                return Err(malformed(
                    "filename* is not for forms (RFC 7578, section 4.2); send filename in UTF-8",
                ));
            }
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(malformed("a Content-Disposition says the same thing twice"));
        }
    }
    Ok(Head {
        name: field.ok_or_else(|| malformed("a part has no name"))?,
        file_name: file,
    })
}

/// Reads `name=value; name="value"`, names in lower case. In quotes a backslash stands for itself, as browsers write
/// it, unless a quote follows.
fn parameters_of(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let behind = behind.trim_start();
        let (value, behind) = if let Some(quoted) = behind.strip_prefix('"') {
            quoted_text(quoted)?
        } else {
            let (value, behind) = behind.split_once(';').unwrap_or((behind, ""));
            (value.trim().to_owned(), behind)
        };
        if name.is_empty() || name.contains(['"', ';', ' ']) {
            return None;
        }
        found.push((name, value));
        rest = behind.trim();
        if let Some(next) = rest.strip_prefix(';') {
            rest = next.trim();
        }
    }
    Some(found)
}

/// The text up to the closing quote, and what stands behind it, which begins with a semicolon if there is anything.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let behind = text.get(at + 1..)?.trim_start();
                return (behind.is_empty() || behind.starts_with(';')).then_some((value, behind));
            }
            '\\' if text.get(at + 1..)?.starts_with('"') => {
                value.push('"');
                chars.next();
            }
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str, file_name: Option<&str>) -> Found {
        Found::Head(Head {
            name: name.to_owned(),
            file_name: file_name.map(str::to_owned),
        })
    }

    /// Everything found, bytes joined, when the body comes in pieces of this size.
    fn found(body: &[u8], piece: usize) -> Result<Vec<Found>, Refusal> {
        let mut parts = Parts::new("multipart/form-data; boundary=b")?;
        let mut all: Vec<Found> = Vec::new();
        let mut pieces = body.chunks(piece);
        loop {
            match (parts.find()?, all.last_mut()) {
                (Found::Nothing, _) => {
                    let Some(piece) = pieces.next() else {
                        parts.finish()?;
                        return Ok(all);
                    };
                    parts.push(piece);
                }
                (Found::Close, _) => return Ok(all),
                (Found::Bytes(more), Some(Found::Bytes(before))) => {
                    *before = [&before[..], &more[..]].concat().into();
                }
                (other, _) => all.push(other),
            }
        }
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n--\r\n-b\r\n\
            --b  \r\ncontent-disposition: form-data; name=empty\r\n\r\n\r\n\
            --b\r\nContent-Type: x/y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\a\\\"b.txt\"\r\n\r\n\
            \r\n--\r\n--b--trailing";
        let whole = found(body, usize::MAX).unwrap();
        assert_eq!(
            whole,
            [
                head("key", None),
                Found::Bytes("a\r\n--\r\n-b".into()),
                Found::End,
                head("empty", None),
                Found::End,
                head("file", Some("C:\\a\"b.txt")),
                Found::Bytes("\r\n--".into()),
                Found::End,
            ]
        );
        for piece in 1..body.len() {
            assert_eq!(found(body, piece).unwrap(), whole, "{piece}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for body in [
            &b""[..],
            b"--b",
            b"--b-",
            b"x--b--",
            b"\r\n--b--",
            b"--c--",
            b"--b\r\n",
            b"--b\r\n\r\n\r\n--b--",
            b"--b\r\n\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--b--",
            b"--bContent-Disposition: form-data; name=a\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n",
            b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=\"a\"b\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; filename=a\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''x\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=a\r\nno header\r\n\r\n\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=\"\xFF\"\r\n\r\n\r\n--b--",
        ] {
            for piece in [1, usize::MAX] {
                assert!(
                    found(body, piece).is_err(),
                    "{}",
                    String::from_utf8_lossy(body)
                );
            }
        }
        let endless_head = [&b"--b\r\nX: "[..], &vec![b'x'; 20_000]].concat();
        assert!(found(&endless_head, 100).is_err());
        let endless_padding = [&b"--b"[..], &vec![b' '; 1000]].concat();
        assert!(found(&endless_padding, 100).is_err());
    }

    #[test]
    fn boundaries_are_those_of_the_standard() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            (
                "multipart/form-data; charset=x; BOUNDARY=\"a b\"",
                Some("a b"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary=a\u{e4}", None),
            ("multipart/form-data; boundary=\"a\r\nb\"", None),
            ("multipart/form-data; boundary=\"a \"", None),
        ] {
            assert_eq!(
                boundary(content_type).ok().as_deref(),
                expected,
                "{content_type}"
            );
        }
        assert!(boundary(&format!("m/f; boundary={}", "x".repeat(70))).is_ok());
        assert!(boundary(&format!("m/f; boundary={}", "x".repeat(71))).is_err());
    }
}
