//! What the paths that were named stand for: files, and what is in folders.

use std::collections::HashMap;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use two_buckets_objects::Key;
use two_buckets_uploads::FILE_SIZE_BYTES_MAX;

use super::source::{Destination, Input, Source, Stamp, own_name};
use crate::cli::meaning::{Naming, Put, STANDARD_INPUT};
use crate::cli::print;
use crate::shell;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// What can be sent, each with a place of its own.
    pub(super) inputs: Vec<Input>,
    /// What is wrong with what was named. With one of these nothing should be sent: it may be misspelt.
    pub(super) problems: Vec<String>,
    /// What lies in folders and cannot be sent, with the reason; the rest can.
    pub(super) left_out: Vec<(String, String)>,
    /// Symbolic links in folders, which are not followed.
    pub(super) links: u64,
}

/// Looks at everything that was named, and reads nothing of it.
pub(super) fn look(put: &Put) -> Found {
    let mut found = Found::default();
    for path in &put.paths {
        if let Err(why) = found.look_at(path, put) {
            found.problems.push(format!("{}: {why}", shown(path)));
        }
    }
    found.refuse_doubles();
    found
}

impl Found {
    fn look_at(&mut self, path: &Path, put: &Put) -> Result<(), String> {
        let name = put.name.as_deref();
        if path.as_os_str() == STANDARD_INPUT {
            let destination = destination(&put.naming, name.unwrap_or_default())?;
            self.inputs.push(Input::Stream(destination));
            return Ok(());
        }
        // Follows a link, for it was named. Opens nothing: opening a pipe waits for its writer.
        let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
        if metadata.is_dir() {
            return match (&put.naming, name) {
                (Naming::Key(_), _) => {
                    Err("it is a folder, and --key is for one file; use --prefix".to_owned())
                }
                (_, Some(_)) => Err("it is a folder, and --name is for one file".to_owned()),
                (Naming::Prefix(prefix), None) => self.look_into(path, prefix),
                (Naming::Minted, None) => self.look_into(path, ""),
            };
        }
        if !metadata.is_file() {
            return Err(format!(
                "it is {}; to send what comes out of it: two-buckets put - --name NAME < {}",
                kind(metadata.file_type()),
                shell::quoted(&shown(path))
            ));
        }
        let name = match name {
            Some(name) => name,
            None => own_name(path)?.unwrap_or_default(),
        };
        let destination = destination(&put.naming, name)?;
        self.inputs.push(Input::File(source(
            path.to_owned(),
            Stamp::of(&metadata),
            destination,
        )?));
        Ok(())
    }

    /// Takes every file below a folder. Symbolic links are counted and not followed, so it comes to an end.
    fn look_into(&mut self, folder: &Path, prefix: &str) -> Result<(), String> {
        let prefix = match own_name(folder)? {
            Some(name) if !is_contents_only(folder) => format!("{prefix}{name}/"),
            _ => prefix.to_owned(),
        };
        let mut folders = vec![(folder.to_owned(), prefix)];
        while let Some((folder, prefix)) = folders.pop() {
            let mut entries: Vec<_> = match fs::read_dir(&folder).and_then(Iterator::collect) {
                Ok(entries) => entries,
                Err(error) => {
                    self.left_out.push((shown(&folder), unreadable(&error)));
                    continue;
                }
            };
            entries.sort_by_key(fs::DirEntry::file_name);
            let mut below = Vec::new();
            for entry in entries {
                match self.take(&entry, &prefix) {
                    Ok(Some(inner)) => below.push(inner),
                    Ok(None) => {}
                    Err(why) => self.left_out.push((shown(&entry.path()), why)),
                }
            }
            // The stack gives back the last first.
            folders.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// Takes what lies in a folder; a folder is given back with the prefix of what is in it.
    fn take(
        &mut self,
        entry: &fs::DirEntry,
        prefix: &str,
    ) -> Result<Option<(PathBuf, String)>, String> {
        let path = entry.path();
        let file_type = entry.file_type().map_err(|error| unreadable(&error))?;
        if file_type.is_symlink() {
            self.links += 1;
            return Ok(None);
        }
        let name = own_name(&path)?.unwrap_or_default();
        let key = format!("{prefix}{name}");
        if file_type.is_dir() {
            return Ok(Some((path, key + "/")));
        }
        if !file_type.is_file() {
            return Err(format!("it is {}", kind(file_type)));
        }
        let stamp = Stamp::of(&entry.metadata().map_err(|error| unreadable(&error))?);
        let source = source(path, stamp, parsed(&key)?.into())?;
        self.inputs.push(Input::File(source));
        Ok(None)
    }

    /// Two files under one key would hide one of them.
    fn refuse_doubles(&mut self) {
        let mut taken: HashMap<&str, &Input> = HashMap::new();
        for input in &self.inputs {
            if let Destination::Key(key) = input.destination()
                && let Some(other) = taken.insert(key, input)
            {
                self.problems.push(format!(
                    "{} and {} would both become {}",
                    other.shown(),
                    input.shown(),
                    print::harmless(key)
                ));
            }
        }
    }
}

fn source(path: PathBuf, stamp: Stamp, destination: Destination) -> Result<Source, String> {
    if stamp.size_bytes > FILE_SIZE_BYTES_MAX {
        return Err(format!(
            "it has {}, and the most is 50 TB",
            print::size(stamp.size_bytes)
        ));
    }
    Ok(Source {
        path,
        stamp,
        destination,
    })
}

fn destination(naming: &Naming, name: &str) -> Result<Destination, String> {
    Ok(match naming {
        Naming::Minted => Destination::Minted(name.to_owned()),
        Naming::Key(key) => key.clone().into(),
        Naming::Prefix(prefix) => parsed(&format!("{prefix}{name}"))?.into(),
    })
}

fn parsed(key: &str) -> Result<Key, String> {
    key.parse()
        .map_err(|error: two_buckets_objects::InvalidName| error.to_string())
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Says whether only what is in the folder is meant: `photos/.` as for `cp`, not `photos/`, which shells complete to.
fn is_contents_only(folder: &Path) -> bool {
    let text = folder.as_os_str().as_encoded_bytes();
    text == b"." || text.ends_with(b"/.")
}

fn kind(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if file_type.is_fifo() {
            return "a pipe, not a file";
        }
        if file_type.is_socket() {
            return "a socket, not a file";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device, not a file";
        }
    }
    #[cfg(not(unix))]
    let _ = file_type;
    "no regular file"
}
