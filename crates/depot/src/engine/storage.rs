//! The seam to the disk: everything the store reads and writes goes through [`Storage`].

/// A place for files.
pub trait Storage: Send + Sync {}
