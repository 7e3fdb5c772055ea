//! Buckets and what is configured of them.

use two_buckets_objects::{BucketName, Timestamp};

use crate::engine::Table;
use crate::objects::versions;
use crate::records::BucketRecord;
use crate::row_keys;
use crate::view::View;
use crate::{Depot, Error, Result};

/// A bucket's versioning state (S3 API, `PutBucketVersioning`). A bucket begins `Unversioned` and can never go back there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Versioning {
    /// Never enabled: each key has at most the version `null`, overwritten in place.
    Unversioned,
    /// Each write makes a new version.
    Enabled,
    /// Writes make or replace the version `null`; older versions stay.
    Suspended,
}

/// What is known of a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketInfo {
    /// The name.
    pub name: BucketName,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its versioning state.
    pub versioning: Versioning,
}

/// The configurations a bucket can carry, each a document kept as it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigKind {
    /// Cross-origin rules.
    Cors,
    /// Lifecycle rules.
    Lifecycle,
    /// Notification rules.
    Notification,
    /// Tags of the bucket.
    Tagging,
}

/// The largest configuration kept. S3 allows no more than 20 KB of any kind but lifecycle rules, of which it takes
/// 1,000 (S3 User Guide, "Bucket quotas, limitations, and restrictions").
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// The version byte of a configuration's row, before the document.
const CONFIG_VERSION: u8 = 1;

impl Depot {
    /// Makes a bucket, without versioning (S3 API, `CreateBucket`).
    pub fn create_bucket(&self, name: &BucketName) -> Result<()> {
        self.transaction(|tx| {
            if tx.engine.get(Table::BUCKETS, row_of(name))?.is_some() {
                return Err(Error::BucketExists(name.to_string()));
            }
            let record = BucketRecord {
                created_at: tx.engine.now(),
                versioning: Versioning::Unversioned,
            };
            tx.engine.put(Table::BUCKETS, row_of(name), record.encode());
            Ok(())
        })
    }

    /// Removes an empty bucket and its configurations (S3 API, `DeleteBucket`). Versions, delete markers and unfinished
    /// uploads count: [`Error::BucketNotEmpty`].
    pub fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        self.transaction(|tx| {
            versions::bucket(&*tx.engine, name)?;
            let from = row_keys::of_bucket(name);
            let to = row_keys::behind(from.clone());
            for table in [Table::VERSIONS, Table::UPLOADS] {
                if !tx.engine.scan(table, &from, to.as_deref(), 1)?.is_empty() {
                    return Err(Error::BucketNotEmpty(name.to_string()));
                }
            }
            for kind in ConfigKind::ALL {
                tx.engine.delete(Table::CONFIGS, &config_row(name, kind));
            }
            tx.engine.delete(Table::BUCKETS, row_of(name));
            Ok(())
        })
    }

    /// The buckets by name.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        self.inner
            .engine
            .scan(Table::BUCKETS, &[], None, usize::MAX)?
            .into_iter()
            .map(|(row, record)| {
                let name = String::from_utf8(row)
                    .ok()
                    .and_then(|name| name.parse().ok())
                    .ok_or_else(|| Error::Corrupt {
                        what: "the key of a bucket row".into(),
                    })?;
                Ok(shown(name, &BucketRecord::decode(&record)?))
            })
            .collect()
    }

    /// One bucket.
    pub fn bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        let record = versions::bucket(&self.inner.engine, name)?;
        Ok(shown(name.clone(), &record))
    }

    /// Sets the versioning state (S3 API, `PutBucketVersioning`); `Unversioned` is refused.
    pub fn set_versioning(&self, name: &BucketName, versioning: Versioning) -> Result<()> {
        if versioning == Versioning::Unversioned {
            return Err(Error::InvalidArgument(
                "versioning can be enabled or suspended, never taken away".into(),
            ));
        }
        self.transaction(|tx| {
            let record = versions::bucket(&*tx.engine, name)?;
            if record.versioning != versioning {
                let record = BucketRecord {
                    versioning,
                    ..record
                };
                tx.engine.put(Table::BUCKETS, row_of(name), record.encode());
            }
            Ok(())
        })
    }

    /// A configuration as it was last put, or none.
    pub fn bucket_config(&self, name: &BucketName, kind: ConfigKind) -> Result<Option<Vec<u8>>> {
        let engine = &self.inner.engine;
        versions::bucket(engine, name)?;
        match View::get(engine, Table::CONFIGS, &config_row(name, kind))? {
            None => Ok(None),
            Some(row) => match row.split_first() {
                Some((&CONFIG_VERSION, document)) => Ok(Some(document.into())),
                _ => Err(Error::Corrupt {
                    what: "a bucket configuration row".into(),
                }),
            },
        }
    }

    /// Puts a configuration, or with none removes it. At most 1 MiB.
    pub fn set_bucket_config(
        &self,
        name: &BucketName,
        kind: ConfigKind,
        document: Option<&[u8]>,
    ) -> Result<()> {
        if document.is_some_and(|document| document.len() > CONFIG_BYTES_MAX) {
            return Err(Error::InvalidArgument(format!(
                "a bucket configuration has at most {CONFIG_BYTES_MAX} bytes"
            )));
        }
        self.transaction(|tx| {
            versions::bucket(&*tx.engine, name)?;
            let row = config_row(name, kind);
            match document {
                Some(document) => {
                    let mut value = vec![CONFIG_VERSION];
                    value.extend_from_slice(document);
                    tx.engine.put(Table::CONFIGS, &row, value);
                }
                None => tx.engine.delete(Table::CONFIGS, &row),
            }
            Ok(())
        })
    }
}

impl ConfigKind {
    const ALL: [Self; 4] = [
        Self::Cors,
        Self::Lifecycle,
        Self::Notification,
        Self::Tagging,
    ];

    fn code(self) -> u8 {
        match self {
            Self::Cors => 1,
            Self::Lifecycle => 2,
            Self::Notification => 3,
            Self::Tagging => 4,
        }
    }
}

fn row_of(name: &BucketName) -> &[u8] {
    name.as_str().as_bytes()
}

fn config_row(name: &BucketName, kind: ConfigKind) -> Vec<u8> {
    let mut row = row_keys::of_bucket(name);
    row.push(kind.code());
    row
}

fn shown(name: BucketName, record: &BucketRecord) -> BucketInfo {
    BucketInfo {
        name,
        created_at: record.created_at,
        versioning: record.versioning,
    }
}
