use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use two_buckets_depot::{
    CopyMetadata, CopyObject, Depot, FoundObject, ListObjects, PutObject, Reader, Selector,
};
use two_buckets_objects::{
    Body, BucketName, ByteRange, Capabilities, CopyOptions, Error, Key, LIST_PAGE_MAX,
    ListVersions, ObjectInfo, ObjectRef, ObjectStore, PutOptions, Result,
    SINGLE_PUT_SIZE_BYTES_MAX, VersionId, VersionMarker, VersionPage, VersionRef, WriteCondition,
    Written,
};

use crate::StoreCalls;

/// How much of a body is read or written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// The embedded store as the pipeline sees it.
///
/// A version that was moved to the archive a moment ago still answers to HEAD and GET for the store's grace; lists
/// tell the truth at once. Dropping a future that writes may leave the write done.
#[derive(Clone)]
pub struct DepotStore {
    depot: Depot,
    calls: StoreCalls,
}

impl DepotStore {
    /// The buckets of this store.
    pub fn new(depot: Depot) -> Self {
        Self {
            depot,
            calls: StoreCalls::default(),
        }
    }

    /// Makes its calls so.
    #[must_use]
    pub fn with_calls(self, calls: StoreCalls) -> Self {
        Self { calls, ..self }
    }

    /// Reads so little that no thread is taken for it.
    fn look<T>(
        &self,
        what: impl FnOnce() -> String,
        look: impl FnOnce(&Depot) -> two_buckets_depot::Result<T>,
    ) -> Result<T> {
        look(&self.depot).map_err(|error| converted(what(), error))
    }

    async fn run<T: Send + 'static>(
        &self,
        what: String,
        call: impl FnOnce(&Depot) -> two_buckets_depot::Result<T> + Send + 'static,
    ) -> Result<T> {
        let depot = self.depot.clone();
        self.calls
            .run(move || call(&depot))
            .await
            .map_err(|error| converted(what, error))
    }
}

/// The longest page of a list that is read on the thread that polls.
const SHORT_PAGE_MAX: usize = 16;

impl ObjectStore for DepotStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_copy: true,
        }
    }

    async fn head(&self, at: &ObjectRef) -> Result<ObjectInfo> {
        self.look(|| name(at), |depot| depot.head(at, &Selector::Current))
            .map(|found| found.info)
    }

    async fn head_version(&self, at: &VersionRef) -> Result<ObjectInfo> {
        let (object, selector) = (at.object(), Selector::Version(at.version_id.clone()));
        self.look(
            || name_of_version(at),
            |depot| depot.head(&object, &selector),
        )
        .map(|found| found.info)
    }

    async fn read_version(&self, at: &VersionRef, range: Option<ByteRange>) -> Result<Body> {
        let (object, selector) = (at.object(), Selector::Version(at.version_id.clone()));
        let (_, mut reader): (FoundObject, Reader) = self.look(
            || name_of_version(at),
            |depot| depot.read(&object, &selector, range),
        )?;
        let what = name_of_version(at);
        if reader.is_at_hand() {
            let size = usize::try_from(reader.remaining_bytes()).unwrap_or(usize::MAX);
            let whole = reader
                .next_piece(size)
                .map_err(|error| converted(what, error));
            let is_empty = whole.as_ref().is_ok_and(Bytes::is_empty);
            let pieces = (!is_empty).then_some(whole);
            return Ok(Box::pin(futures::stream::iter(pieces)));
        }
        let calls = self.calls;
        let pieces = futures::stream::unfold(Some(reader), move |reader| {
            let what = what.clone();
            async move {
                let mut reader = reader?;
                let (piece, reader) = calls
                    .run(move || {
                        let piece = reader.next_piece(PIECE_BYTES);
                        (piece, reader)
                    })
                    .await;
                match piece {
                    Ok(piece) if piece.is_empty() => None,
                    Ok(piece) => Some((Ok(piece), Some(reader))),
                    Err(error) => Some((Err(converted(what, error)), None)),
                }
            }
        });
        Ok(Box::pin(pieces))
    }

    async fn put(&self, to: &ObjectRef, mut body: Body, options: PutOptions) -> Result<Written> {
        let algorithms: Vec<_> = options.checksum.into_iter().collect();
        let mut writer = self
            .depot
            .body_writer(&algorithms, SINGLE_PUT_SIZE_BYTES_MAX);
        let mut gathered = BytesMut::new();
        loop {
            let next = body.next().await.transpose()?;
            let is_last = next.is_none();
            gathered.extend_from_slice(&next.unwrap_or_default());
            if gathered.len() >= PIECE_BYTES || (is_last && !gathered.is_empty()) {
                let piece: Bytes = gathered.split().freeze();
                let (written, back) = self
                    .calls
                    .run(move || {
                        let written = writer.write(&piece);
                        (written, writer)
                    })
                    .await;
                written.map_err(|error| converted(name(to), error))?;
                writer = back;
            }
            if is_last {
                break;
            }
        }
        let (what, to) = (name(to), to.clone());
        self.run(what, move |depot| {
            depot.put(
                &to,
                writer.finish()?,
                PutObject {
                    condition: options.condition,
                    metadata: options.metadata,
                    tags: options.tags,
                    checksum: options.checksum,
                },
            )
        })
        .await
    }

    async fn copy_version(
        &self,
        from: &VersionRef,
        to: &ObjectRef,
        options: CopyOptions,
    ) -> Result<Written> {
        let (object, selector) = (from.object(), Selector::Version(from.version_id.clone()));
        let to = to.clone();
        self.run(name_of_version(from), move |depot| {
            depot.copy(
                &object,
                &selector,
                &to,
                CopyObject {
                    condition: options.condition,
                    source_etag: None,
                    metadata: CopyMetadata::Keep(options.add_user_metadata),
                    tags: None,
                    checksum: None,
                },
            )
        })
        .await
        .map(|(_, written)| written)
    }

    async fn delete_version(&self, at: &VersionRef) -> Result<()> {
        let (object, selector) = (at.object(), Selector::Version(at.version_id.clone()));
        // Of a file in ten thousand parts each is let go of.
        self.run(name_of_version(at), move |depot| {
            depot.delete(&object, &selector, &WriteCondition::None)
        })
        .await
        .map(drop)
    }

    async fn has_open_multipart(&self, at: &ObjectRef) -> Result<bool> {
        let (bucket, key) = (&at.bucket, &at.key);
        let look = |depot: &Depot| {
            // Uploads of the key itself come before those of keys it is a prefix of.
            let options = two_buckets_depot::ListUploads {
                prefix: key.as_str().to_owned(),
                limit: Some(1),
                ..two_buckets_depot::ListUploads::default()
            };
            let page = depot.list_uploads(bucket, &options)?;
            Ok(page
                .uploads
                .first()
                .is_some_and(|upload| upload.key == *key))
        };
        self.look(|| name(at), look)
    }

    async fn list_versions(
        &self,
        bucket: &BucketName,
        options: ListVersions,
    ) -> Result<VersionPage> {
        let wanted = ListObjects {
            prefix: options.prefix,
            delimiter: None,
            after: options
                .after
                .as_ref()
                .map(|marker| marker.key.as_str().to_owned()),
            after_version: options
                .after
                .and_then(|marker| marker.version_id)
                .map(|id| id.as_str().to_owned()),
            limit: Some(match options.limit {
                0 => LIST_PAGE_MAX,
                limit => limit.min(LIST_PAGE_MAX),
            }),
        };
        let what = || format!("bucket {bucket}");
        let page = if wanted.limit.is_some_and(|limit| limit <= SHORT_PAGE_MAX) {
            self.look(what, |depot| depot.list_versions(bucket, &wanted))?
        } else {
            let in_bucket = bucket.clone();
            self.run(what(), move |depot| {
                depot.list_versions(&in_bucket, &wanted)
            })
            .await?
        };
        let next = match page.next {
            None => None,
            Some((key, version_id)) => Some(VersionMarker {
                key: key.parse::<Key>().map_err(|error| Error::Unavailable {
                    reason: "the store named a page by no key".into(),
                    source: Some(Box::new(error)),
                })?,
                version_id: version_id.map(VersionId::new),
            }),
        };
        Ok(VersionPage {
            versions: page.entries,
            next,
        })
    }
}

fn name(at: &ObjectRef) -> String {
    format!("{}/{}", at.bucket, at.key)
}

fn name_of_version(at: &VersionRef) -> String {
    format!("version {} of {}/{}", at.version_id, at.bucket, at.key)
}

/// The one place where depot's failures become the store's.
fn converted(what: String, error: two_buckets_depot::Error) -> Error {
    use two_buckets_depot::Error as Depot;
    let reason = error.to_string();
    match error {
        Depot::NoSuchBucket(bucket) => Error::NotFound {
            what: format!("bucket {bucket}"),
        },
        Depot::NoSuchKey { .. }
        | Depot::NoSuchVersion
        | Depot::IsDeleteMarker { .. }
        | Depot::NoSuchUpload => Error::NotFound { what },
        Depot::ConditionFailed => Error::ConditionFailed { key: what },
        Depot::Corrupt { .. } => Error::Integrity { reason },
        Depot::DiskFull | Depot::ReadOnly => Error::NotWritten {
            reason,
            source: Some(Box::new(error)),
        },
        // A commit that the disk failed may be on it: only looking tells.
        Depot::Io(_) => Error::Unknown {
            reason,
            source: Some(Box::new(error)),
        },
        _ => Error::Refused { reason },
    }
}
