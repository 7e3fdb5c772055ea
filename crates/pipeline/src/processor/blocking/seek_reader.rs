use std::io::{self, BufRead, Read, Seek, SeekFrom};

use bytes::Bytes;
use two_buckets_objects::{ByteRange, Error, read_to_bytes};

use super::failures::{Failures, as_io};
use super::tasks::Tasks;
use crate::{Content, ProcessError};

/// How much is read at a time, and held.
const BLOCK_BYTES_MAX: usize = 256 << 10;
const BLOCK_BYTES: u64 = BLOCK_BYTES_MAX as u64;

/// The bytes of an upload at any place, as [`Read`], [`BufRead`] and [`Seek`].
///
/// Each read is a range of the version, 256 KiB long and held until another is needed. A range is checked by what the
/// store itself does (the embedded store checks each chunk it reads), not against the checksum of the whole: where
/// that matters, let a [`Reader`] go through all of it first. Reading at or behind the end gives nothing.
#[derive(Debug)]
pub struct SeekReader {
    content: Content,
    tasks: Tasks,
    failures: Failures,
    position: u64,
    block: Bytes,
    /// Where the block begins.
    block_at: u64,
}

impl SeekReader {
    pub(super) fn new(content: &Content, tasks: &Tasks, failures: &Failures) -> Self {
        Self {
            content: content.clone(),
            tasks: tasks.clone(),
            failures: failures.clone(),
            position: 0,
            block: Bytes::new(),
            block_at: 0,
        }
    }

    /// What of the block is at the position and behind it; empty if it is elsewhere.
    fn at_hand(&self) -> &[u8] {
        let skipped = self.position.checked_sub(self.block_at);
        skipped
            .and_then(|skipped| self.block.get(usize::try_from(skipped).ok()?..))
            .unwrap_or_default()
    }

    /// Reads the block that the position is in.
    fn fetch(&mut self) -> Result<(), ProcessError> {
        let first = self.position - self.position % BLOCK_BYTES;
        let length = BLOCK_BYTES.min(self.content.size_bytes() - first);
        let content = self.content.clone();
        let read = async move {
            let last = first + length - 1;
            let body = content
                .read(Some(ByteRange::FromTo { first, last }))
                .await?;
            let block = read_to_bytes(body, BLOCK_BYTES_MAX).await?;
            if block.len() as u64 == length {
                Ok(block)
            } else {
                Err(Error::Integrity {
                    reason: format!(
                        "of the {length} bytes from {first} on there were {}",
                        block.len()
                    ),
                })
            }
        };
        self.block = self.tasks.wait_for(read)??;
        self.block_at = first;
        Ok(())
    }
}

impl BufRead for SeekReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at_hand().is_empty() && self.position < self.content.size_bytes() {
            self.fetch().map_err(|failure| {
                self.failures.note(&failure);
                as_io(failure)
            })?;
        }
        Ok(self.at_hand())
    }

    fn consume(&mut self, length: usize) {
        self.position += length as u64;
    }
}

impl Read for SeekReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

impl Seek for SeekReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.content.size_bytes().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "no place before the beginning of the file",
            )
        })?;
        Ok(self.position)
    }
}
