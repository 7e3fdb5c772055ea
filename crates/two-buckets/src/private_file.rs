//! Files of the data folder that hold secrets: readable by their owner only, and whole or absent.

use std::io::{self, Write as _};
use std::path::Path;

use crate::failure::Failure;
use crate::shell;

/// The most bytes read; ours have a few hundred.
const SIZE_BYTES_MAX: u64 = 64 << 10;
/// The most bytes of a file that the user made: ten thousand callers, or a long chain of certificates.
const USERS_SIZE_BYTES_MAX: u64 = 4 << 20;

/// Reads a file; none if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    use std::io::Read as _;
    let read = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(SIZE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!(
            "{} cannot be read: {error}",
            path.display()
        ))),
    }
}

/// Reads a file of the user's that may be read by anybody, in words why not.
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    read_to_bound(file)
}

/// Reads a file of the user's that nobody but its owner and group may have leave for, in words why not.
pub(crate) fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file
            .metadata()
            .map_err(|error| unreadable(&error))?
            .permissions()
            .mode();
        if mode & 0o007 != 0 {
            return Err(format!(
                "everybody on this machine has leave for it (mode {:o}); take that away by: chmod o= {}",
                mode & 0o777,
                shell::quoted(&path.display().to_string())
            ));
        }
    }
    read_to_bound(file)
}

fn read_to_bound(file: std::fs::File) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    file.take(USERS_SIZE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > USERS_SIZE_BYTES_MAX {
        return Err(format!("has more than {USERS_SIZE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Writes a file in place of the one that may be there, with mode 0600. A reader sees the old one or the new one
/// whole, and after a crash so does the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_and_rename(path, bytes)
        .map_err(|error| Failure::usage(format!("{} cannot be written: {error}", path.display())))
}

fn write_and_rename(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    // One left by a crash may have any mode; only a file made here has ours from its first byte on.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
