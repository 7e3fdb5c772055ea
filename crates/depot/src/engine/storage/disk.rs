use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{File, Storage};

/// A folder on the disk. What it makes only its owner can read: folders have mode 0700, files 0600.
#[derive(Debug)]
pub struct DiskStorage {
    folder: PathBuf,
    /// How many bytes were free, and when the disk said so.
    free: Mutex<Option<(u64, Instant)>>,
}

const LOCK: &str = "LOCK";
/// How often the lock is tried, and the time between. Processes that a killed owner was about to start hold it with it,
/// until they have become their program.
const LOCK_TRIES: u32 = 100;
const LOCK_RETRY: Duration = Duration::from_millis(10);
/// How long the disk is not asked again where it had plenty: no disk takes that much meanwhile.
const FREE_KNOWN_FOR: Duration = Duration::from_millis(50);
const PLENTY_BYTES: u64 = 4 << 30;

impl DiskStorage {
    /// The folder, which is made if it is absent, with the folders above it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        if !folder.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        // A store whose own folder is lost with a crash is lost. Folders above it that we may not even open, or on
        // another file system, were there long before.
        let folder = folder.canonicalize()?;
        let file_system = folder.metadata()?.dev();
        for above in folder.ancestors().skip(1) {
            if above.metadata()?.dev() != file_system {
                break;
            }
            if let Ok(above) = fs::File::open(above) {
                above.sync_all()?;
            }
        }
        Ok(Self {
            folder,
            free: Mutex::default(),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            self.folder.clone()
        } else {
            self.folder.join(path)
        }
    }
}

impl Storage for DiskStorage {
    #[expect(
        clippy::disallowed_methods,
        reason = "a bounded wait for a lock that nobody tells the end of"
    )]
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path(LOCK))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Box::new(file))),
                Err(fs::TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path(path))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(path))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let path = self.path(dir);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        // Synced even if it was there: whoever made it may have crashed before this line.
        let parent = dir.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.sync_dir(parent)
    }

    /// Where there is plenty, it may be some milliseconds old: the disk is asked several times for each file.
    #[expect(
        clippy::disallowed_methods,
        reason = "how old an answer of this machine's disk is"
    )]
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let mut known = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((free, at)) if free > PLENTY_BYTES && at.elapsed() < FREE_KNOWN_FOR => {
                Ok(Some(free))
            }
            _ => {
                let disk = rustix::fs::statvfs(&self.folder)?;
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                *known = Some((free, Instant::now()));
                Ok(Some(free))
            }
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        fs::File::open(self.path(dir))?.sync_all()
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.0.set_len(size_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
