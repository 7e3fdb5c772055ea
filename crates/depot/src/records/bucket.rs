use two_buckets_objects::Timestamp;

use crate::encoding::{Decoder, Encoder};
use crate::{Result, Versioning};

const VERSION: u8 = 1;
const WHAT: &str = "bucket";

/// A bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BucketRecord {
    pub(crate) created_at: Timestamp,
    pub(crate) versioning: Versioning,
}

impl BucketRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::new(VERSION);
        row.i64(self.created_at.millis());
        row.u8(match self.versioning {
            Versioning::Unversioned => 0,
            Versioning::Enabled => 1,
            Versioning::Suspended => 2,
        });
        row.finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut row = Decoder::new(row, VERSION, WHAT)?;
        let created_at = Timestamp::from_millis(row.i64()?);
        let versioning = match row.u8()? {
            0 => Versioning::Unversioned,
            1 => Versioning::Enabled,
            2 => Versioning::Suspended,
            _ => return Err(row.corrupt()),
        };
        row.finish()?;
        Ok(Self {
            created_at,
            versioning,
        })
    }
}
