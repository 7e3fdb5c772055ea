//! The folder that an environment has for itself, as a Lambda function has `/tmp`: empty at its start, bounded, gone at its end.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A folder that is removed with everything in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder, for the server's user only.
    pub(crate) fn new(parent: &Path, name: &str) -> io::Result<Scratch> {
        let path = parent.canonicalize()?.join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder. Blocks.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            // A function may have taken the rights of its own folders away.
            Err(_) => {
                allow(&self.path);
                fs::remove_dir_all(&self.path)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Removes what is in the folder that environments have theirs in. Blocks.
pub(crate) fn empty(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        // Dropping it removes it.
        drop(Scratch { path });
    }
    Ok(())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(why) = self.remove() {
            tracing::warn!(folder = %self.path.display(), "cannot remove a function's temporary folder: {why}");
        }
    }
}

/// How much disk the files below a folder take up, or a little more than `enough`, where the count stops. Blocks.
pub(crate) fn bytes_below(folder: &Path, enough: u64) -> u64 {
    let mut total = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // What vanishes while we look takes up nothing.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // The entry's own facts, not those of what a link points to.
            let Ok(facts) = entry.metadata() else {
                continue;
            };
            total += facts.blocks() * 512;
            if total > enough {
                return total;
            }
            if facts.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    total
}

fn allow(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // What still cannot be removed is told by the removal that follows.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).ok();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
}
