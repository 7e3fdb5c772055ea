//! Uploads by HTML form (S3 API, "POST Object", "Browser-Based Uploads Using POST").
//!
//! A form comes as fields, then the file, then perhaps more fields that say nothing. [`Form`] reads it as it comes and
//! knows no connection: bytes go in, fields and pieces of the file come out. What the fields allow is said in
//! [`policy`], what they mean in [`fields`].
//!
//! # What a policy can bind
//!
//! Bucket, key (whole or its beginning), size, type, and every other field: one that no condition names is refused.
//! It cannot bind how often the form is used: until it expires the same form uploads again and again, and each time
//! makes a new version of the key it names. There are no conditional forms either: S3 has `If-None-Match` for
//! `PutObject` and `CompleteMultipartUpload` only (S3 User Guide, "How to prevent object overwrites with conditional
//! writes"), so the field is refused. Who must not overwrite needs a presigned PUT, or a key that nobody else has.

pub(crate) mod answer;
mod examine;
pub(crate) mod fields;
mod parts;
pub(crate) mod policy;
pub(crate) mod upload;

pub use examine::{ExaminedForm, examine_form};

use bytes::Bytes;
use s3s::S3ErrorCode;

use crate::refusal::Refusal;
use fields::Fields;
use parts::{Found, Parts};

/// The most bytes in front of the file, boundaries and heads included (S3 API, "POST Object": 20 KB).
pub(crate) const FRONT_BYTES_MAX: u64 = 20 << 10;
/// The most bytes behind the file, which are read and say nothing.
pub(crate) const BEHIND_BYTES_MAX: u64 = 20 << 10;
/// The most fields; S3's forms have some twenty.
const FIELDS_MAX: usize = 128;

/// What came next.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// All fields in front of the file. Comes once, before any piece.
    Fields(Fields),
    /// A piece of the file; never empty.
    Piece(Bytes),
    /// The file and all behind it are over. What may still be received is thrown away.
    Done,
    /// More must be received first.
    More,
}

/// A form being read.
pub(crate) struct Form {
    parts: Parts,
    place: Place,
    pairs: Vec<(String, Vec<u8>)>,
    received: u64,
    /// Bytes received when the file ended.
    file_end: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between the fields in front.
    Front,
    /// In a field.
    Field,
    File,
    Behind,
}

impl Form {
    /// Begins, for a body with this `Content-Type`.
    pub(crate) fn new(content_type: &str) -> Result<Self, Refusal> {
        Ok(Self {
            parts: Parts::new(content_type)?,
            place: Place::Front,
            pairs: Vec::new(),
            received: 0,
            file_end: 0,
        })
    }

    /// Gives what was received.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.received += piece.len() as u64;
        self.parts.push(piece);
    }

    /// The end of the body: its last boundary must have been there.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        self.parts.finish()
    }

    /// Gives what comes next of what was received.
    pub(crate) fn step(&mut self) -> Result<Step, Refusal> {
        loop {
            let found = self.parts.find()?;
            self.check_bounds(&found)?;
            match (self.place, found) {
                (_, Found::Nothing) => return Ok(Step::More),
                (Place::Front, Found::Head(head)) => {
                    let name = head.name.to_ascii_lowercase();
                    if name == "file" {
                        self.place = Place::File;
                        let pairs = std::mem::take(&mut self.pairs);
                        let file_name = head.file_name.unwrap_or_default();
                        return Fields::new(pairs, &file_name).map(Step::Fields);
                    }
                    if head.file_name.is_some() {
                        return Err(Refusal::invalid_argument(format!(
                            "the file must be in the field named file, not {name:?}"
                        )));
                    }
                    if self.pairs.len() == FIELDS_MAX {
                        return Err(Refusal::invalid_argument(format!(
                            "the form has more than {FIELDS_MAX} fields"
                        )));
                    }
                    self.pairs.push((name, Vec::new()));
                    self.place = Place::Field;
                }
                (Place::Field, Found::Bytes(piece)) => {
                    if let Some((_, value)) = self.pairs.last_mut() {
                        value.extend_from_slice(&piece);
                    }
                }
                (Place::Field, Found::End) => self.place = Place::Front,
                (Place::Front, _) => {
                    return Err(Refusal::new(
                        S3ErrorCode::IncorrectNumberOfFilesInPostRequest,
                        "a form uploads exactly one file, in its field named file",
                    ));
                }
                (Place::File, Found::Bytes(piece)) => return Ok(Step::Piece(piece)),
                (Place::File, Found::End) => {
                    self.place = Place::Behind;
                    self.file_end = self.taken();
                }
                (Place::Behind, Found::Head(head)) if head.name.eq_ignore_ascii_case("file") => {
                    return Err(Refusal::new(
                        S3ErrorCode::IncorrectNumberOfFilesInPostRequest,
                        "a form uploads exactly one file; this one has another",
                    ));
                }
                (Place::Behind, Found::Close) => return Ok(Step::Done),
                (Place::Behind, _) => {}
                (Place::Field | Place::File, Found::Head(_) | Found::Close) => {
                    unreachable!("a part ends before anything else is found")
                }
            }
        }
    }

    /// Bytes received and looked at.
    fn taken(&self) -> u64 {
        // The parser begins with two bytes of its own.
        self.received
            .saturating_sub(self.parts.waiting_bytes() as u64)
    }

    fn check_bounds(&self, found: &Found) -> Result<(), Refusal> {
        match self.place {
            Place::Front | Place::Field => {
                // What waits belongs to the front as well, unless a head was found, which may be the file's.
                let front = match found {
                    Found::Nothing => self.received,
                    _ => self.taken(),
                };
                if front > FRONT_BYTES_MAX {
                    return Err(Refusal::new(
                        S3ErrorCode::MaxPostPreDataLengthExceededError,
                        format!(
                            "the form has more than {FRONT_BYTES_MAX} bytes in front of its file"
                        ),
                    ));
                }
            }
            Place::File => {}
            Place::Behind => {
                if self.received - self.file_end > BEHIND_BYTES_MAX {
                    return Err(Refusal::new(
                        S3ErrorCode::MalformedPOSTRequest,
                        format!("the form has more than {BEHIND_BYTES_MAX} bytes behind its file"),
                    ));
                }
            }
        }
        Ok(())
    }
}
