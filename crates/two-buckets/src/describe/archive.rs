use std::ops::Range;

use super::{DIRECTORY_BYTES_MAX, NAME_CHARS_MAX, NAMES_MAX, Structure};

const END_SIGNATURE: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 65_535;
const LOCATOR_SIGNATURE: &[u8] = b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;
const END_64_SIGNATURE: &[u8] = b"PK\x06\x06";
const END_64_BYTES: usize = 56;
const ENTRY_SIGNATURE: &[u8] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
const DIRECTORY_SIGNATURE: &[u8] = b"PK\x05\x05";

/// The part of the end where the end record must be.
const TAIL_BYTES: u64 = (END_BYTES + COMMENT_BYTES_MAX + LOCATOR_BYTES + END_64_BYTES) as u64;
/// How much of the directory is asked for at once.
const WINDOW_BYTES: u64 = 256 << 10;

// An entry with the longest name, extra fields and comment fits a window, so each window is a step forward.
const _: () = assert!(ENTRY_BYTES as u64 + 3 * 65_535 <= WINDOW_BYTES);

/// A zip's directory that is being read, as APPNOTE 6.3.10 sections 4.3.12 to 4.3.16 lay it out.
///
/// Entry by entry in windows of bounded size: readers that build a list of all entries take many times the memory that
/// the directory has, and who wrote the directory decides how much that is. Nothing is unpacked.
pub(super) struct Archive {
    size: u64,
    stage: Stage,
    found: Option<Found>,
    problems: Vec<String>,
}

#[derive(Clone, Copy)]
enum Stage {
    Tail,
    Directory(Directory),
    Done,
}

#[derive(Clone, Copy)]
struct Directory {
    next: u64,
    end: u64,
    /// Where the end record says that the directory begins, while that was not tried.
    declared: Option<Range64>,
}

#[derive(Clone, Copy)]
struct Range64 {
    start: u64,
    end: u64,
}

struct Found {
    declared_entries: u64,
    entries: u64,
    directories: u64,
    encrypted: u64,
    uncompressed_size: Option<u64>,
    names: Vec<String>,
    complete: bool,
}

impl Archive {
    pub(super) fn new(size: u64) -> Self {
        Self {
            size,
            stage: Stage::Tail,
            found: None,
            problems: Vec::new(),
        }
    }

    /// The range of the file to give next; none once all is known.
    pub(super) fn wants(&self) -> Option<Range<u64>> {
        match self.stage {
            Stage::Tail => Some(self.size.saturating_sub(TAIL_BYTES)..self.size),
            Stage::Directory(Directory { next, end, .. }) => {
                Some(next..end.min(next.saturating_add(WINDOW_BYTES)))
            }
            Stage::Done => None,
        }
    }

    pub(super) fn give(&mut self, bytes: &[u8]) {
        let step = match self.stage {
            Stage::Tail => self.read_tail(bytes),
            Stage::Directory(directory) => self.read_directory(directory, bytes),
            Stage::Done => Ok(Stage::Done),
        };
        self.stage = step.unwrap_or_else(|problem| {
            self.problems.push(problem);
            if let Some(found) = &mut self.found {
                found.complete = false;
            }
            Stage::Done
        });
    }

    fn read_tail(&mut self, tail: &[u8]) -> Result<Stage, String> {
        let at = end_record(tail).ok_or("the end of the zip's directory is missing")?;
        let tail_start = self.size.saturating_sub(tail.len() as u64);
        let cut_off = "the end of the zip's directory is cut off";
        let mut entries = u64::from(u16_at(tail, at + 10).ok_or(cut_off)?);
        let mut length = u64::from(u32_at(tail, at + 12).ok_or(cut_off)?);
        let mut start = u64::from(u32_at(tail, at + 16).ok_or(cut_off)?);
        let mut end = tail_start + at as u64;
        if u32_at(tail, at + 4) != Some(0) {
            return Err("the zip has several parts and this is the last one".into());
        }
        let too_big_for_32 = entries == 0xffff || length == 0xffff_ffff || start == 0xffff_ffff;
        let locator = at.checked_sub(LOCATOR_BYTES);
        let locator = locator.filter(|at| has(tail, *at, LOCATOR_SIGNATURE));
        if let (true, Some(locator)) = (too_big_for_32, locator) {
            let record = end_64_record(tail, locator, tail_start)
                .ok_or("the end of the zip64 directory is missing")?;
            entries = u64_at(tail, record + 32).ok_or(cut_off)?;
            length = u64_at(tail, record + 40).ok_or(cut_off)?;
            start = u64_at(tail, record + 48).ok_or(cut_off)?;
            end = tail_start + record as u64;
        }
        // The directory ends where its end record begins. Where it says it begins is wrong in archives that have
        // something before them, so that is tried only if nothing is found.
        let found_start = end
            .checked_sub(length)
            .ok_or("the zip's directory is said to be larger than the file")?;
        let declared_end = start.saturating_add(length).min(self.size);
        let complete = length <= DIRECTORY_BYTES_MAX;
        self.found = Some(Found {
            declared_entries: entries,
            entries: 0,
            directories: 0,
            encrypted: 0,
            uncompressed_size: Some(0),
            names: Vec::new(),
            complete,
        });
        if length == 0 {
            self.ended();
            return Ok(Stage::Done);
        }
        let limit = |start: u64, end: u64| end.min(start.saturating_add(DIRECTORY_BYTES_MAX));
        let elsewhere = start != found_start && start < declared_end;
        Ok(Stage::Directory(Directory {
            next: found_start,
            end: limit(found_start, end),
            declared: elsewhere.then(|| Range64 {
                start,
                end: limit(start, declared_end),
            }),
        }))
    }

    fn read_directory(&mut self, directory: Directory, bytes: &[u8]) -> Result<Stage, String> {
        let found = self
            .found
            .as_mut()
            .expect("the tail is read before the directory");
        if let Some(declared) = directory.declared
            && !has(bytes, 0, ENTRY_SIGNATURE)
        {
            return Ok(Stage::Directory(Directory {
                next: declared.start,
                end: declared.end,
                declared: None,
            }));
        }
        let mut rest = bytes;
        while let Some(length) = entry_length(rest)? {
            let Some((entry, behind)) = rest.split_at_checked(length) else {
                break;
            };
            found.add(entry)?;
            rest = behind;
        }
        let read = (bytes.len() - rest.len()) as u64;
        let next = directory.next.saturating_add(read);
        if next >= directory.end || has(rest, 0, DIRECTORY_SIGNATURE) {
            self.ended();
            return Ok(Stage::Done);
        }
        if read == 0 || directory.next.saturating_add(bytes.len() as u64) >= directory.end {
            if found.complete {
                return Err(format!(
                    "the zip's directory is cut off behind {} entries",
                    found.entries
                ));
            }
            return Ok(Stage::Done);
        }
        Ok(Stage::Directory(Directory {
            next,
            declared: None,
            ..directory
        }))
    }

    fn ended(&mut self) {
        let found = self.found.as_ref().expect("the tail was read");
        if found.complete && found.entries != found.declared_entries {
            self.problems.push(format!(
                "the zip's directory has {} entries and is said to have {}",
                found.entries, found.declared_entries
            ));
        }
    }

    /// What was found and what is wrong with it.
    pub(super) fn finish(mut self) -> (Option<Structure>, Option<String>) {
        if let Some(found) = &self.found
            && found.uncompressed_size.is_none()
        {
            self.problems
                .push("the sizes of the zip's entries add up to more than a number holds".into());
        }
        let read_to_the_end = matches!(self.stage, Stage::Done);
        let structure = self.found.map(|found| Structure::Zip {
            entries: found.entries,
            directories: found.directories,
            encrypted: found.encrypted,
            uncompressed_size: found.uncompressed_size,
            names: found.names,
            complete: found.complete && read_to_the_end,
        });
        let problem = (!self.problems.is_empty()).then(|| self.problems.join("; "));
        (structure, problem)
    }
}

impl Found {
    /// Counts an entry of the directory, whole with its name, extra fields and comment.
    fn add(&mut self, entry: &[u8]) -> Result<(), String> {
        let cut_off = "an entry of the zip's directory is cut off";
        let flags = u16_at(entry, 8).ok_or(cut_off)?;
        let short_size = u32_at(entry, 24).ok_or(cut_off)?;
        let name_length = usize::from(u16_at(entry, 28).ok_or(cut_off)?);
        let extra_length = usize::from(u16_at(entry, 30).ok_or(cut_off)?);
        let (_, variable) = entry.split_at_checked(ENTRY_BYTES).ok_or(cut_off)?;
        let (name, behind) = variable.split_at_checked(name_length).ok_or(cut_off)?;
        let extra = behind.get(..extra_length).ok_or(cut_off)?;
        let size = match short_size {
            // A size that 32 bits do not hold is the first one in the zip64 field; without that field it is itself.
            u32::MAX => zip64_size(extra).unwrap_or(u64::from(u32::MAX)),
            _ => u64::from(short_size),
        };
        self.entries += 1;
        self.directories += u64::from(name.ends_with(b"/"));
        self.encrypted += u64::from(flags & 1);
        self.uncompressed_size = self
            .uncompressed_size
            .and_then(|total| total.checked_add(size));
        if self.names.len() < NAMES_MAX {
            // Four bytes hold any character.
            let head = name.get(..NAME_CHARS_MAX * 4).unwrap_or(name);
            let shown = String::from_utf8_lossy(head);
            self.names
                .push(shown.chars().take(NAME_CHARS_MAX).collect());
        }
        Ok(())
    }
}

/// Where the end record is: the last one whose comment reaches exactly to the end of the file, else the last one.
fn end_record(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(END_BYTES)?;
    let candidates = || (0..=last).rev().filter(|at| has(tail, *at, END_SIGNATURE));
    candidates()
        .find(|at| {
            let comment = u16_at(tail, at + 20).map_or(usize::MAX, usize::from);
            at + END_BYTES + comment == tail.len()
        })
        .or_else(|| candidates().next())
}

/// Where the zip64 end record is: where its locator says, or right before the locator.
fn end_64_record(tail: &[u8], locator: usize, tail_start: u64) -> Option<usize> {
    let declared = u64_at(tail, locator + 8)?
        .checked_sub(tail_start)
        .and_then(|at| usize::try_from(at).ok());
    let before = locator.checked_sub(END_64_BYTES);
    [declared, before]
        .into_iter()
        .flatten()
        .find(|at| *at < locator && has(tail, *at, END_64_SIGNATURE))
}

/// The length of the directory entry that begins here; none if its head is not all here or something else begins.
fn entry_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    if bytes.len() < ENTRY_BYTES || has(bytes, 0, DIRECTORY_SIGNATURE) {
        return Ok(None);
    }
    if !has(bytes, 0, ENTRY_SIGNATURE) {
        return Err("the zip's directory has something in it that is no entry".into());
    }
    let lengths = [28, 30, 32].map(|at| u16_at(bytes, at).map_or(0, usize::from));
    Ok(Some(ENTRY_BYTES + lengths.iter().sum::<usize>()))
}

/// The uncompressed size in the zip64 extra field (APPNOTE, section 4.5.3).
fn zip64_size(mut extra: &[u8]) -> Option<u64> {
    loop {
        let id = u16_at(extra, 0)?;
        let length = usize::from(u16_at(extra, 2)?);
        if id == 1 {
            return u64_at(extra, 4).filter(|_| length >= 8);
        }
        extra = extra.get(4 + length..)?;
    }
}

fn has(bytes: &[u8], at: usize, signature: &[u8]) -> bool {
    bytes
        .get(at..)
        .is_some_and(|rest| rest.starts_with(signature))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}
