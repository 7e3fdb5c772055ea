//! Files that hold one large body each: its bytes, then a checksum for each chunk of them, then a footer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::body::{BodyId, Fields};
use super::early::Growing;
use super::record::crc64;
use super::storage::File;
use super::{Shared, write_error};
use crate::{Error, Result};

/// The folder of the folders of blob files.
pub(super) const FOLDER: &str = "blobs";
/// How many bytes one checksum covers. It is what is read at once: small enough that a small range costs little, large
/// enough that the checksums are no weight.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

const MAGIC: &[u8; 8] = b"2BKTBLOB";
const FORMAT: u32 = 1;
const FOOTER_BYTES: u64 = 32;
const CRC_BYTES: u64 = 8;

/// The folder of a body's file. The low byte of ids given one after the other spreads them evenly.
fn folder(id: BodyId) -> String {
    format!("{FOLDER}/{:02x}", id.number() & 0xff)
}

fn path(id: BodyId) -> String {
    format!("{}/{id}", folder(id))
}

/// Removes a body's file. One that stays by a failure is found at the next open.
pub(super) fn remove(shared: &Shared, id: BodyId) {
    if let Err(error) = shared.storage.remove(&path(id)) {
        tracing::warn!(body = %id, %error, "a freed file could not be removed; the next start tries again");
    }
}

/// Removes the files that no row names: those of bodies whose transaction never came, and those freed just before a
/// crash. Only before the first transaction.
pub(super) fn remove_orphans(shared: &Shared) -> Result<()> {
    let storage = shared.storage.as_ref();
    for folder in storage.list(FOLDER).map_err(Error::Io)? {
        let folder = format!("{FOLDER}/{folder}");
        for name in storage.list(&folder).map_err(Error::Io)? {
            let id = u64::from_str_radix(&name, 16).map(BodyId::new);
            let is_named = match id {
                Ok(id) if id.to_string() == name => shared.place(id)?.is_some(),
                // No file of ours; it is not for us to remove.
                _ => true,
            };
            if !is_named {
                storage
                    .remove(&format!("{folder}/{name}"))
                    .map_err(Error::Io)?;
            }
        }
    }
    Ok(())
}

/// A blob file that is not part of the store yet. Dropping it removes the file, unless it was kept.
pub(crate) struct BlobFile {
    shared: Arc<Shared>,
    id: BodyId,
    is_kept: bool,
}

impl BlobFile {
    pub(crate) fn id(&self) -> BodyId {
        self.id
    }

    /// Leaves the file, because a durable row names it, or may name it.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for BlobFile {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.shared, self.id);
        }
    }
}

/// A blob file being written.
pub(crate) struct BlobWriter {
    blob: BlobFile,
    file: Arc<dyn File>,
    growing: Growing,
    size_bytes: u64,
    crcs: Vec<u8>,
}

impl BlobWriter {
    /// Makes the file, in a folder whose name is durable.
    pub(crate) fn create(shared: &Arc<Shared>) -> Result<Self> {
        shared.check_writable()?;
        let id = shared.new_body_id();
        let slot = usize::try_from(id.number() & 0xff).expect("a byte is an index");
        let made = shared
            .blob_folders
            .get(slot)
            .expect("there is a slot for each byte");
        if !made.load(Ordering::Acquire) {
            shared
                .storage
                .create_dir(&folder(id))
                .map_err(|error| write_error(&error))?;
            made.store(true, Ordering::Release);
        }
        let file = shared
            .storage
            .create(&path(id))
            .map_err(|error| write_error(&error))?;
        Ok(Self {
            blob: BlobFile {
                shared: Arc::clone(shared),
                id,
                is_kept: false,
            },
            growing: Growing::new(shared, &file),
            file,
            size_bytes: 0,
            crcs: Vec::new(),
        })
    }

    /// Writes the next chunk, in the pieces it came in. Only the last may be shorter than [`CHUNK_BYTES`].
    pub(crate) fn chunk(&mut self, pieces: &[Bytes]) -> Result<()> {
        let size_bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.blob.shared.check_room(size_bytes)?;
        let index = self.crcs.len() as u64 / CRC_BYTES;
        let crc = chunk_crc(self.blob.id, index, pieces);
        for piece in pieces {
            self.file
                .write_at(self.size_bytes, piece)
                .map_err(|error| write_error(&error))?;
            self.size_bytes += piece.len() as u64;
        }
        self.crcs.extend_from_slice(&crc.to_le_bytes());
        self.growing.grew(size_bytes);
        Ok(())
    }

    /// Ends the file and makes it and its name durable.
    pub(crate) fn finish(self) -> Result<BlobFile> {
        let mut end = self.crcs;
        end.extend_from_slice(MAGIC);
        end.extend_from_slice(&FORMAT.to_le_bytes());
        let chunk = u32::try_from(CHUNK_BYTES).expect("a chunk is small");
        end.extend_from_slice(&chunk.to_le_bytes());
        end.extend_from_slice(&self.blob.id.number().to_le_bytes());
        end.extend_from_slice(&self.size_bytes.to_le_bytes());
        self.file
            .write_at(self.size_bytes, &end)
            .map_err(|error| write_error(&error))?;
        drop(self.growing);
        let shared = &self.blob.shared;
        self.file
            .sync()
            .and_then(|()| shared.storage.sync_dir(&folder(self.blob.id)))
            .map_err(|error| shared.sync_failed(&error))?;
        // An early sync may have been told of a failure that this one was not.
        shared.check_writable()?;
        Ok(self.blob)
    }
}

/// The body and the place of the chunk are part of its checksum, so that the right bytes in the wrong place are found too.
fn chunk_crc(id: BodyId, index: u64, pieces: &[impl AsRef<[u8]>]) -> u64 {
    let (id, index) = (id.number().to_le_bytes(), index.to_le_bytes());
    let place: [&[u8]; 2] = [&id, &index];
    let covered: Vec<_> = place
        .into_iter()
        .chain(pieces.iter().map(AsRef::as_ref))
        .collect();
    crc64(&covered)
}

/// A blob file being read.
pub(crate) struct BlobReader {
    id: BodyId,
    size_bytes: u64,
    file: Arc<dyn File>,
}

impl BlobReader {
    /// Opens the file of a body of this size.
    pub(crate) fn open(shared: &Shared, id: BodyId, size_bytes: u64) -> Result<Self> {
        let file = match shared.storage.open(&path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged(id)),
            Err(error) => return Err(Error::Io(error)),
        };
        let reader = Self {
            id,
            size_bytes,
            file,
        };
        let mut footer = [0; 32];
        let at = size_bytes + size_bytes.div_ceil(CHUNK_BYTES as u64) * CRC_BYTES;
        if reader.file.size_bytes().map_err(Error::Io)? != at + FOOTER_BYTES {
            return Err(damaged(id));
        }
        reader.read_at(at, &mut footer)?;
        let mut fields = Fields(&footer);
        let is_right = fields.bytes(8) == Some(MAGIC)
            && fields.u32() == Some(FORMAT)
            && fields.u32().map(u64::from) == Some(CHUNK_BYTES as u64)
            && fields.u64() == Some(id.number())
            && fields.u64() == Some(size_bytes);
        if is_right {
            Ok(reader)
        } else {
            Err(damaged(id))
        }
    }

    /// The chunk that holds this byte, checked.
    pub(crate) fn chunk(&self, index: u64) -> Result<Bytes> {
        let from = index * CHUNK_BYTES as u64;
        let size = self.size_bytes.saturating_sub(from).min(CHUNK_BYTES as u64);
        let mut bytes = vec![0; usize::try_from(size).expect("a chunk is small")];
        self.read_at(from, &mut bytes)?;
        let mut crc = [0; 8];
        self.read_at(self.size_bytes + index * CRC_BYTES, &mut crc)?;
        if u64::from_le_bytes(crc) != chunk_crc(self.id, index, &[&bytes]) {
            return Err(damaged(self.id));
        }
        Ok(bytes.into())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                damaged(self.id)
            } else {
                Error::Io(error)
            }
        })
    }
}

/// What wrong bytes in a body are answered with.
pub(super) fn damaged(id: BodyId) -> Error {
    Error::Corrupt {
        what: format!("the bytes of body {id}"),
    }
}
