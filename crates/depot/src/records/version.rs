use two_buckets_objects::{Checksum, ETag, Metadata, Tags, Timestamp};

use super::{put_checksum, put_metadata, put_tags, take_checksum, take_metadata, take_tags};
use crate::Result;
use crate::encoding::{Decoder, Encoder};
use crate::engine::BodyId;
use crate::row_keys::Order;

const VERSION: u8 = 1;
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
    pub(crate) checksum: Option<Checksum>,
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

impl VersionRecord {
    pub(crate) fn object(&self) -> Option<&ObjectRecord> {
        match &self.state {
            VersionState::DeleteMarker => None,
            VersionState::Object(object) => Some(object),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::new(VERSION);
        row.u8(u8::from(self.is_null));
        row.i64(self.last_modified.millis());
        match &self.state {
            VersionState::DeleteMarker => row.u8(0),
            VersionState::Object(object) => {
                row.u8(1);
                row.u64(object.size_bytes);
                row.text(object.etag.as_str());
                row.count(usize::from(object.checksum.is_some()));
                if let Some(checksum) = &object.checksum {
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
        let mut row = Decoder::new(row, VERSION, WHAT)?;
        let is_null = match row.u8()? {
            0 => false,
            1 => true,
            _ => return Err(row.corrupt()),
        };
        let last_modified = Timestamp::from_millis(row.i64()?);
        let state = match row.u8()? {
            0 => VersionState::DeleteMarker,
            1 => {
                let size_bytes = row.u64()?;
                let etag = ETag::new(row.text()?);
                let checksum = match row.u32()? {
                    0 => None,
                    1 => Some(take_checksum(&mut row)?),
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
