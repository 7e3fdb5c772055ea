//! What is remembered of an upload in parts while it is under way, so that a later run can go on with it.
//!
//! A file of its own for each upload, in the user's state folder, named by a hash of the server's data folder, the
//! file's path and where it goes. It is written once, when the upload was begun, and removed when it is done. Only
//! where it was and what it is called is remembered: which parts are there, the server says.
//!
//! The file is locked for as long as the upload runs, so that two runs never send one upload.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::source::{Destination, Source, Stamp};

/// The format written; another one is not understood, and the upload begins anew.
const FORMAT: u32 = 1;
/// The most bytes read; a key and a path have some 5,000 together.
const SIZE_BYTES_MAX: u64 = 64 << 10;

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    format: u32,
    path: PathBuf,
    stamp: Stamp,
    destination: Destination,
    /// Its key.
    pub(super) key: String,
    /// The server's name for it.
    pub(super) upload_id: String,
    /// How it was cut.
    pub(super) part_size_bytes: u64,
    /// When it was about to begin, by the clock that this machine shares with the server, as the server writes moments;
    /// none where an older program began it.
    #[serde(default)]
    pub(super) since: Option<String>,
}

impl Begun {
    pub(super) fn new(
        source: &Source,
        key: String,
        upload_id: String,
        part_size_bytes: u64,
        since: String,
    ) -> Self {
        Self {
            format: FORMAT,
            path: absolute(&source.path),
            stamp: source.stamp,
            destination: source.destination.clone(),
            key,
            upload_id,
            part_size_bytes,
            since: Some(since),
        }
    }
}

/// What an earlier run left.
pub(super) enum Left {
    /// Nothing.
    Nothing,
    /// An upload of the file as it is now.
    Same(Begun),
    /// An upload of the file as it was.
    Changed(Begun),
}

/// Why nothing is remembered.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// Another run sends this file to the same place right now.
    InUse,
    /// The state folder cannot be used.
    Unusable(String),
}

/// The place where an upload is remembered, held for this run alone.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    file: File,
}

impl Memory {
    /// Takes the place of this file's upload to that server.
    pub(super) fn take(folder: &Path, server: &Path, source: &Source) -> Result<Self, Unavailable> {
        let path = folder.join(name(server, source));
        open(folder, &path).map_err(|error| match error {
            None => Unavailable::InUse,
            Some(error) => Unavailable::Unusable(format!("{}: {error}", path.display())),
        })
    }

    /// What an earlier run left here. What cannot be understood is nothing: it may have been cut off.
    pub(super) fn recall(&mut self, source: &Source) -> Left {
        let mut bytes = Vec::new();
        let read = self
            .file
            .rewind()
            .and_then(|()| (&self.file).take(SIZE_BYTES_MAX).read_to_end(&mut bytes));
        let begun = match read.map(|_| serde_json::from_slice::<Begun>(&bytes)) {
            Ok(Ok(begun)) if begun.format == FORMAT => begun,
            _ => return Left::Nothing,
        };
        if begun.path != absolute(&source.path) || begun.destination != source.destination {
            Left::Nothing
        } else if begun.stamp == source.stamp {
            Left::Same(begun)
        } else {
            Left::Changed(begun)
        }
    }

    /// Remembers an upload that was begun.
    pub(super) fn remember(&mut self, begun: &Begun) -> io::Result<()> {
        let bytes = serde_json::to_vec(begun)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&bytes)?;
        self.file.sync_all()
    }

    /// Forgets: the upload is done, or of no more use.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

impl Drop for Memory {
    /// Leaves no empty file behind. Removed while it is locked, so nobody can have taken it in between.
    fn drop(&mut self) {
        let is_empty = self.file.metadata().is_ok_and(|found| found.len() == 0);
        if is_empty && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "{} cannot be removed", self.path.display());
        }
    }
}

/// Where uploads are remembered; none where the user has no such folder.
pub(super) fn folder() -> Option<PathBuf> {
    let state = dirs::state_dir().or_else(dirs::data_local_dir)?;
    Some(state.join("two-buckets").join("uploads"))
}

/// Opens and locks; no error means that it is locked by another.
fn open(folder: &Path, path: &Path) -> Result<Memory, Option<io::Error>> {
    make_private(folder)?;
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(None),
            Err(TryLockError::Error(error)) => return Err(Some(error)),
        }
        // Between the opening and the locking the holder before may have removed it.
        if is_still_there(&file, path)? {
            return Ok(Memory {
                path: path.to_owned(),
                file,
            });
        }
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(unix)]
fn is_still_there(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_still_there(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

fn name(server: &Path, source: &Source) -> String {
    let (kind, to) = match &source.destination {
        Destination::Minted(name) => ("minted", name),
        Destination::Key(key) => ("key", key),
    };
    let mut hasher = Sha256::new();
    let path = absolute(&source.path);
    for field in [
        server.as_os_str().as_encoded_bytes(),
        path.as_os_str().as_encoded_bytes(),
        kind.as_bytes(),
        to.as_bytes(),
    ] {
        // With its length in front, so that no two lists of fields are the same bytes.
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    format!("{}.json", hex::encode(&hasher.finalize()[..16]))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Begun, Left, Memory, Unavailable};
    use crate::cli::put::source::{Destination, Source, Stamp};

    fn source(path: &Path, destination: Destination) -> Source {
        Source {
            path: path.to_owned(),
            stamp: Stamp::of(&fs::metadata(path).unwrap()),
            destination,
        }
    }

    #[test]
    fn an_upload_is_remembered_for_its_file_as_it_was_and_for_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state/uploads");
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let minted = || Destination::Minted("file".into());
        let first = source(&path, minted());
        let server = Path::new("/data");
        let begun = Begun::new(&first, "k".into(), "id".into(), 8 << 20, "then".into());

        let mut memory = Memory::take(&state, server, &first).unwrap();
        assert!(matches!(memory.recall(&first), Left::Nothing));
        memory.remember(&begun).unwrap();
        let second = Memory::take(&state, server, &first);
        assert!(matches!(second, Err(Unavailable::InUse)));
        drop(memory);

        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let kept = fs::read_dir(&state).unwrap().next().unwrap().unwrap();
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&kept.path()), 0o600);
            assert_eq!(mode(&state), 0o700);
        }

        // Another server, another key or another path is another upload.
        let other = folder.path().join("other");
        fs::copy(&path, &other).unwrap();
        for (server, source) in [
            (Path::new("/other"), source(&path, minted())),
            (server, source(&path, Destination::Key("file".into()))),
            (server, source(&other, minted())),
        ] {
            let mut memory = Memory::take(&state, server, &source).unwrap();
            assert!(matches!(memory.recall(&source), Left::Nothing));
        }

        let mut memory = Memory::take(&state, server, &first).unwrap();
        assert!(matches!(memory.recall(&first), Left::Same(found) if found == begun));

        // The same size, written a second later.
        let later =
            fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(1);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(later)
            .unwrap();
        let changed = source(&path, minted());
        assert!(matches!(memory.recall(&changed), Left::Changed(found) if found == begun));

        memory.forget().unwrap();
        drop(memory);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }

    #[test]
    fn what_was_cut_off_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let source = source(&path, Destination::Key("k".into()));
        let begun = Begun::new(&source, "k".into(), "id".into(), 8 << 20, "then".into());
        let state = folder.path().join("state");
        let take = || Memory::take(&state, Path::new("/data"), &source).unwrap();
        take().remember(&begun).unwrap();
        let kept = fs::read_dir(&state)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let whole = fs::read(&kept).unwrap();
        for end in 0..whole.len() {
            fs::write(&kept, &whole[..end]).unwrap();
            assert!(matches!(take().recall(&source), Left::Nothing), "{end}");
            // Dropping an empty one removed it.
            assert_eq!(kept.exists(), end > 0);
        }
    }
}
