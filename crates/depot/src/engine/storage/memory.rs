//! A disk in memory that can be crashed, filled and broken on purpose.
//!
//! # Fault model
//!
//! * A **write** reaches the disk at the latest with the next successful sync of its file. At a crash, each write that
//!   was not synced is by itself lost, kept, cut off at any byte, or kept in some of its 512-byte sectors and not in
//!   others; later ones may be there while earlier ones are not. Bytes that were synced and not written since stay as
//!   they are. A length change counts as a write that is lost or kept.
//! * A **name** made or removed reaches the disk at the latest with the next successful sync of its folder. At a crash
//!   each one that was not synced is lost or kept. Syncing a file does not make its name durable.
//! * A **crash** ends every operation from then on. [`MemoryStorage::after_crash`] gives what a disk may hold then;
//!   which of the possible ones, the seed chooses.
//! * A **kill** of the process loses nothing that was written: [`MemoryStorage::after_kill`].
//! * A **failed operation** changes nothing, but a write that fails may leave a part of its bytes, and after a failed
//!   sync nothing it should have made durable is durable, nor will a later sync report it again.
//! * A **full disk** takes the part of a write that fits.
//! * **Reading** gives the bytes last written, unless [`MemoryStorage::flip_bit`] changed them or
//!   [`MemoryStorage::fail_reads`] refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{File, Storage};

const SECTOR_BYTES: usize = 512;

/// What goes wrong at an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The machine stops: this operation and all behind it fail.
    Crash,
    /// The operation fails with an error of this kind.
    Fail(io::ErrorKind),
}

/// An operation that changes the disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// Bytes were written to a file.
    Write,
    /// A file was cut.
    Truncate,
    /// A file was synced.
    Sync,
    /// A file was made.
    Create,
    /// A file was removed.
    Remove,
    /// A folder was made.
    CreateDir,
    /// A folder was synced.
    SyncDir,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    dirs: BTreeSet<String>,
    synced_names: BTreeMap<String, u64>,
    /// Changes of names since their folder was synced, oldest first.
    unsynced_names: Vec<(String, Option<u64>)>,
    locked: bool,
    crashed: bool,
    free_bytes: Option<u64>,
    unreadable: Option<String>,
    faults: BTreeMap<u64, Fault>,
    broken: BTreeMap<Operation, io::ErrorKind>,
    operations: u64,
    counts: BTreeMap<Operation, u64>,
}

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    /// How many have it open.
    handles: usize,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl MemoryStorage {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the operation of this number, counted from 0 over the life of the disk, go wrong.
    pub fn fault_at(&self, operation: u64, fault: Fault) {
        self.disk().faults.insert(operation, fault);
    }

    /// Makes every operation of one kind fail from now on, or with none work again.
    pub fn break_all(&self, operation: Operation, error: Option<io::ErrorKind>) {
        match error {
            Some(error) => self.disk().broken.insert(operation, error),
            None => self.disk().broken.remove(&operation),
        };
    }

    /// Leaves room for so many more bytes; none is no limit. Overwriting takes no room, removing gives it back.
    pub fn set_free_bytes(&self, free_bytes: Option<u64>) {
        self.disk().free_bytes = free_bytes;
    }

    /// Makes reads of files whose path begins so fail; none makes them work again.
    pub fn fail_reads(&self, prefix: Option<&str>) {
        self.disk().unreadable = prefix.map(str::to_owned);
    }

    /// Changes one bit of a file for good, as a bad disk would. Whether the file has that byte.
    pub fn flip_bit(&self, path: &str, offset: usize, bit: u8) -> bool {
        let mut disk = self.disk();
        let Some(inode) = disk.names.get(path).copied() else {
            return false;
        };
        let inode = disk
            .inodes
            .get_mut(&inode)
            .expect("every name has its file");
        let mut found = false;
        for bytes in [&mut inode.bytes, &mut inode.synced] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
                found = true;
            }
        }
        found
    }

    /// How many operations were begun so far.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// How many operations of one kind were begun so far.
    pub fn count(&self, operation: Operation) -> u64 {
        self.disk().counts.get(&operation).copied().unwrap_or(0)
    }

    /// The paths of all files with their lengths.
    pub fn files(&self) -> BTreeMap<String, u64> {
        let disk = self.disk();
        disk.names
            .iter()
            .map(|(path, inode)| {
                let size = disk
                    .inodes
                    .get(inode)
                    .map_or(0, |inode| inode.bytes.len() as u64);
                (path.clone(), size)
            })
            .collect()
    }

    /// The machine stops now.
    pub fn crash(&self) {
        self.disk().crashed = true;
    }

    /// What the disk may hold after a crash in this moment, as a new disk without faults. The seed chooses among the
    /// possible ones; seed 0 loses everything that was not synced and seed 1 keeps everything.
    #[must_use]
    pub fn after_crash(&self, seed: u64) -> Self {
        let disk = self.disk();
        let mut chance = Chance { seed, state: seed };
        let mut names = disk.synced_names.clone();
        for (path, inode) in &disk.unsynced_names {
            if chance.keep() {
                match inode {
                    Some(inode) => names.insert(path.clone(), *inode),
                    None => names.remove(path),
                };
            }
        }
        let mut inodes = BTreeMap::new();
        for inode in names.values() {
            let before = disk.inodes.get(inode).expect("every name has its file");
            let mut bytes = before.synced.clone();
            for change in &before.unsynced {
                chance.survive(change, &mut bytes);
            }
            inodes.insert(
                *inode,
                Inode {
                    synced: bytes.clone(),
                    bytes,
                    ..Inode::default()
                },
            );
        }
        Self {
            disk: Arc::new(Mutex::new(Disk {
                inodes,
                next_inode: disk.next_inode,
                synced_names: names.clone(),
                names,
                dirs: disk.dirs.clone(),
                ..Disk::default()
            })),
        }
    }

    /// The disk as the next process finds it after this one was killed: all that was written can be read, and what was
    /// not synced is still not.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let disk = self.disk();
        let mut inodes = disk.inodes.clone();
        for inode in inodes.values_mut() {
            inode.handles = 0;
        }
        Self {
            disk: Arc::new(Mutex::new(Disk {
                inodes,
                next_inode: disk.next_inode,
                names: disk.names.clone(),
                dirs: disk.dirs.clone(),
                synced_names: disk.synced_names.clone(),
                unsynced_names: disk.unsynced_names.clone(),
                ..Disk::default()
            })),
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Counts an operation and says how it fails, if it does.
    fn begin(&mut self, operation: Operation) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        *self.counts.entry(operation).or_default() += 1;
        self.check()?;
        match self.faults.get(&number) {
            Some(Fault::Crash) => {
                self.crashed = true;
                self.check()?;
            }
            Some(Fault::Fail(kind)) => return Err(io::Error::from(*kind)),
            None => {}
        }
        match self.broken.get(&operation) {
            Some(kind) => Err(io::Error::from(*kind)),
            None => Ok(()),
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.crashed {
            Err(io::Error::other("the machine has crashed"))
        } else {
            Ok(())
        }
    }

    fn inode(&mut self, inode: u64) -> &mut Inode {
        self.inodes
            .get_mut(&inode)
            .expect("a file that has a name or is open is not forgotten")
    }

    fn change(&mut self, inode: u64, change: Change) {
        let inode = self.inode(inode);
        change.apply(&mut inode.bytes);
        inode.unsynced.push(change);
    }

    /// Takes what the disk has room for and says whether that was all.
    fn write(&mut self, inode: u64, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let size = self.inode(inode).bytes.len();
        let grows = (offset + bytes.len()).saturating_sub(size) as u64;
        let fits = self.free_bytes.map_or(grows, |free| free.min(grows));
        if let Some(free) = &mut self.free_bytes {
            *free -= fits;
        }
        let missing = usize::try_from(grows - fits).unwrap_or(usize::MAX);
        let taken = bytes.len().saturating_sub(missing);
        self.change(
            inode,
            Change::Write {
                offset,
                bytes: bytes.get(..taken).unwrap_or_default().to_vec(),
            },
        );
        if missing == 0 {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
    }

    /// Opens a file.
    fn handle(&mut self, storage: &MemoryStorage, path: &str, inode: u64) -> Arc<dyn File> {
        self.inode(inode).handles += 1;
        Arc::new(MemoryFile {
            storage: storage.clone(),
            path: path.to_owned(),
            inode,
        })
    }

    /// Forgets files that no name can lead to, whatever a crash brings back, and that nobody has open.
    fn forget_unreachable(&mut self) {
        let unsynced = self.unsynced_names.iter().filter_map(|(_, inode)| *inode);
        let reachable: BTreeSet<u64> = self
            .names
            .values()
            .chain(self.synced_names.values())
            .copied()
            .chain(unsynced)
            .collect();
        self.inodes
            .retain(|inode, file| file.handles > 0 || reachable.contains(inode));
    }

    fn give_back(&mut self, bytes: usize) {
        if let Some(free) = &mut self.free_bytes {
            *free += bytes as u64;
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => write(file, *offset, bytes),
            Self::Truncate(size) => file.resize(*size, 0),
        }
    }
}

fn write(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if bytes.is_empty() {
        return;
    }
    if file.len() < end {
        file.resize(end, 0);
    }
    file.get_mut(offset..end)
        .expect("the file was made long enough")
        .copy_from_slice(bytes);
}

/// A small generator (splitmix64), so that a seed gives the same disk everywhere.
struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn keep(&mut self) -> bool {
        match self.seed {
            0 => false,
            1 => true,
            _ => self.next() & 1 == 0,
        }
    }

    fn survive(&mut self, change: &Change, file: &mut Vec<u8>) {
        let Change::Write { offset, bytes } = change else {
            if self.keep() {
                change.apply(file);
            }
            return;
        };
        let fate = match self.seed {
            0 => 0,
            1 => 1,
            _ => self.next() % 4,
        };
        match fate {
            0 => {}
            1 => change.apply(file),
            2 => {
                let cut = self.below(bytes.len() + 1);
                write(file, *offset, bytes.get(..cut).unwrap_or_default());
            }
            _ => {
                // Sectors are those of the file, so the first and last piece may be shorter.
                let mut from = 0;
                while from < bytes.len() {
                    let sector_end = SECTOR_BYTES - (offset + from) % SECTOR_BYTES;
                    let to = bytes.len().min(from + sector_end);
                    if self.keep() {
                        write(file, offset + from, bytes.get(from..to).unwrap_or_default());
                    }
                    from = to;
                }
            }
        }
    }
}

impl Storage for MemoryStorage {
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut disk = self.disk();
        disk.check()?;
        if std::mem::replace(&mut disk.locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock(self.clone()))))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut disk = self.disk();
        disk.begin(Operation::Create)?;
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.inodes.insert(inode, Inode::default());
        disk.names.insert(path.to_owned(), inode);
        disk.unsynced_names.push((path.to_owned(), Some(inode)));
        Ok(disk.handle(self, path, inode))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut disk = self.disk();
        disk.check()?;
        match disk.names.get(path).copied() {
            Some(inode) => Ok(disk.handle(self, path, inode)),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin(Operation::Remove)?;
        let Some(inode) = disk.names.remove(path) else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        disk.unsynced_names.push((path.to_owned(), None));
        let size = disk.inode(inode).bytes.len();
        disk.give_back(size);
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let disk = self.disk();
        disk.check()?;
        let files = disk.names.keys();
        let all = files.chain(disk.dirs.iter());
        Ok(all
            .filter(|path| parent(path) == dir)
            .map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
            .collect())
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin(Operation::CreateDir)?;
        disk.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let disk = self.disk();
        disk.check()?;
        Ok(disk.free_bytes)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let outcome = disk.begin(Operation::SyncDir);
        let changes = std::mem::take(&mut disk.unsynced_names);
        let (here, elsewhere): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|(path, _)| parent(path) == dir);
        disk.unsynced_names = elsewhere;
        if let Err(error) = outcome {
            if disk.crashed {
                disk.unsynced_names.extend(here);
            }
            return Err(error);
        }
        for (path, inode) in here {
            match inode {
                Some(inode) => disk.synced_names.insert(path, inode),
                None => disk.synced_names.remove(&path),
            };
        }
        disk.forget_unreachable();
        Ok(())
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

struct Lock(MemoryStorage);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.disk().locked = false;
    }
}

struct MemoryFile {
    storage: MemoryStorage,
    path: String,
    inode: u64,
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.storage.disk().inode(self.inode).handles -= 1;
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}

impl File for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = position(offset)?;
        let mut disk = self.storage.disk();
        let was_crashed = disk.crashed;
        match disk.begin(Operation::Write) {
            Ok(()) => disk.write(self.inode, offset, bytes),
            Err(error) => {
                if disk.crashed && !was_crashed {
                    // The write was under way: after the crash it may be there, in part or not at all.
                    let bytes = bytes.to_vec();
                    disk.change(self.inode, Change::Write { offset, bytes });
                } else if !disk.crashed {
                    let half = bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec();
                    disk.change(
                        self.inode,
                        Change::Write {
                            offset,
                            bytes: half,
                        },
                    );
                }
                Err(error)
            }
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let offset = position(offset)?;
        let mut disk = self.storage.disk();
        disk.check()?;
        if let Some(prefix) = &disk.unreadable
            && self.path.starts_with(prefix.as_str())
        {
            return Err(io::Error::other("the disk cannot read this"));
        }
        let bytes = &disk.inode(self.inode).bytes;
        match bytes.get(offset..offset.saturating_add(buffer.len())) {
            Some(found) => {
                buffer.copy_from_slice(found);
                Ok(())
            }
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }

    fn size_bytes(&self) -> io::Result<u64> {
        let mut disk = self.storage.disk();
        disk.check()?;
        Ok(disk.inode(self.inode).bytes.len() as u64)
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        let size = position(size_bytes)?;
        let mut disk = self.storage.disk();
        disk.begin(Operation::Truncate)?;
        let before = disk.inode(self.inode).bytes.len();
        disk.give_back(before.saturating_sub(size));
        disk.change(self.inode, Change::Truncate(size));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.storage.disk();
        let outcome = disk.begin(Operation::Sync);
        if outcome.is_err() && disk.crashed {
            return outcome;
        }
        let inode = disk.inode(self.inode);
        let changes = std::mem::take(&mut inode.unsynced);
        if outcome.is_ok() {
            for change in changes {
                change.apply(&mut inode.synced);
            }
        }
        outcome
    }
}
