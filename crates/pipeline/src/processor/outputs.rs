use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use two_buckets_objects::{
    Body, BucketName, Error, Key, Metadata, ObjectRef, ObjectStore, PutOptions, Result, VersionRef,
    body_from_bytes,
};

use crate::archive;

type Putting = Pin<Box<dyn Future<Output = Result<VersionRef>> + Send>>;
type Put = dyn Fn(ObjectRef, Body, PutOptions) -> Putting + Send + Sync;

/// Where a run writes what it makes of an upload: under `_results/{key}/{version id}/{name}` in the archive bucket.
///
/// The place is the same in every run for the same version and no other version's, so a run that is repeated writes
/// over what the one before wrote, and nothing has to be cleaned up. Nobody but functions can write there. What is
/// written stays although the run fails.
#[derive(Clone)]
pub struct Outputs {
    put: Arc<Put>,
    archive: BucketName,
    source: VersionRef,
}

impl Outputs {
    /// The longest name, in bytes: with the rest of the key it stays below the longest key.
    pub const NAME_BYTES_MAX: usize = 512;

    /// Writes outputs of this version into this store's archive bucket.
    pub fn of_version<S: ObjectStore>(
        store: Arc<S>,
        archive: BucketName,
        source: VersionRef,
    ) -> Self {
        Self {
            put: Arc::new(move |to, body, options| {
                let store = Arc::clone(&store);
                Box::pin(async move {
                    let written = store.put(&to, body, options).await?;
                    Ok(VersionRef {
                        bucket: to.bucket,
                        key: to.key,
                        version_id: written.version_id,
                    })
                })
            }),
            archive,
            source,
        }
    }

    /// Writes one output from a stream; says where it is. Nothing is to be seen of it before all of it is durable.
    ///
    /// The name is like `thumbnail.jpg` or `pages/1.png`: 1 to [`Self::NAME_BYTES_MAX`] bytes, neither beginning nor
    /// ending with a slash; another is [`Error::Refused`]. An error of the body ends it and nothing is written.
    pub async fn put(&self, name: &str, media_type: &str, body: Body) -> Result<VersionRef> {
        let to = ObjectRef {
            bucket: self.archive.clone(),
            key: self.key(name)?,
        };
        let options = PutOptions {
            metadata: Metadata {
                content_type: Some(media_type.to_owned()),
                user: archive::pairs_of_result(&self.source).into_iter().collect(),
                ..Metadata::default()
            },
            ..PutOptions::default()
        };
        (self.put)(to, body, options).await
    }

    /// Writes one output that is in memory, as [`Self::put`].
    pub async fn put_bytes(
        &self,
        name: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<VersionRef> {
        self.put(name, media_type, body_from_bytes(bytes.into()))
            .await
    }

    /// Where an output of this name is or would be in the archive bucket.
    pub fn key(&self, name: &str) -> Result<Key> {
        let is_legal = (1..=Self::NAME_BYTES_MAX).contains(&name.len())
            && !name.starts_with('/')
            && !name.ends_with('/');
        if !is_legal {
            return Err(Error::Refused {
                reason: format!(
                    "the name of an output must have 1 to {} bytes and no slash at its ends, not {name:?}",
                    Self::NAME_BYTES_MAX
                ),
            });
        }
        Ok(archive::result_key(&self.source, name))
    }

    /// What all keys of this version's outputs begin with.
    pub fn prefix(&self) -> String {
        archive::results_prefix(&self.source)
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs")
            .field("prefix", &self.prefix())
            .finish_non_exhaustive()
    }
}
