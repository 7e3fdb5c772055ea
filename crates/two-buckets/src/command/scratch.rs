use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use two_buckets_pipeline::{Incoming, ProcessError};

/// Room is given out in pieces of this size.
const PIECE_BYTES: u64 = 1 << 20;
/// The longest extension that is kept of a key's.
const EXTENSION_BYTES_MAX: usize = 16;

/// A folder for files that programs read by path: emptied at the start, and bounded.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    bytes_max: u64,
    room: Arc<Semaphore>,
    next: AtomicU64,
}

/// A file in it, alone in a folder of its own; removed with what else is in that when dropped.
#[derive(Debug)]
pub(super) struct ScratchFile {
    folder: PathBuf,
    path: PathBuf,
    _room: OwnedSemaphorePermit,
}

impl Scratch {
    /// Makes the folder and removes what is in it: what runs left that were cut off by the end of their server.
    pub(super) fn empty(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => make_private(folder, true)?,
        }
        let pieces = usize::try_from(bytes_max / PIECE_BYTES).unwrap_or(usize::MAX);
        Ok(Self {
            folder: folder.to_owned(),
            bytes_max,
            room: Arc::new(Semaphore::new(pieces.min(Semaphore::MAX_PERMITS))),
            next: AtomicU64::new(1),
        })
    }

    /// Writes the upload to a file, once there is room for it.
    pub(super) async fn file(&self, upload: &Incoming) -> Result<ScratchFile, ProcessError> {
        let size = upload.content.size_bytes();
        let too_large = || {
            ProcessError::Permanent(format!(
                "the file has {size} bytes, more than the {} of the scratch folder",
                self.bytes_max
            ))
        };
        if size > self.bytes_max {
            return Err(too_large());
        }
        let pieces = size.div_ceil(PIECE_BYTES).max(1);
        let pieces = u32::try_from(pieces).map_err(|_| too_large())?;
        let room = Arc::clone(&self.room)
            .acquire_many_owned(pieces)
            .await
            .map_err(ProcessError::transient)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(number.to_string());
        let name = file_name(upload.source.at.key.as_str());
        let file = ScratchFile {
            path: folder.join(name),
            folder,
            _room: room,
        };
        file.fill(upload).await?;
        Ok(file)
    }
}

impl ScratchFile {
    /// Where it is; absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    async fn fill(&self, upload: &Incoming) -> Result<(), ProcessError> {
        let failed = |error: io::Error| {
            ProcessError::transient(error).context("the scratch folder cannot be written")
        };
        make_private(&self.folder, false).map_err(failed)?;
        let mut file = tokio::fs::File::create_new(&self.path)
            .await
            .map_err(failed)?;
        let mut body = upload.content.stream().await?;
        while let Some(piece) = body.next().await {
            file.write_all(&piece?).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(folder = %self.folder.display(), %error,
                    "a file in the scratch folder was not removed; the next start does");
            }
            _ => {}
        }
    }
}

/// Makes a folder that only its owner may look into.
fn make_private(folder: &Path, recursive: bool) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(recursive);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// A name that nobody can take for anything else, with the key's extension where that is short and plain: programs
/// go by it.
fn file_name(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && (1..=EXTENSION_BYTES_MAX).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            format!("file.{extension}")
        }
        _ => "file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_extension_is_taken_from_a_key() {
        for (key, name) in [
            ("a/b.csv", "file.csv"),
            ("B.JPG", "file.JPG"),
            ("x.tar.gz", "file.gz"),
            ("-rf", "file"),
            (".bashrc", "file"),
            ("a.", "file"),
            ("a.b/c", "file"),
            ("../../etc/passwd", "file"),
            ("a.$(reboot)", "file"),
            ("a.txt\n", "file"),
            ("a.\u{e4}", "file"),
            ("a.aaaaaaaaaaaaaaaaa", "file"),
        ] {
            assert_eq!(file_name(key), name, "{key:?}");
        }
    }

    #[test]
    fn what_was_left_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("scratch");
        std::fs::create_dir_all(folder.join("7")).unwrap();
        std::fs::write(folder.join("7/file.csv"), b"left").unwrap();
        Scratch::empty(&folder, 1 << 20).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
}
