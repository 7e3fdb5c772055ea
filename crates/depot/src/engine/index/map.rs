use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;

use super::{Batch, Index, Rows, is_empty_range};
use crate::engine::body::Fields;
use crate::engine::record::crc64;
use crate::engine::storage::{File, Storage};
use crate::{Error, OpenError, Result};

/// An index in memory that is kept on a [`Storage`], so that a crash of that storage leaves it as a crash leaves the one
/// on the disk: with some prefix of its batches.
///
/// It keeps one journal: a file that begins with all rows and goes on with each batch. A checkpoint syncs it, or begins
/// the next one. Readers share the map they began with; a batch copies it only while one of them is still there.
pub(crate) struct MapIndex {
    rows: RwLock<Arc<BTreeMap<Bytes, Bytes>>>,
    journal: Mutex<Journal>,
}

struct Journal {
    storage: Arc<dyn Storage>,
    generation: u64,
    /// None if it misses something and the next checkpoint must begin another.
    file: Option<Arc<dyn File>>,
    size_bytes: u64,
    /// How much of it was written when it was begun.
    first_bytes: u64,
}

const FOLDER: &str = "index-map";
const MAGIC: u32 = u32::from_le_bytes(*b"2Bix");
const HEADER_BYTES: usize = 16;
const DELETED: u32 = u32::MAX;
/// A journal is not replaced before it grew by this, or to twice its size.
const GROWTH_BYTES_MIN: u64 = 64 << 10;

fn path(generation: u64) -> String {
    format!("{FOLDER}/{generation:020}.rows")
}

impl MapIndex {
    /// Opens the index on this storage, or makes one.
    pub(crate) fn open(storage: &Arc<dyn Storage>) -> Result<Self, OpenError> {
        Self::load(storage).map_err(OpenError::Io)
    }

    fn load(storage: &Arc<dyn Storage>) -> io::Result<Self> {
        storage.create_dir(FOLDER)?;
        let mut generations: Vec<u64> = storage
            .list(FOLDER)?
            .iter()
            .filter_map(|name| name.strip_suffix(".rows")?.parse().ok())
            .collect();
        generations.sort_unstable();
        let mut rows = BTreeMap::new();
        // The newest that was begun whole counts; a crash may have left a newer one that was not.
        for generation in generations.iter().rev() {
            let file = storage.open(&path(*generation))?;
            let size = usize::try_from(file.size_bytes()?).map_err(io::Error::other)?;
            let mut bytes = vec![0; size];
            file.read_at(0, &mut bytes)?;
            let mut rest = bytes.as_slice();
            if read(&mut rest, &mut rows).is_some() {
                while read(&mut rest, &mut rows).is_some() {}
                break;
            }
        }
        let mut journal = Journal {
            storage: Arc::clone(storage),
            generation: generations.last().copied().unwrap_or(0),
            file: None,
            size_bytes: 0,
            first_bytes: 0,
        };
        // Begun anew at each opening: nobody knows what of the old one is durable and what only seems so.
        journal.begin(&rows)?;
        for generation in generations {
            journal.forget(generation)?;
        }
        Ok(Self {
            rows: RwLock::new(Arc::new(rows)),
            journal: Mutex::new(journal),
        })
    }

    fn rows(&self) -> Arc<BTreeMap<Bytes, Bytes>> {
        Arc::clone(&self.rows.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Index for MapIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.get(key).map(|value| value.to_vec()))
    }

    fn range(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        backwards: bool,
        _: usize,
    ) -> Rows<'static> {
        Box::new(Walk {
            rows: self.rows(),
            from,
            to,
            backwards,
        })
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = encode(batch.iter().map(|(key, value)| (key, value.as_ref())));
        let at = journal.size_bytes;
        if let Some(file) = journal.file.take()
            && file.write_at(at, &entry).is_ok()
        {
            journal.file = Some(file);
            journal.size_bytes += entry.len() as u64;
        }
        let mut shared = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let rows = Arc::make_mut(&mut shared);
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<()> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = journal.size_bytes - journal.first_bytes;
        match journal.file.take() {
            Some(file) if grown <= journal.first_bytes.max(GROWTH_BYTES_MIN) => {
                file.sync().map_err(Error::Io)?;
                journal.file = Some(file);
                Ok(())
            }
            _ => journal.begin(&self.rows()).map_err(Error::Io),
        }
    }
}

impl Journal {
    /// Begins the next journal with these rows and removes the one before.
    fn begin(&mut self, rows: &BTreeMap<Bytes, Bytes>) -> io::Result<()> {
        let before = self.generation;
        self.generation += 1;
        let first = encode(rows.iter().map(|(key, value)| (key, Some(value))));
        let file = self.storage.create(&path(self.generation))?;
        file.write_at(0, &first)?;
        file.sync()?;
        self.storage.sync_dir(FOLDER)?;
        self.size_bytes = first.len() as u64;
        self.first_bytes = self.size_bytes;
        self.file = Some(file);
        self.forget(before)
    }

    fn forget(&self, generation: u64) -> io::Result<()> {
        match self.storage.remove(&path(generation)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn encode<'a>(rows: impl Iterator<Item = (&'a Bytes, Option<&'a Bytes>)>) -> Vec<u8> {
    let length =
        |length: usize| u32::try_from(length).expect("an index in memory is far below 4 GiB");
    let mut entry = vec![0; HEADER_BYTES];
    for (key, value) in rows {
        entry.extend_from_slice(&length(key.len()).to_le_bytes());
        let value_length = value.map_or(DELETED, |value| length(value.len()));
        entry.extend_from_slice(&value_length.to_le_bytes());
        entry.extend_from_slice(key);
        if let Some(value) = value {
            entry.extend_from_slice(value);
        }
    }
    let (header, payload) = entry.split_at_mut(HEADER_BYTES);
    let mut fields = Vec::with_capacity(HEADER_BYTES);
    fields.extend_from_slice(&MAGIC.to_le_bytes());
    fields.extend_from_slice(&length(payload.len()).to_le_bytes());
    fields.extend_from_slice(&crc64(&[payload]).to_le_bytes());
    header.copy_from_slice(&fields);
    entry
}

/// Takes the next entry into the rows; none if there is no whole one.
fn read(rest: &mut &[u8], rows: &mut BTreeMap<Bytes, Bytes>) -> Option<()> {
    let mut fields = Fields(rest);
    if fields.u32()? != MAGIC {
        return None;
    }
    let length = usize::try_from(fields.u32()?).ok()?;
    let crc = fields.u64()?;
    let payload = fields.bytes(length)?;
    if crc64(&[payload]) != crc {
        return None;
    }
    *rest = fields.0;
    let mut fields = Fields(payload);
    while let Some(key_bytes) = fields.u32() {
        let value_bytes = fields.u32()?;
        let key = Bytes::copy_from_slice(fields.bytes(usize::try_from(key_bytes).ok()?)?);
        if value_bytes == DELETED {
            rows.remove(&key);
        } else {
            let value = fields.bytes(usize::try_from(value_bytes).ok()?)?;
            rows.insert(key, Bytes::copy_from_slice(value));
        }
    }
    Some(())
}

/// A walk that seeks anew at each step, because an iterator cannot own the map it borrows from.
struct Walk {
    rows: Arc<BTreeMap<Bytes, Bytes>>,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    backwards: bool,
}

impl Iterator for Walk {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if is_empty_range(&self.from, &self.to) {
            return None;
        }
        let mut rows = self.rows.range::<[u8], _>((
            self.from.as_ref().map(Vec::as_slice),
            self.to.as_ref().map(Vec::as_slice),
        ));
        let (key, value) = if self.backwards {
            rows.next_back()
        } else {
            rows.next()
        }?;
        let (key, value) = (key.to_vec(), value.to_vec());
        let end = if self.backwards {
            &mut self.to
        } else {
            &mut self.from
        };
        *end = Bound::Excluded(key.clone());
        Some(Ok((key, value)))
    }
}
