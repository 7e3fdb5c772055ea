//! A store in memory with both buckets, and what tests need around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{Created, Depot, ListObjects, Options, PutObject, Selector, Versioning};
use two_buckets_local::WakeQueue;
use two_buckets_objects::{BucketName, ListedVersion, ObjectRef, Timestamp, VersionId};

pub(crate) fn bucket(name: &str) -> BucketName {
    name.parse().unwrap()
}

pub(crate) fn staging(key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket("staging"),
        key: key.parse().unwrap(),
    }
}

pub(crate) fn archive(key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket("archive"),
        key: key.parse().unwrap(),
    }
}

/// A clock that goes on by one millisecond each time it is read, so that no two versions share a moment.
pub(crate) fn ticking() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    let millis = AtomicI64::new(1_790_000_000_000);
    Arc::new(move || Timestamp::from_millis(millis.fetch_add(1, Ordering::Relaxed)))
}

/// A store in memory with versioned buckets `staging` and `archive`, whose new staging versions wake the queue.
pub(crate) struct Bench {
    pub(crate) depot: Depot,
    pub(crate) queue: WakeQueue,
    /// New versions in the archive.
    pub(crate) archived: tokio::sync::mpsc::UnboundedReceiver<Created>,
}

pub(crate) fn open(storage: Arc<MemoryStorage>) -> Bench {
    open_by(storage, ticking())
}

pub(crate) fn open_by(
    storage: Arc<MemoryStorage>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
) -> Bench {
    let queue = WakeQueue::default();
    let wake = queue.on_created(bucket("staging"), None);
    let (sender, archived) = tokio::sync::mpsc::unbounded_channel();
    let depot = Depot::open_on(
        storage,
        Options {
            clock,
            just_moved_grace: Duration::ZERO,
            small_body_bytes_max: 1 << 10,
            on_created: Some(Arc::new(move |created: &Created| {
                wake(created);
                if created.at.bucket == bucket("archive") {
                    drop(sender.send(created.clone()));
                }
            })),
            record_change: None,
        },
    )
    .unwrap();
    for name in ["staging", "archive"] {
        match depot.create_bucket(&bucket(name)) {
            Ok(()) | Err(two_buckets_depot::Error::BucketExists(_)) => {}
            Err(error) => panic!("{error}"),
        }
        depot
            .set_versioning(&bucket(name), Versioning::Enabled)
            .unwrap();
    }
    Bench {
        depot,
        queue,
        archived,
    }
}

impl Bench {
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) -> VersionId {
        put(&self.depot, &staging(key), bytes)
    }

    /// The versions of a bucket, in list order.
    pub(crate) fn versions(&self, name: &str) -> Vec<ListedVersion> {
        self.depot
            .list_versions(&bucket(name), &ListObjects::default())
            .unwrap()
            .entries
    }

    /// What each version of a key in the archive holds, oldest first.
    pub(crate) fn contents(&self, at: &ObjectRef) -> Vec<Vec<u8>> {
        let mut contents: Vec<Vec<u8>> = self
            .versions(at.bucket.as_str())
            .into_iter()
            .filter(|version| version.key == at.key && !version.is_delete_marker)
            .map(|version| {
                let selector = Selector::Version(version.version_id);
                let (_, mut reader) = self.depot.read(at, &selector, None).unwrap();
                let mut bytes = Vec::new();
                loop {
                    let piece = reader.next_piece(1 << 20).unwrap();
                    if piece.is_empty() {
                        break bytes;
                    }
                    bytes.extend_from_slice(&piece);
                }
            })
            .collect();
        contents.reverse();
        contents
    }
}

pub(crate) fn put(depot: &Depot, to: &ObjectRef, bytes: &[u8]) -> VersionId {
    let mut writer = depot.body_writer(&[], u64::MAX);
    writer.write(&Bytes::copy_from_slice(bytes)).unwrap();
    let body = writer.finish().unwrap();
    depot
        .put(to, body, PutObject::default())
        .unwrap()
        .version_id
}
