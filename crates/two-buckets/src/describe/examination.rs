use std::fmt::Write as _;
use std::ops::Range;

use two_buckets_objects::{Algorithm, Hasher};

use super::archive::Archive;
use super::encoding::{Encoding, Lines, encoding_of};
use super::json::TopLevel;
use super::media_type::{self, CSV, JSON, JSON_LINES, PLAIN_SOURCE, PLAIN_TEXT, TAB_SEPARATED};
use super::table::{Hint, Table};
use super::{Description, PREFIX_BYTES_MAX, Structure, image, json};

/// A file that is being looked at: its bytes go in, in pieces of any size; what comes out does not depend on how they
/// were cut. No I/O, no clock; holds the first [`PREFIX_BYTES_MAX`] bytes and counters.
pub struct Examination {
    size: u64,
    seen: u64,
    /// What the name says, should this be a text.
    named: Option<&'static str>,
    sha256: Hasher,
    stage: Stage,
}

enum Stage {
    /// It may yet be anything.
    Beginning(Vec<u8>),
    Going(Going),
}

struct Going {
    media_type: &'static str,
    reading: Reading,
    problem: Option<String>,
}

/// How the rest of a file is read, besides being hashed.
enum Reading {
    /// Not at all.
    Nothing,
    Done(Structure),
    Text(Encoding, Lines),
    Json(Encoding, Lines, Option<TopLevel>),
    Table(Box<Table>),
    /// From its end, once all of it was seen. The bytes are all of the file if that fits.
    Zip(Vec<u8>),
}

/// The bytes that came are not as many as the file has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{seen} bytes were read of a file that has {size}")]
pub struct SizeDiffers {
    /// How many bytes came.
    pub seen: u64,
    /// How many the file has.
    pub size: u64,
}

impl Examination {
    /// Begins with a file of this name and size.
    pub fn new(name: &str, size: u64) -> Self {
        Self {
            size,
            seen: 0,
            named: media_type::text_by_name(name),
            sha256: Algorithm::Sha256.hasher(),
            stage: Stage::Beginning(Vec::new()),
        }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.seen += bytes.len() as u64;
        match &mut self.stage {
            Stage::Going(going) => going.update(bytes),
            Stage::Beginning(prefix) => {
                let room = PREFIX_BYTES_MAX - prefix.len();
                if bytes.len() <= room {
                    prefix.extend_from_slice(bytes);
                } else {
                    let (fits, rest) = bytes.split_at(room);
                    prefix.extend_from_slice(fits);
                    let prefix = std::mem::take(prefix);
                    let mut going = begin(prefix, false, self.named);
                    going.update(rest);
                    self.stage = Stage::Going(going);
                }
            }
        }
    }

    /// Ends the bytes. What is read from a file's end is asked for by what this gives.
    pub fn finish(self) -> Result<Finishing, SizeDiffers> {
        if self.seen != self.size {
            return Err(SizeDiffers {
                seen: self.seen,
                size: self.size,
            });
        }
        let going = match self.stage {
            Stage::Beginning(prefix) => begin(prefix, true, self.named),
            Stage::Going(going) => going,
        };
        let mut finishing = Finishing {
            description: Description {
                media_type: going.media_type,
                size: self.size,
                sha256: lower_hex(&self.sha256.finish().value),
                structure: None,
                structure_problem: going.problem,
            },
            archive: None,
        };
        let description = &mut finishing.description;
        match going.reading {
            Reading::Nothing => {}
            Reading::Done(structure) => description.structure = Some(structure),
            Reading::Text(encoding, lines) => {
                description.structure = Some(Structure::Text {
                    encoding: encoding.name(),
                    lines: (encoding != Encoding::Utf16).then(|| lines.count()),
                });
            }
            Reading::Json(encoding, lines, top_level) => {
                description.structure = Some(Structure::Json {
                    encoding: encoding.name(),
                    lines: lines.count(),
                    top_level: top_level.map(|top| top.kind),
                    entries: top_level.and_then(|top| top.entries),
                });
            }
            Reading::Table(table) => {
                let (structure, problem) = table.finish();
                description.structure = Some(structure);
                description.structure_problem = problem;
            }
            Reading::Zip(whole) => {
                finishing.archive = Some(Archive::new(self.size));
                if whole.len() as u64 == self.size {
                    finishing.give_from(&whole);
                }
            }
        }
        Ok(finishing)
    }
}

/// A file that was seen whole, of which some ranges may be wanted again.
pub struct Finishing {
    description: Description,
    archive: Option<Archive>,
}

impl Finishing {
    /// The range to read and [`give`](Self::give) next, at most 256 KiB; none once all is known.
    pub fn wants(&self) -> Option<Range<u64>> {
        self.archive.as_ref().and_then(Archive::wants)
    }

    /// Takes the bytes of the range that is wanted, all of them.
    pub fn give(&mut self, bytes: &[u8]) {
        if let Some(archive) = &mut self.archive {
            archive.give(bytes);
        }
    }

    fn give_from(&mut self, whole: &[u8]) {
        while let Some(range) = self.wants() {
            let range = usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok());
            let bytes = range.and_then(|(start, end)| whole.get(start..end));
            self.give(bytes.unwrap_or_default());
        }
    }

    /// What the file is. Ranges that were wanted and not given make it incomplete, not wrong.
    pub fn description(mut self) -> Description {
        if let Some(archive) = self.archive {
            let (structure, problem) = archive.finish();
            self.description.structure = structure;
            self.description.structure_problem = problem;
        }
        self.description
    }
}

impl Going {
    fn update(&mut self, bytes: &[u8]) {
        match &mut self.reading {
            Reading::Nothing | Reading::Done(_) | Reading::Zip(_) => {}
            Reading::Text(_, lines) | Reading::Json(_, lines, _) => lines.update(bytes),
            Reading::Table(table) => table.update(bytes),
        }
    }
}

/// Decides what a file is from its beginning. `whole` says that this is all of it.
fn begin(prefix: Vec<u8>, whole: bool, named: Option<&'static str>) -> Going {
    let mut going = match encoding_of(&prefix, whole) {
        Some(encoding) => text(&prefix, whole, encoding, named),
        None => return binary(prefix, whole, named),
    };
    if going.media_type == PLAIN_SOURCE {
        going.media_type = PLAIN_TEXT;
    }
    going.update(&prefix);
    going
}

fn binary(prefix: Vec<u8>, whole: bool, named: Option<&'static str>) -> Going {
    let mut problem = None;
    let signed = media_type::by_signature(&prefix, false);
    let is_zip = prefix.starts_with(b"PK\x03\x04") || prefix.starts_with(b"PK\x05\x06");
    let media_type = match signed {
        Some(media_type) => media_type,
        None if is_zip => "application/zip",
        // Nothing contradicts the name of an empty file.
        None if prefix.is_empty() && named != Some(PLAIN_SOURCE) => {
            named.unwrap_or(media_type::UNKNOWN)
        }
        None if prefix.is_empty() => PLAIN_TEXT,
        None => media_type::UNKNOWN,
    };
    let reading = if is_zip {
        Reading::Zip(if whole { prefix } else { Vec::new() })
    } else {
        match image::dimensions(media_type, &prefix) {
            Some(Ok(structure)) => Reading::Done(structure),
            // In a longer file they may come later, and nothing is wrong.
            Some(Err(error)) if whole => {
                problem = Some(format!("the picture's dimensions cannot be read: {error}"));
                Reading::Nothing
            }
            Some(Err(_)) | None => Reading::Nothing,
        }
    };
    Going {
        media_type,
        reading,
        problem,
    }
}

fn text(prefix: &[u8], whole: bool, encoding: Encoding, named: Option<&'static str>) -> Going {
    let lines = Lines::default();
    let plain = |media_type| Going {
        media_type,
        reading: Reading::Text(encoding, lines),
        problem: None,
    };
    if let Some(signed) = media_type::by_signature(prefix, true) {
        return plain(signed);
    }
    if encoding == Encoding::Utf16 {
        return plain(named.unwrap_or(PLAIN_TEXT));
    }
    if let Some((top_level, problem)) = as_json(prefix, whole, named) {
        return Going {
            media_type: JSON,
            reading: Reading::Json(encoding, lines, top_level),
            problem,
        };
    }
    let hint = match named {
        Some(CSV) => Some(Hint::Table(b',')),
        Some(TAB_SEPARATED) => Some(Hint::Table(b'\t')),
        Some(PLAIN_TEXT) | None => Some(Hint::Unknown),
        Some(_) => None,
    };
    if let Some(table) = hint.and_then(|hint| Table::sniff(prefix, whole, encoding, hint)) {
        return Going {
            media_type: if table.is_tab_separated() {
                TAB_SEPARATED
            } else {
                CSV
            },
            reading: Reading::Table(table),
            problem: None,
        };
    }
    plain(named.unwrap_or(PLAIN_TEXT))
}

/// Says whether a text is JSON, what is on its outside if all of it is here, and what is wrong with it.
fn as_json(
    prefix: &[u8],
    whole: bool,
    named: Option<&'static str>,
) -> Option<(Option<TopLevel>, Option<String>)> {
    let named_so = named == Some(JSON);
    // JSON lines are JSON too if there is one line of them: the name decides.
    if named == Some(JSON_LINES) {
        return None;
    }
    if !whole {
        let looks_so = named.is_none() && json::begins(prefix);
        return (named_so || looks_so).then_some((None, None));
    }
    let mut begin = json::without_bom(prefix)
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace());
    if !named_so && !matches!(begin.next(), Some(b'{' | b'[')) {
        return None;
    }
    match json::look_through(prefix) {
        Ok(top_level) => Some((Some(top_level), None)),
        Err(error) if named_so => Some((None, Some(format!("this is not valid JSON: {error}")))),
        Err(_) => None,
    }
}

fn lower_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes every write");
    }
    text
}
