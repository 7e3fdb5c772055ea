use std::future::Future;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use crate::{
    Algorithm, BucketName, ByteRange, ETag, Error, Key, ListedVersion, Metadata, ObjectInfo,
    ObjectRef, Result, Tags, Timestamp, VersionId, VersionRef, WriteCondition,
};

/// An object's bytes in pieces of any size. An error ends it; a body that ends without one is whole.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Where versions of files live: the operations of S3 that the pipeline needs, with S3's meaning.
///
/// # Promises
///
/// * A write that returned `Ok` is durable, and every later read and list shows it.
/// * A version never changes. Reading one gives the same bytes each time, or [`Error::NotFound`] once it is deleted.
/// * A failed write leaves nothing to be seen, except after [`Error::Unknown`], when the caller must look.
/// * Dropping a returned future may leave the operation done or not done, never half done.
///
/// The suite in the `contracts` crate holds every implementation to these.
pub trait ObjectStore: Send + Sync + 'static {
    /// What this store can do beyond the least.
    fn capabilities(&self) -> Capabilities;

    /// What the store knows of the key's current version. [`Error::NotFound`] if there is none or it is a delete marker.
    fn head(&self, at: &ObjectRef) -> impl Future<Output = Result<ObjectInfo>> + Send;

    /// What the store knows of exactly this version.
    fn head_version(&self, at: &VersionRef) -> impl Future<Output = Result<ObjectInfo>> + Send;

    /// Reads exactly this version, or a range of it, as a stream of bounded memory.
    /// A range outside the object is [`Error::Refused`].
    fn read_version(
        &self,
        at: &VersionRef,
        range: Option<ByteRange>,
    ) -> impl Future<Output = Result<Body>> + Send;

    /// Writes an object. The body is streamed and nothing is visible before all of it is durable.
    fn put(
        &self,
        to: &ObjectRef,
        body: Body,
        options: PutOptions,
    ) -> impl Future<Output = Result<Written>> + Send;

    /// Copies exactly this version, bytes, metadata and tags, whatever its size; metadata named in the options is added.
    fn copy_version(
        &self,
        from: &VersionRef,
        to: &ObjectRef,
        options: CopyOptions,
    ) -> impl Future<Output = Result<Written>> + Send;

    /// Deletes exactly this version for good. Deleting what is not there succeeds.
    fn delete_version(&self, at: &VersionRef) -> impl Future<Output = Result<()>> + Send;

    /// Says whether somebody may still complete a multipart upload of exactly this key. A store that cannot tell says no.
    fn has_open_multipart(&self, at: &ObjectRef) -> impl Future<Output = Result<bool>> + Send {
        let _ = at;
        async { Ok(false) }
    }

    /// Lists versions and delete markers: keys in byte order, within a key the newest first
    /// (S3 API, `ListObjectVersions`). At most [`LIST_PAGE_MAX`](crate::LIST_PAGE_MAX) entries a page.
    fn list_versions(
        &self,
        bucket: &BucketName,
        options: ListVersions,
    ) -> impl Future<Output = Result<VersionPage>> + Send;
}

/// What a store can do beyond the least that [`ObjectStore`] asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Whether [`CopyOptions::condition`] is honoured. Where it is not, a stalled worker may copy over a newer upload.
    pub conditional_copy: bool,
}

/// How to write an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PutOptions {
    /// What must hold of the key's current version.
    pub condition: WriteCondition,
    /// What is kept beside the bytes.
    pub metadata: Metadata,
    /// The tags.
    pub tags: Tags,
    /// The checksum the store shall compute and keep; [`Algorithm::Crc64Nvme`] if none is named.
    pub checksum: Option<Algorithm>,
}

/// How to copy an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CopyOptions {
    /// What must hold of the target key's current version.
    pub condition: WriteCondition,
    /// User metadata to set on the copy, over the source's own.
    pub add_user_metadata: Vec<(String, String)>,
}

/// What a write made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Written {
    /// The new version.
    pub version_id: VersionId,
    /// Its entity tag.
    pub etag: ETag,
    /// When the store says it was written.
    pub last_modified: Timestamp,
}

/// Which versions to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListVersions {
    /// Only keys that begin so. A prefix that is a whole key also gives longer keys.
    pub prefix: String,
    /// Begin behind this, as an earlier page said.
    pub after: Option<VersionMarker>,
    /// The most entries; 0 means as many as a page holds.
    pub limit: usize,
}

/// Where a page ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionMarker {
    /// The last key shown.
    pub key: Key,
    /// The last version of it shown; none means the whole key was shown.
    pub version_id: Option<VersionId>,
}

/// A page of versions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionPage {
    /// The entries in order.
    pub versions: Vec<ListedVersion>,
    /// Where the next page begins; none on the last.
    pub next: Option<VersionMarker>,
}

/// A body that is already in memory.
pub fn body_from_bytes(bytes: Bytes) -> Body {
    Box::pin(Once(Some(bytes)))
}

struct Once(Option<Bytes>);

impl Stream for Once {
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().filter(|bytes| !bytes.is_empty()).map(Ok))
    }
}

/// Reads a body whole. More than `size_bytes_max` bytes is [`Error::Refused`]; memory stays within that.
pub async fn read_to_bytes(mut body: Body, size_bytes_max: usize) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(piece) = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        let piece = piece?;
        if whole.len() + piece.len() > size_bytes_max {
            return Err(Error::Refused {
                reason: format!("the body has more than {size_bytes_max} bytes"),
            });
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}
