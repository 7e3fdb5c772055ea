//! The seam to the disk: every file of the store but those of the index is reached through [`Storage`].

mod disk;
pub mod memory;

use std::io;
use std::sync::Arc;

pub use disk::DiskStorage;
pub use memory::MemoryStorage;

/// A folder of files. Paths are relative to it, with `/` between names; the empty path is the folder itself.
///
/// Nothing is durable before it was synced: bytes by [`File::sync`], the names of files, and their absence, by
/// [`Self::sync_dir`] of the folder they are in.
pub trait Storage: Send + Sync {
    /// Takes the folder for this process until the answer is dropped. None if another has it.
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>>;

    /// Makes an empty file, in place of one that was there.
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a file that is there, to read and to write.
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>>;

    /// Removes a file. Whoever has it open can go on reading it.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// The names of files and folders in a folder, in no order. An absent folder is empty.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes a folder, unless it is there, and makes its name durable. Its parent must be there.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// How many more bytes fit on the disk; none if there is no limit.
    fn free_bytes(&self) -> io::Result<Option<u64>>;

    /// Makes the names in a folder durable as they are now.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// An open file. Threads may use it at once.
///
/// A write never harms bytes it does not cover, even if power fails in the middle of it.
pub trait File: Send + Sync {
    /// Writes all of these bytes at an offset. After an error any part of them may be there.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills the buffer from an offset on; `UnexpectedEof` if the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The length.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Cuts the file to a length.
    fn truncate(&self, size_bytes: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable. After an error nobody knows which of them are.
    fn sync(&self) -> io::Result<()>;
}
