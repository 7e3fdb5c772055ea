use two_buckets_objects::{Algorithm, Checksum, ChecksumKind, ETag, Metadata, Tags, Timestamp};

use super::{
    put_algorithm, put_checksum, put_kind, put_metadata, put_optional_checksum, put_tags,
    take_algorithm, take_checksum, take_kind, take_metadata, take_optional_checksum, take_tags,
};
use crate::encoding::{Decoder, Encoder};
use crate::engine::BodyId;
use crate::{PartOfObject, Result};

const UPLOAD_VERSION: u8 = 1;
/// Of parts with no more than the upload's checksum.
const PART_VERSION: u8 = 1;
/// Of parts with a CRC64NVME beside it.
const PART_VERSION_CRC64: u8 = 2;
const MANIFEST_VERSION: u8 = 1;
const COMPLETED_VERSION: u8 = 1;

/// An unfinished multipart upload. Bucket, key and order are in its row's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UploadRecord {
    pub(crate) initiated_at: Timestamp,
    pub(crate) algorithm: Algorithm,
    pub(crate) kind: ChecksumKind,
    pub(crate) metadata: Metadata,
    pub(crate) tags: Tags,
}

impl UploadRecord {
    const WHAT: &str = "upload";

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::new(UPLOAD_VERSION);
        row.i64(self.initiated_at.millis());
        put_algorithm(&mut row, self.algorithm);
        put_kind(&mut row, self.kind);
        put_metadata(&mut row, &self.metadata);
        put_tags(&mut row, &self.tags);
        row.finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut row = Decoder::new(row, UPLOAD_VERSION, Self::WHAT)?;
        let record = Self {
            initiated_at: Timestamp::from_millis(row.i64()?),
            algorithm: take_algorithm(&mut row)?,
            kind: take_kind(&mut row)?,
            metadata: take_metadata(&mut row)?,
            tags: take_tags(&mut row)?,
        };
        row.finish()?;
        Ok(record)
    }
}

/// A part of an unfinished upload. Its number is in its row's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PartRecord {
    pub(crate) last_modified: Timestamp,
    pub(crate) size_bytes: u64,
    pub(crate) md5: [u8; 16],
    /// By the upload's algorithm.
    pub(crate) checksum: Checksum,
    /// Its CRC64NVME, where that is not the one above. Rows of the first layout have none.
    pub(crate) crc64: Option<Checksum>,
    pub(crate) body: BodyId,
}

impl PartRecord {
    const WHAT: &str = "part";

    pub(crate) fn etag(&self) -> ETag {
        ETag::of_md5(self.md5)
    }

    /// Its CRC64NVME, if it is known.
    pub(crate) fn crc64(&self) -> Option<&Checksum> {
        let shown = (self.checksum.algorithm == Algorithm::Crc64Nvme).then_some(&self.checksum);
        shown.or(self.crc64.as_ref())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::new(if self.crc64.is_some() {
            PART_VERSION_CRC64
        } else {
            PART_VERSION
        });
        row.i64(self.last_modified.millis());
        row.u64(self.size_bytes);
        row.fixed(&self.md5);
        put_optional_checksum(&mut row, Some(&self.checksum));
        if let Some(crc64) = &self.crc64 {
            put_checksum(&mut row, crc64);
        }
        row.u64(self.body.number());
        row.finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let (layout, mut row) = Decoder::up_to(row, PART_VERSION_CRC64, Self::WHAT)?;
        let record = Self {
            last_modified: Timestamp::from_millis(row.i64()?),
            size_bytes: row.u64()?,
            md5: row.array()?,
            checksum: take_optional_checksum(&mut row)?.ok_or_else(|| row.corrupt())?,
            crc64: match layout {
                PART_VERSION => None,
                _ => Some(take_checksum(&mut row)?),
            },
            body: BodyId::new(row.u64()?),
        };
        row.finish()?;
        Ok(record)
    }
}

/// The parts of a completed upload, in order. Written once and shared by every version that has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Manifest {
    pub(crate) parts: Vec<ManifestPart>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ManifestPart {
    pub(crate) shown: PartOfObject,
    pub(crate) body: BodyId,
}

impl Manifest {
    const WHAT: &str = "list of parts";

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::new(MANIFEST_VERSION);
        row.count(self.parts.len());
        for part in &self.parts {
            row.u32(part.shown.number);
            row.u64(part.shown.size_bytes);
            row.u64(part.body.number());
            put_optional_checksum(&mut row, part.shown.checksum.as_ref());
        }
        row.finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut row = Decoder::new(row, MANIFEST_VERSION, Self::WHAT)?;
        let count = row.count()?;
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            let number = row.u32()?;
            let size_bytes = row.u64()?;
            let body = BodyId::new(row.u64()?);
            parts.push(ManifestPart {
                shown: PartOfObject {
                    number,
                    size_bytes,
                    checksum: take_optional_checksum(&mut row)?,
                },
                body,
            });
        }
        row.finish()?;
        Ok(Self { parts })
    }
}

/// What a completion answered, kept for a while so that it can be repeated. Bucket, key and order are in its row's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CompletedRecord {
    pub(crate) completed_at: Timestamp,
    /// Whether the version's id was `null`.
    pub(crate) is_null: bool,
    /// The version's: when the upload began.
    pub(crate) last_modified: Timestamp,
    pub(crate) size_bytes: u64,
    pub(crate) etag: ETag,
    pub(crate) checksum: Checksum,
    /// Which parts were named, in one value.
    pub(crate) parts_sha256: [u8; 32],
}

impl CompletedRecord {
    const WHAT: &str = "completed upload";

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::new(COMPLETED_VERSION);
        row.i64(self.completed_at.millis());
        row.u8(u8::from(self.is_null));
        row.i64(self.last_modified.millis());
        row.u64(self.size_bytes);
        row.text(self.etag.as_str());
        put_checksum(&mut row, &self.checksum);
        row.fixed(&self.parts_sha256);
        row.finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut row = Decoder::new(row, COMPLETED_VERSION, Self::WHAT)?;
        let record = Self {
            completed_at: Timestamp::from_millis(row.i64()?),
            is_null: match row.u8()? {
                0 => false,
                1 => true,
                _ => return Err(row.corrupt()),
            },
            last_modified: Timestamp::from_millis(row.i64()?),
            size_bytes: row.u64()?,
            etag: ETag::new(row.text()?),
            checksum: take_checksum(&mut row)?,
            parts_sha256: row.array()?,
        };
        row.finish()?;
        Ok(record)
    }
}
