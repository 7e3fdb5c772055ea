//! Files of the data folder that hold secrets: readable by their owner only, and whole or absent.

use std::io::{self, Write as _};
use std::path::Path;

use crate::failure::Failure;

/// The most bytes read; ours have a few hundred.
const SIZE_BYTES_MAX: u64 = 64 << 10;

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
