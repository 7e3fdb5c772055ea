use two_buckets_objects::{Algorithm, Checksum, ChecksumKind, ETag, Metadata, Tags, Timestamp};

use super::{put_checksum, put_metadata, put_tags, take_checksum, take_metadata, take_tags};
use crate::Result;
use crate::encoding::{Decoder, Encoder};
use crate::engine::BodyId;
use crate::row_keys::Order;

/// Of rows with no more than the shown checksum.
const VERSION: u8 = 1;
/// Of rows with a CRC64NVME beside it.
const VERSION_CRC64: u8 = 2;
const WHAT: &str = "version";

/// A version or delete marker. Bucket, key and order are in its row's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct VersionRecord {
    /// Whether its id is `null`.
    pub(crate) is_null: bool,
    pub(crate) last_modified: Timestamp,
    pub(crate) state: VersionState,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum VersionState {
    DeleteMarker,
    Object(Box<ObjectRecord>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ObjectRecord {
    pub(crate) size_bytes: u64,
    pub(crate) etag: ETag,
    /// The one its writer chose, which S3 shows.
    pub(crate) checksum: Option<Checksum>,
    /// The CRC64NVME of the whole object, where that is not the one above. Rows of the first layout have none.
    pub(crate) crc64: Option<Checksum>,
    pub(crate) metadata: Metadata,
    pub(crate) tags: Tags,
    pub(crate) content: Content,
}

/// Where the bytes of a version are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// In one body.
    Body(BodyId),
    /// In the bodies that the list of parts of this upload names.
    Parts(Order),
}

impl ObjectRecord {
    /// Its checksums, the shown one first.
    pub(crate) fn checksums(&self) -> impl Iterator<Item = &Checksum> {
        self.checksum.iter().chain(&self.crc64)
    }

    /// The checksum of the whole object by this algorithm, if it is kept.
    pub(crate) fn full_checksum(&self, algorithm: Algorithm) -> Option<&Checksum> {
        self.checksums()
            .find(|kept| kept.algorithm == algorithm && kept.kind == ChecksumKind::FullObject)
    }

    /// Shows another checksum of the same bytes from now on.
    pub(crate) fn show_checksum(&mut self, shown: Checksum) {
        let crc64 = self.full_checksum(Algorithm::Crc64Nvme).cloned();
        self.crc64 = beside(&shown, crc64);
        self.checksum = Some(shown);
    }
}

/// What is kept beside a shown checksum: the CRC64NVME of the whole, unless it is the one shown.
pub(crate) fn beside(shown: &Checksum, crc64: Option<Checksum>) -> Option<Checksum> {
    crc64.filter(|crc64| crc64 != shown)
}

impl VersionRecord {
    pub(crate) fn object(&self) -> Option<&ObjectRecord> {
        match &self.state {
            VersionState::DeleteMarker => None,
            VersionState::Object(object) => Some(object),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let crc64 = self.object().and_then(|object| object.crc64.as_ref());
        let mut row = Encoder::new(if crc64.is_some() {
            VERSION_CRC64
        } else {
            VERSION
        });
        row.u8(u8::from(self.is_null));
        row.i64(self.last_modified.millis());
        match &self.state {
            VersionState::DeleteMarker => row.u8(0),
            VersionState::Object(object) => {
                row.u8(1);
                row.u64(object.size_bytes);
                row.text(object.etag.as_str());
                row.count(object.checksums().count());
                for checksum in object.checksums() {
                    put_checksum(&mut row, checksum);
                }
                put_metadata(&mut row, &object.metadata);
                put_tags(&mut row, &object.tags);
                match object.content {
                    Content::Body(id) => {
                        row.u8(0);
                        row.u64(id.number());
                    }
                    Content::Parts(upload) => {
                        row.u8(1);
                        row.u64(upload.0);
                    }
                }
            }
        }
        row.finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let (layout, mut row) = Decoder::up_to(row, VERSION_CRC64, WHAT)?;
        let is_null = match row.u8()? {
            0 => false,
            1 => true,
            _ => return Err(row.corrupt()),
        };
        let last_modified = Timestamp::from_millis(row.i64()?);
        let state = match row.u8()? {
            0 if layout == VERSION => VersionState::DeleteMarker,
            1 => {
                let size_bytes = row.u64()?;
                let etag = ETag::new(row.text()?);
                let (checksum, crc64) = match (layout, row.u32()?) {
                    (VERSION, 0) => (None, None),
                    (VERSION, 1) => (Some(take_checksum(&mut row)?), None),
                    (VERSION_CRC64, 2) => {
                        let shown = take_checksum(&mut row)?;
                        (Some(shown), Some(take_checksum(&mut row)?))
                    }
                    _ => return Err(row.corrupt()),
                };
                let metadata = take_metadata(&mut row)?;
                let tags = take_tags(&mut row)?;
                let content = match row.u8()? {
                    0 => Content::Body(BodyId::new(row.u64()?)),
                    1 => Content::Parts(Order(row.u64()?)),
                    _ => return Err(row.corrupt()),
                };
                VersionState::Object(Box::new(ObjectRecord {
                    size_bytes,
                    etag,
                    checksum,
                    crc64,
                    metadata,
                    tags,
                    content,
                }))
            }
            _ => return Err(row.corrupt()),
        };
        row.finish()?;
        Ok(Self {
            is_null,
            last_modified,
            state,
        })
    }
}
