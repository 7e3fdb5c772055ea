//! The log: segments of records, written one group at a time.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::body::Fields;
use super::record::crc64;
use super::storage::{File, Storage};

/// The folder of the segments.
pub(super) const FOLDER: &str = "log";
/// The bytes before the first record of a segment.
pub(super) const HEADER_BYTES: u64 = 48;

const MAGIC: &[u8; 8] = b"2BKTSLOG";
const FORMAT: u32 = 1;

/// The path of a segment.
pub(super) fn path(segment: u64) -> String {
    format!("{FOLDER}/{segment:020}.log")
}

/// The number of a segment from its file name.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) store: u64,
    pub(super) segment: u64,
    pub(super) first_sequence: u64,
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.store.to_le_bytes());
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.first_sequence.to_le_bytes());
        let crc = crc64(&[&bytes]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the beginning of a segment's bytes; none if it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_at_checked(usize::try_from(HEADER_BYTES).ok()?)?;
        let mut fields = Fields(header);
        let known = fields.bytes(8)? == MAGIC && fields.u32()? == FORMAT;
        fields.bytes(4)?;
        let read = Self {
            store: fields.u64()?,
            segment: fields.u64()?,
            first_sequence: fields.u64()?,
        };
        let crc = fields.u64()?;
        (known && crc == crc64(&[header.get(..40)?])).then_some(read)
    }
}

/// Why a group was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of it is in the log.
    Nothing(io::Error),
    /// Nobody knows what of it is on the disk.
    Unknown(io::Error),
}

/// The end of the log, where groups are appended.
pub(super) struct Log {
    storage: Arc<dyn Storage>,
    segments: Arc<Segments>,
    layout: Layout,
    active: Active,
}

struct Active {
    segment: u64,
    file: Arc<dyn File>,
    size_bytes: u64,
    /// How long its file is: there are zeros behind the records.
    file_bytes: u64,
}

/// How the log is laid out on the disk.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// The store the segments belong to.
    pub(super) store: u64,
    /// A segment is ended before it would pass this.
    pub(super) segment_bytes_max: u64,
    /// A group that would leave less room than this on the disk is refused as if it were full.
    pub(super) reserve_bytes: u64,
    /// How far zeros are written ahead of the records: a sync of bytes that replace others need not sync how long the file
    /// is, nor where its blocks are, and takes about half the time.
    pub(super) ahead_bytes: u64,
}

impl Log {
    /// Goes on at the end of a segment that is whole up to there.
    pub(super) fn resume(
        storage: Arc<dyn Storage>,
        segments: Arc<Segments>,
        layout: Layout,
        segment: u64,
        size_bytes: u64,
    ) -> io::Result<Self> {
        let file = storage.open(&path(segment))?;
        Ok(Self {
            storage,
            segments,
            layout,
            active: Active {
                segment,
                file,
                size_bytes,
                file_bytes: size_bytes,
            },
        })
    }

    /// Appends records and syncs them. Says in which segment they are and where they begin.
    pub(super) fn append(
        &mut self,
        records: &[u8],
        first_sequence: u64,
    ) -> Result<(u64, u64), Failure> {
        self.check_room(records.len() as u64)?;
        let would_be = self.active.size_bytes + records.len() as u64;
        if would_be > self.layout.segment_bytes_max && self.active.size_bytes > HEADER_BYTES {
            self.roll(first_sequence)?;
        }
        self.active.write_ahead(self.layout, records.len() as u64);
        let active = &mut self.active;
        let offset = active.size_bytes;
        if let Err(error) = active.file.write_at(offset, records) {
            // Synced, so that the bytes cut away cannot come back behind a segment that is followed by another.
            let cut = active
                .file
                .truncate(offset)
                .and_then(|()| active.file.sync());
            active.file_bytes = offset;
            return Err(match cut {
                Ok(()) => Failure::Nothing(error),
                Err(_) => Failure::Unknown(error),
            });
        }
        active.file.sync().map_err(Failure::Unknown)?;
        active.size_bytes += records.len() as u64;
        Ok((active.segment, offset))
    }

    /// Whether the index keeps its room. What is new was asked for more before.
    fn check_room(&self, size_bytes: u64) -> Result<(), Failure> {
        let reserve_bytes = self.layout.reserve_bytes;
        if reserve_bytes == 0 {
            return Ok(());
        }
        match self.storage.free_bytes().map_err(Failure::Nothing)? {
            Some(free) if free < reserve_bytes.saturating_add(size_bytes) => Err(Failure::Nothing(
                io::Error::from(io::ErrorKind::StorageFull),
            )),
            _ => Ok(()),
        }
    }

    /// Begins the next segment.
    fn roll(&mut self, first_sequence: u64) -> Result<(), Failure> {
        // Durable before there is a next one: only the last segment may go on behind its records.
        if self.active.cut().map_err(Failure::Nothing)? {
            self.active.file.sync().map_err(Failure::Unknown)?;
        }
        let segment = self.active.segment + 1;
        let header = Header {
            store: self.layout.store,
            segment,
            first_sequence,
        };
        let file = create(self.storage.as_ref(), header)?;
        self.segments.add(segment);
        self.active = Active {
            segment,
            file,
            size_bytes: HEADER_BYTES,
            file_bytes: HEADER_BYTES,
        };
        Ok(())
    }

    /// Ends the writing. What is cut off need not be gone for good: it is cut off again at the next open.
    pub(super) fn close(&mut self) {
        if let Err(error) = self.active.cut() {
            tracing::warn!(%error, "the end of the log could not be cut");
        }
    }
}

impl Active {
    /// Sees to it that so many bytes fit in the file, and some more.
    fn write_ahead(&mut self, layout: Layout, size_bytes: u64) {
        let end = self.size_bytes + size_bytes;
        if end <= self.file_bytes || layout.ahead_bytes == 0 {
            self.file_bytes = self.file_bytes.max(end);
            return;
        }
        let most = layout.segment_bytes_max.max(end);
        let to = end.saturating_add(layout.ahead_bytes).min(most);
        let zeros = usize::try_from(to - end).map_or_else(|_| Vec::new(), |count| vec![0; count]);
        // Without them the records are written all the same. If the disk is broken, they will say so.
        self.file_bytes = match self.file.write_at(end, &zeros) {
            Ok(()) => to,
            Err(_) => end,
        };
    }

    /// Cuts off what is behind the records, if anything is.
    fn cut(&mut self) -> io::Result<bool> {
        let is_longer = self.file_bytes > self.size_bytes;
        if is_longer {
            self.file.truncate(self.size_bytes)?;
            self.file_bytes = self.size_bytes;
        }
        Ok(is_longer)
    }
}

/// Makes a segment without records, durable with its name.
pub(super) fn create(storage: &dyn Storage, header: Header) -> Result<Arc<dyn File>, Failure> {
    let path = path(header.segment);
    let written = storage.create(&path).and_then(|file| {
        file.write_at(0, &header.encode())?;
        Ok(file)
    });
    let file = match written {
        Ok(file) => file,
        Err(error) => {
            return Err(match storage.remove(&path) {
                Err(gone) if gone.kind() != io::ErrorKind::NotFound => Failure::Unknown(error),
                _ => Failure::Nothing(error),
            });
        }
    };
    file.sync()
        .and_then(|()| storage.sync_dir(FOLDER))
        .map_err(Failure::Unknown)?;
    Ok(file)
}

/// Which segments there are, and the files to read them by.
pub(super) struct Segments {
    storage: Arc<dyn Storage>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    numbers: BTreeSet<u64>,
    open: HashMap<u64, Arc<dyn File>>,
    /// The lengths of those that have ended, as far as somebody has asked.
    ended: HashMap<u64, u64>,
}

/// The most segments open for reading at once; far below what an operating system allows a process.
const OPEN_SEGMENTS_MAX: usize = 128;

impl Segments {
    pub(super) fn new(storage: Arc<dyn Storage>, numbers: BTreeSet<u64>) -> Self {
        Self {
            storage,
            known: Mutex::new(Known {
                numbers,
                open: HashMap::new(),
                ended: HashMap::new(),
            }),
        }
    }

    fn add(&self, segment: u64) {
        self.known().numbers.insert(segment);
    }

    /// How many segments there are, and how long those before this one are together. Each of them is looked at once, for
    /// one that has ended stays as long as it is.
    pub(super) fn measure(&self, active: u64) -> (u64, u64) {
        let mut known = self.known();
        let mut size_bytes = 0;
        for segment in known.numbers.clone() {
            if segment >= active {
                break;
            }
            let length = match known.ended.get(&segment) {
                Some(length) => *length,
                None => match self
                    .storage
                    .open(&path(segment))
                    .and_then(|it| it.size_bytes())
                {
                    Ok(length) => *known.ended.entry(segment).or_insert(length),
                    // It cannot be looked at now; whoever reads it says so.
                    Err(_) => 0,
                },
            };
            size_bytes += length;
        }
        (known.numbers.len() as u64, size_bytes)
    }

    /// The segments before this one.
    pub(super) fn before(&self, segment: u64) -> Vec<u64> {
        self.known().numbers.range(..segment).copied().collect()
    }

    /// The file of a segment, for reading.
    pub(super) fn file(&self, segment: u64) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.known().open.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = self.storage.open(&path(segment))?;
        let mut known = self.known();
        if known.open.len() >= OPEN_SEGMENTS_MAX {
            known.open.clear();
        }
        known.open.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    /// Removes a segment. Its name need not be gone for good: without a live body it is removed again at the next open.
    pub(super) fn remove(&self, segment: u64) -> io::Result<()> {
        self.storage.remove(&path(segment))?;
        let mut known = self.known();
        known.numbers.remove(&segment);
        known.open.remove(&segment);
        known.ended.remove(&segment);
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
