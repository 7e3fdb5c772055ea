//! The data folder: made for its owner only, and opened by one server at a time.

use std::io;
use std::path::{Path, PathBuf};

use two_buckets_depot::{Depot, OpenError, Options};

use super::record::ServerRecord;
use crate::failure::Failure;

/// Where the store is within the data folder.
fn store(data: &Path) -> PathBuf {
    data.join("store")
}

/// Makes the data folder if it is not there.
pub(super) fn make(data: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(data).map_err(|error| unusable(data, &error))
}

/// Opens the store in the data folder, and with it takes the folder's lock.
pub(super) fn open_store(data: &Path, options: Options) -> Result<Depot, Failure> {
    Depot::open(&store(data), options).map_err(|error| match error {
        OpenError::Locked => {
            let holder = match ServerRecord::read(data) {
                Ok(Some(record)) => format!(" (process {}, page at {})", record.pid, record.web),
                _ => String::new(),
            };
            Failure::usage(format!(
                "the data folder {} is in use by another server{holder}; stop it or give another folder by --data",
                data.display()
            ))
        }
        OpenError::UnknownFormat { .. } | OpenError::NotADataFolder(_) => Failure::usage(format!(
            "the data folder {} cannot be used: {error}",
            data.display()
        )),
        OpenError::Io(error) => unusable(data, &error),
        OpenError::Corrupt(_) => Failure::failed(format!(
            "the data folder {} cannot be opened: {error}. If it is a copy that was made while its server ran, stop that server and copy it again; otherwise restore a backup",
            data.display()
        )),
        error => Failure::failed(format!(
            "the data folder {} cannot be opened: {error}",
            data.display()
        )),
    })
}

fn unusable(data: &Path, error: &io::Error) -> Failure {
    let sentence = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => format!(
            "the data folder {} cannot be written: {error}; give another by --data",
            data.display()
        ),
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => format!(
            "the data folder {} cannot be used: it, or what it is in, is a file",
            data.display()
        ),
        _ => format!("the data folder {} cannot be used: {error}", data.display()),
    };
    Failure::usage(sentence)
}
