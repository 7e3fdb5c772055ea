use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use two_buckets_objects::Key;

use super::content::Content;

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Destination {
    /// To a new key, made from this name.
    Minted(String),
    /// To this key; the text of a [`Key`].
    Key(String),
}

impl Destination {
    /// Says whether the key is made for this file alone, so that nothing else can be there.
    pub(super) fn is_minted(&self) -> bool {
        matches!(self, Self::Minted(_))
    }
}

impl From<Key> for Destination {
    fn from(key: Key) -> Self {
        Self::Key(key.as_str().to_owned())
    }
}

/// Something to be uploaded.
pub(super) enum Input {
    /// A file.
    File(Source),
    /// Standard input, however long it is.
    Stream(Destination),
}

impl Input {
    /// What people know it by.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(source) => source.path.display().to_string(),
            Self::Stream(_) => "-".to_owned(),
        }
    }

    /// Where it goes.
    pub(super) fn destination(&self) -> &Destination {
        match self {
            Self::File(source) => &source.destination,
            Self::Stream(destination) => destination,
        }
    }
}

/// A file to be uploaded, as it was when it was looked at.
pub(super) struct Source {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it looked like.
    pub(super) stamp: Stamp,
    /// Where it goes.
    pub(super) destination: Destination,
}

/// What a file looks like from outside: if it still does, its bytes are taken for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Its size.
    pub(super) size_bytes: u64,
    /// When it was last written, in nanoseconds since 1970; 0 where that is not known.
    modified_ns: i64,
}

impl Stamp {
    /// Takes it.
    pub(super) fn of(found: &Metadata) -> Self {
        let ns = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        };
        Self {
            size_bytes: found.len(),
            modified_ns: found.modified().map_or(0, ns),
        }
    }
}

impl Source {
    /// Its size.
    pub(super) fn size_bytes(&self) -> u64 {
        self.stamp.size_bytes
    }

    /// A range of its bytes.
    pub(super) fn content(&self, offset: u64, size_bytes: u64) -> Content {
        Content::File {
            path: Arc::from(self.path.as_path()),
            offset,
            size_bytes,
        }
    }

    /// Says whether it still looks as it did.
    pub(super) fn is_unchanged(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| Stamp::of(&found) == self.stamp)
    }
}

/// The own name of a file or folder; none for `..` and the like.
pub(super) fn own_name(path: &Path) -> Result<Option<&str>, String> {
    match path.file_name() {
        None => Ok(None),
        Some(name) => match name.to_str() {
            Some(name) => Ok(Some(name)),
            None => Err("its name is not UTF-8, and keys are".to_owned()),
        },
    }
}
