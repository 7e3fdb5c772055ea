use std::ops::Bound;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Batch, Index, Rows};
use crate::{Error, OpenError, Result};

/// The index on the disk: a log-structured merge tree (fjall) in a folder of its own.
///
/// It has one keyspace, because rows and the position they stand for must be in the same journal and the same tables:
/// only then is every state that survives a crash consistent with the position in it.
pub(crate) struct LsmIndex {
    database: Database,
    rows: Keyspace,
}

/// Blocks of tables kept in memory.
const CACHE_BYTES: u64 = 64 << 20;
/// What is gathered in memory before it becomes a table. Two or three of these can be there at once.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The most bytes of journals, which bounds how long opening takes after a crash; the least fjall allows.
const JOURNALS_BYTES_MAX: u64 = 64 << 20;
/// Tables kept open.
const OPEN_FILES_MAX: usize = 256;
/// One thread for flushes and compactions leaves the other cores to requests.
const WORKERS: usize = 1;

impl LsmIndex {
    /// Opens the index in this folder, or makes one.
    pub(crate) fn open(folder: &Path) -> Result<Self, OpenError> {
        let open = || {
            let database = Database::builder(folder)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNALS_BYTES_MAX)
                .max_cached_files(Some(OPEN_FILES_MAX))
                .worker_threads(WORKERS)
                // The log is what makes durable; the journal only has to be written before a checkpoint.
                .manual_journal_persist(true)
                .open()?;
            let rows = database.keyspace("rows", || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(MEMTABLE_BYTES)
                    .manual_journal_persist(true)
            })?;
            Ok(Self { database, rows })
        };
        open().map_err(|error| match error {
            fjall::Error::Io(error) => OpenError::Io(error),
            fjall::Error::Locked => OpenError::Locked,
            other => OpenError::Corrupt(format!("the index: {other}")),
        })
    }
}

impl Index for LsmIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.rows.get(key).map_err(error)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(
        &self,
        from: Bound<Vec<u8>>,
        to: Bound<Vec<u8>>,
        backwards: bool,
        _: usize,
    ) -> Rows<'static> {
        if super::is_empty_range(&from, &to) {
            return Box::new(std::iter::empty());
        }
        let rows = self.rows.range::<Vec<u8>, _>((from, to));
        let read = |row: fjall::Guard| {
            let (key, value) = row.into_inner().map_err(error)?;
            Ok((key.to_vec(), value.to_vec()))
        };
        if backwards {
            Box::new(rows.rev().map(read))
        } else {
            Box::new(rows.map(read))
        }
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        let mut write = self.database.batch();
        for (key, value) in batch {
            match value {
                Some(value) => write.insert(&self.rows, &**key, &**value),
                None => write.remove(&self.rows, &**key),
            }
        }
        write.commit().map_err(error)
    }

    fn checkpoint(&self) -> Result<()> {
        self.database.persist(PersistMode::SyncData).map_err(error)
    }
}

fn error(error: fjall::Error) -> Error {
    match error {
        fjall::Error::Io(error) => Error::Io(error),
        fjall::Error::Poisoned => Error::ReadOnly,
        other => Error::Corrupt {
            what: format!("the index: {other}"),
        },
    }
}
