//! Opening the log: what the index does not have yet is applied to it, and a torn end is cut off.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::body::Place;
use super::index::Index;
use super::log::{self, Failure, Header};
use super::record::{Change, Record};
use super::stage::{LiveBytes, Position, Stage};
use super::storage::{File, Storage};
use crate::{Error, OpenError};

/// How many records are applied to the index at once.
const RECORDS_PER_BATCH: usize = 1_000;

/// What the log and the index agree on after replay.
pub(super) struct Replayed {
    pub(super) position: Position,
    pub(super) live: LiveBytes,
    pub(super) segments: BTreeSet<u64>,
}

/// Brings the index to the end of the log, or makes the first segment of a new one.
pub(super) fn replay(
    storage: &Arc<dyn Storage>,
    store: u64,
    index: &dyn Index,
) -> Result<Replayed, OpenError> {
    let known = Position::load(index).map_err(open_error)?;
    let mut segments: BTreeSet<u64> = storage
        .list(log::FOLDER)
        .map_err(OpenError::Io)?
        .iter()
        .filter_map(|name| log::number(name))
        .collect();
    drop_unborn_segment(storage.as_ref(), store, known, &mut segments)?;

    let mut position = known.unwrap_or(Position {
        sequence: 0,
        next_id: 1,
        timestamp: i64::MIN,
        segment: 1,
        offset: log::HEADER_BYTES,
    });
    if segments.is_empty() {
        if position.sequence > 0 {
            return Err(corrupt("the log is gone, the index is there"));
        }
        create_first(storage.as_ref(), store)?;
        segments.insert(1);
    }

    let mut replay = Replay {
        storage: storage.as_ref(),
        store,
        index,
        live: LiveBytes::load(index).map_err(open_error)?,
        stage: Stage::default(),
        staged: 0,
    };
    let todo: Vec<u64> = segments.range(position.segment..).copied().collect();
    if todo.first() != Some(&position.segment) {
        return Err(corrupt(format!(
            "log segment {} is missing",
            position.segment
        )));
    }
    replay.check_position(position)?;
    if let Some(last) = todo.last() {
        replay.mend_end(*last, position)?;
    }
    for segment in &todo {
        replay.segment(*segment, &mut position)?;
    }
    replay.apply(position)?;
    Ok(Replayed {
        position,
        live: replay.live,
        segments,
    })
}

/// A crash while a segment was made leaves the last one without a record, perhaps without a whole header, and perhaps
/// without anything of it being durable. It is made again when it is needed, unless the index has begun to count on it.
fn drop_unborn_segment(
    storage: &dyn Storage,
    store: u64,
    known: Option<Position>,
    segments: &mut BTreeSet<u64>,
) -> Result<(), OpenError> {
    let Some(last) = segments.last().copied() else {
        return Ok(());
    };
    if known.is_some_and(|position| position.segment == last) {
        return Ok(());
    }
    let file = storage.open(&log::path(last)).map_err(OpenError::Io)?;
    let size_bytes = file.size_bytes().map_err(OpenError::Io)?;
    let bytes = read(file.as_ref(), 0, size_bytes)?;
    if let Some(header) = Header::read(&bytes) {
        if header.store != store || header.segment != last {
            // Somebody else's, which is told to whoever opens it.
            return Ok(());
        }
        let records = bytes.get(to_usize(log::HEADER_BYTES)?..).unwrap_or(&[]);
        let is_first = |record: Record<'_>| record.head.sequence == header.first_sequence;
        // Where the first record is damaged and there are others behind it, it is not for us to remove them.
        if Record::read(store, records).is_some_and(is_first)
            || has_synced_record(store, records, header.first_sequence)
        {
            return Ok(());
        }
    } else if size_bytes > log::HEADER_BYTES {
        // A header is synced before there is anything behind it; this one is damaged, which is told to whoever opens it.
        return Ok(());
    }
    storage.remove(&log::path(last)).map_err(OpenError::Io)?;
    storage.sync_dir(log::FOLDER).map_err(OpenError::Io)?;
    segments.remove(&last);
    Ok(())
}

fn create_first(storage: &dyn Storage, store: u64) -> Result<(), OpenError> {
    let header = Header {
        store,
        segment: 1,
        first_sequence: 1,
    };
    match log::create(storage, header) {
        Ok(_) => Ok(()),
        Err(Failure::Nothing(error) | Failure::Unknown(error)) => Err(OpenError::Io(error)),
    }
}

/// A segment with all its bytes and its header.
struct Segment {
    file: Arc<dyn File>,
    bytes: Vec<u8>,
    header: Header,
}

struct Replay<'a> {
    storage: &'a dyn Storage,
    store: u64,
    index: &'a dyn Index,
    live: LiveBytes,
    stage: Stage,
    staged: usize,
}

impl Replay<'_> {
    /// Makes sure that the log has what the index has of it. In a folder that was copied file by file the index can be of a
    /// later moment, and zeros be where its records are.
    fn check_position(&self, position: Position) -> Result<(), OpenError> {
        if position.offset <= log::HEADER_BYTES {
            return Ok(());
        }
        let Segment { bytes, .. } = self.open(position.segment)?;
        let applied = bytes.get(..to_usize(position.offset)?).unwrap_or(&[]);
        if Record::ends(self.store, applied) {
            return Ok(());
        }
        Err(corrupt(format!(
            "log segment {} ends before what the index has of it",
            position.segment
        )))
    }

    /// Cuts off what was being written at the end of the log and makes sure that the rest is durable, before anybody
    /// can see it.
    ///
    /// The last group may be there though its sync never came, or failed: a killed process leaves it in the system's
    /// memory, and after a failed sync the system may take it for written though it is not. So it is written again.
    fn mend_end(&self, segment: u64, position: Position) -> Result<(), OpenError> {
        let Segment {
            file,
            bytes,
            header,
        } = self.open(segment)?;
        let (mut offset, mut next) = if position.segment == segment {
            (to_usize(position.offset)?, position.sequence + 1)
        } else {
            (to_usize(log::HEADER_BYTES)?, header.first_sequence)
        };
        let mut group = (next, offset);
        while let Some(record) = self.record_at(&bytes, offset, next) {
            if record.head.group != group.0 {
                group = (record.head.group, offset);
            }
            offset += record.size_bytes();
            next += 1;
        }
        let rest = bytes.get(offset..).unwrap_or_default();
        if has_synced_record(self.store, rest, next) {
            return Err(corrupt(format!(
                "record {next} in log segment {segment} at byte {offset}"
            )));
        }
        let again = bytes.get(group.1..offset).unwrap_or_default();
        file.write_at(group.1 as u64, again)
            .map_err(OpenError::Io)?;
        if !rest.is_empty() {
            let torn = rest.iter().rposition(|byte| *byte != 0);
            if let Some(last) = torn {
                let bytes = last + 1;
                tracing::info!(segment, bytes, "cut off the torn end of the log");
            }
            file.truncate(offset as u64).map_err(OpenError::Io)?;
        }
        file.sync()
            .and_then(|()| self.storage.sync_dir(log::FOLDER))
            .map_err(OpenError::Io)
    }

    /// Stages what a segment holds behind the position, and moves the position to its end.
    fn segment(&mut self, segment: u64, position: &mut Position) -> Result<(), OpenError> {
        let Segment { bytes, header, .. } = self.open(segment)?;
        if position.segment != segment {
            if header.first_sequence != position.sequence + 1 {
                return Err(corrupt(format!(
                    "log segment {segment} begins with record {}, not {}",
                    header.first_sequence,
                    position.sequence + 1
                )));
            }
            position.segment = segment;
            position.offset = log::HEADER_BYTES;
        }
        let mut offset = to_usize(position.offset)?;
        while let Some(record) = self.record_at(&bytes, offset, position.sequence + 1) {
            self.record(segment, offset as u64, &record)?;
            offset += record.size_bytes();
            *position = Position {
                sequence: record.head.sequence,
                next_id: record.head.next_id,
                timestamp: record.head.timestamp,
                segment,
                offset: offset as u64,
            };
            self.staged += 1;
            if self.staged >= RECORDS_PER_BATCH {
                self.apply(*position)?;
            }
        }
        if offset < bytes.len() {
            return Err(corrupt(format!(
                "record {} in log segment {segment} at byte {offset}",
                position.sequence + 1
            )));
        }
        Ok(())
    }

    /// Reads a segment, which must be this store's.
    fn open(&self, segment: u64) -> Result<Segment, OpenError> {
        let file = self
            .storage
            .open(&log::path(segment))
            .map_err(OpenError::Io)?;
        let size_bytes = file.size_bytes().map_err(OpenError::Io)?;
        let bytes = read(file.as_ref(), 0, size_bytes)?;
        let header = Header::read(&bytes)
            .filter(|header| header.store == self.store && header.segment == segment)
            .ok_or_else(|| corrupt(format!("the header of log segment {segment}")))?;
        Ok(Segment {
            file,
            bytes,
            header,
        })
    }

    /// The record at this offset, if there is a whole one and it is the one expected.
    fn record_at<'b>(&self, bytes: &'b [u8], offset: usize, sequence: u64) -> Option<Record<'b>> {
        let rest = bytes.get(offset..)?;
        Record::read(self.store, rest).filter(|record| record.head.sequence == sequence)
    }

    fn record(&mut self, segment: u64, at: u64, record: &Record<'_>) -> Result<(), OpenError> {
        let sequence = record.head.sequence;
        let changes = record
            .changes()
            .ok_or_else(|| corrupt(format!("record {sequence} has changes nobody knows")))?;
        for change in changes {
            match change {
                Change::SetRow { key, value } => self.stage.row(
                    Bytes::copy_from_slice(key),
                    Some(Bytes::copy_from_slice(value)),
                ),
                Change::DeleteRow { key } => self.stage.row(Bytes::copy_from_slice(key), None),
                Change::AddBody {
                    id,
                    crc,
                    offset,
                    size_bytes,
                } => self.stage.add(
                    id,
                    Place::Log {
                        segment,
                        offset: at + offset,
                        size_bytes,
                        crc,
                    },
                ),
                Change::AddBlob { id, size_bytes } => {
                    self.stage.add(id, Place::Blob { size_bytes });
                }
                Change::FreeBody { id } => {
                    self.stage.free(id, None, self.index).map_err(open_error)?;
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, position: Position) -> Result<(), OpenError> {
        let batch = self.stage.finish(position, &mut self.live);
        // Files of freed bodies are left to the search for orphans, which comes behind.
        self.stage.freed_blobs.clear();
        self.staged = 0;
        self.index.apply(&batch).map_err(open_error)
    }
}

/// Whether there is a record that was written only after the missing one had been synced. Then the missing one is not
/// the torn end of a group that nobody was told of, but damage.
fn has_synced_record(store: u64, rest: &[u8], missing: u64) -> bool {
    // Behind the records there are zeros, in which nothing is to be found.
    let end = rest.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    (1..end).any(|at| {
        rest.get(at..)
            .and_then(|rest| Record::read(store, rest))
            .is_some_and(|record| record.head.group > missing)
    })
}

fn read(file: &dyn File, offset: u64, size_bytes: u64) -> Result<Vec<u8>, OpenError> {
    let mut bytes = vec![0; to_usize(size_bytes)?];
    file.read_at(offset, &mut bytes).map_err(OpenError::Io)?;
    Ok(bytes)
}

fn to_usize(number: u64) -> Result<usize, OpenError> {
    usize::try_from(number).map_err(|_| OpenError::Io(io::Error::from(io::ErrorKind::FileTooLarge)))
}

fn corrupt(what: impl Into<String>) -> OpenError {
    OpenError::Corrupt(what.into())
}

/// What a failure of the index means while opening.
pub(super) fn open_error(error: Error) -> OpenError {
    match error {
        Error::Corrupt { what } => OpenError::Corrupt(what),
        Error::Io(error) => OpenError::Io(error),
        other => OpenError::Io(io::Error::other(other)),
    }
}
