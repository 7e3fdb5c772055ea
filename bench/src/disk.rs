//! The disk below the data folder: what it does by itself, and what was written to it.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::clock;

/// What `/proc/diskstats` counts in, whatever the disk's own sectors are (Linux, "I/O statistics fields").
const SECTOR_BYTES: u64 = 512;

/// A block device, by what the kernel counts of it. Others write to it as well, so a figure is at most too large.
pub(crate) struct Device {
    major: u64,
    minor: u64,
}

impl Device {
    /// The device that a folder is on.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let number = fs::metadata(folder)?.st_dev();
        // As the C library's `major` and `minor` take a number apart.
        Ok(Self {
            major: ((number >> 8) & 0xfff) | ((number >> 32) & !0xfff),
            minor: (number & 0xff) | ((number >> 12) & !0xff),
        })
    }

    /// Bytes written since the machine started. What still waits in memory is not among them.
    pub(crate) fn written_bytes(&self) -> Result<u64> {
        let stats = fs::read_to_string("/proc/diskstats")?;
        let line = stats
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|fields| {
                fields.first().and_then(|it| it.parse().ok()) == Some(self.major)
                    && fields.get(1).and_then(|it| it.parse().ok()) == Some(self.minor)
            })
            .with_context(|| {
                format!(
                    "the kernel counts nothing of device {}:{}",
                    self.major, self.minor
                )
            })?;
        let sectors: u64 = line.get(9).context("no sectors written")?.parse()?;
        Ok(sectors * SECTOR_BYTES)
    }
}

/// A file that is appended to and synced, as a log is; it is removed when dropped.
pub(crate) struct Probe {
    file: File,
    path: PathBuf,
}

impl Probe {
    /// Makes one in a folder.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("probe");
        Ok(Self {
            file: File::create(&path)?,
            path,
        })
    }

    /// How long it takes until these bytes are at its end and on the disk.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<Duration> {
        let began = clock::now();
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        Ok(began.elapsed())
    }

    /// Bytes a second of a file of this size, written in order and synced once at its end.
    pub(crate) fn sequential(folder: &Path, size_bytes: u64) -> Result<f64> {
        let mut probe = Self::new(folder)?;
        let piece: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
        let began = clock::now();
        let mut left = size_bytes;
        while left > 0 {
            let size = left.min(piece.len() as u64);
            probe.file.write_all(&piece[..usize::try_from(size)?])?;
            left -= size;
        }
        probe.file.sync_data()?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate is printed with few digits"
        )]
        Ok(size_bytes as f64 / began.elapsed().as_secs_f64())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // The folder goes with the measurement anyway.
        drop(fs::remove_file(&self.path));
    }
}

/// What the files below a folder take on the disk.
pub(crate) fn taken_bytes(folder: &Path) -> Result<u64> {
    let mut taken = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // What is removed meanwhile takes nothing.
        let Ok(known) = entry.metadata() else {
            continue;
        };
        taken += if known.is_dir() {
            taken_bytes(&entry.path())?
        } else {
            known.st_blocks() * SECTOR_BYTES
        };
    }
    Ok(taken)
}
