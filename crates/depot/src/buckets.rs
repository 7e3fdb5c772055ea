use two_buckets_objects::{BucketName, Timestamp};

use crate::{Depot, Result};

/// A bucket's versioning state (S3 API, PutBucketVersioning). A bucket begins `Unversioned` and can never go back there.
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

impl Depot {
    /// Makes a bucket.
    pub fn create_bucket(&self, name: &BucketName) -> Result<()> {
        let _ = name;
        unimplemented!()
    }

    /// Removes an empty bucket and its configurations.
    pub fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        let _ = name;
        unimplemented!()
    }

    /// The buckets by name.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        unimplemented!()
    }

    /// One bucket.
    pub fn bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        let _ = name;
        unimplemented!()
    }

    /// Sets the versioning state; `Unversioned` is refused.
    pub fn set_versioning(&self, name: &BucketName, versioning: Versioning) -> Result<()> {
        let _ = (name, versioning);
        unimplemented!()
    }

    /// A configuration as it was last put, or none.
    pub fn bucket_config(&self, name: &BucketName, kind: ConfigKind) -> Result<Option<Vec<u8>>> {
        let _ = (name, kind);
        unimplemented!()
    }

    /// Puts a configuration, or with none removes it.
    pub fn set_bucket_config(
        &self,
        name: &BucketName,
        kind: ConfigKind,
        document: Option<&[u8]>,
    ) -> Result<()> {
        let _ = (name, kind, document);
        unimplemented!()
    }
}
