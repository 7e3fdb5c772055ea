//! The data folder itself: whether it is ours, and in a format this program knows.

use std::io;

use two_buckets_objects::Timestamp;

use super::body::Fields;
use super::record::crc64;
use super::storage::Storage;
use super::{blob, log};
use crate::OpenError;

/// The format this program reads and writes.
pub(super) const VERSION: u32 = 1;

const FILE: &str = "FORMAT";
const MAGIC: &[u8; 8] = b"2BUCKETS";
const FILE_BYTES: usize = 32;
/// What may be in a folder before it becomes a data folder: what its file system puts there, and what opening it put there.
const IGNORED: [&str; 3] = ["lost+found", "LOCK", FILE];

/// The store this folder belongs to: the moment it was made, in milliseconds, which its log segments carry too.
/// Makes a data folder of an empty one. To be called with the folder locked.
pub(super) fn identify(storage: &dyn Storage, now: Timestamp) -> Result<u64, OpenError> {
    check_is_ours(storage)?;
    match storage.open(FILE) {
        Ok(file) => {
            let size = file.size_bytes().map_err(OpenError::Io)?;
            let mut bytes = [0; FILE_BYTES];
            if size >= FILE_BYTES as u64 {
                file.read_at(0, &mut bytes).map_err(OpenError::Io)?;
            }
            let store = read(&bytes)?;
            // A first start that was interrupted leaves half a file, or one that only seems durable, and no data.
            // Then it is made anew.
            if has_data(storage)? {
                return match store {
                    Some(store) => Ok(store),
                    None => Err(OpenError::Corrupt(format!("the file {FILE}"))),
                };
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OpenError::Io(error)),
    }
    let store = now.millis().cast_unsigned();
    write(storage, store).map_err(OpenError::Io)?;
    storage.create_dir(log::FOLDER).map_err(OpenError::Io)?;
    storage.create_dir(blob::FOLDER).map_err(OpenError::Io)?;
    Ok(store)
}

/// Refuses a folder with files in it that is no data folder. Writes nothing.
pub(super) fn check_is_ours(storage: &dyn Storage) -> Result<(), OpenError> {
    let names = storage.list("").map_err(OpenError::Io)?;
    if names.iter().any(|name| name == FILE) {
        return Ok(());
    }
    let foreign = names
        .into_iter()
        .find(|name| !IGNORED.contains(&name.as_str()));
    match foreign {
        Some(name) => Err(OpenError::NotADataFolder(format!(
            "it holds {name} and no file {FILE}"
        ))),
        None => Ok(()),
    }
}

fn has_data(storage: &dyn Storage) -> Result<bool, OpenError> {
    let log = storage.list(log::FOLDER).map_err(OpenError::Io)?;
    Ok(!log.is_empty())
}

/// The store; none if the file was not written whole.
fn read(bytes: &[u8; FILE_BYTES]) -> Result<Option<u64>, OpenError> {
    let mut fields = Fields(bytes);
    if fields.bytes(MAGIC.len()) != Some(MAGIC) {
        return Ok(None);
    }
    let (Some(found), Some(_), Some(store), Some(crc)) =
        (fields.u32(), fields.u32(), fields.u64(), fields.u64())
    else {
        return Ok(None);
    };
    if found != VERSION && found != 0 {
        // Before the checksum, whose place another format need not share.
        return Err(OpenError::UnknownFormat {
            found,
            known: VERSION,
        });
    }
    let checked = bytes.get(..24).unwrap_or_default();
    Ok((crc == crc64(&[checked])).then_some(store))
}

fn write(storage: &dyn Storage, store: u64) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&store.to_le_bytes());
    let crc = crc64(&[&bytes]);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let file = storage.create(FILE)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    storage.sync_dir("")
}
