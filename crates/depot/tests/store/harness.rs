//! A store to test with, and short names for what tests do with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{
    Body, Created, Depot, FoundObject, ListObjects, Options, PutObject, Result, Selector,
    Versioning,
};
use two_buckets_objects::{
    Algorithm, BucketName, Key, ListedVersion, ObjectRef, Timestamp, VersionId, WriteCondition,
    Written,
};

/// A clock that goes on by a millisecond with each look at it, or as it is told.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn options(&self) -> Options {
        let clock = self.clone();
        Options {
            clock: Arc::new(move || {
                Timestamp::from_millis(1_000_000 + clock.0.fetch_add(1, Ordering::SeqCst))
            }),
            just_moved_grace: Duration::from_secs(5),
            small_body_bytes_max: 128,
            on_created: None,
            record_change: None,
        }
    }
}

pub(crate) struct TestStore {
    pub(crate) depot: Depot,
    storage: Arc<MemoryStorage>,
    pub(crate) clock: TestClock,
    /// What `on_created` was called with.
    pub(crate) created: Arc<std::sync::Mutex<Vec<Created>>>,
}

impl TestStore {
    /// A store in memory with the versioned buckets `staging` and `archive`.
    pub(crate) fn new() -> Self {
        let store = Self::open(Arc::new(MemoryStorage::new()), TestClock::default());
        for name in ["staging", "archive"] {
            store.depot.create_bucket(&bucket(name)).unwrap();
            store
                .depot
                .set_versioning(&bucket(name), Versioning::Enabled)
                .unwrap();
        }
        store
    }

    /// Closes the store and opens it again.
    pub(crate) fn reopened(self) -> Self {
        let Self {
            depot,
            storage,
            clock,
            ..
        } = self;
        drop(depot);
        Self::open(storage, clock)
    }

    fn open(storage: Arc<MemoryStorage>, clock: TestClock) -> Self {
        let created = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = Arc::clone(&created);
        let depot = Depot::open_on(
            storage.clone(),
            Options {
                on_created: Some(Arc::new(move |new: &Created| {
                    seen.lock().unwrap().push(new.clone());
                })),
                ..clock.options()
            },
        )
        .unwrap();
        Self {
            depot,
            storage,
            clock,
            created,
        }
    }

    pub(crate) fn body(&self, bytes: &[u8]) -> Body {
        body(&self.depot, bytes)
    }

    pub(crate) fn put(&self, to: &ObjectRef, bytes: &[u8]) -> Written {
        self.put_if(to, bytes, WriteCondition::None).unwrap()
    }

    pub(crate) fn put_if(
        &self,
        to: &ObjectRef,
        bytes: &[u8],
        condition: WriteCondition,
    ) -> Result<Written> {
        self.depot.put(
            to,
            self.body(bytes),
            PutObject {
                condition,
                ..PutObject::default()
            },
        )
    }

    pub(crate) fn head(&self, at: &ObjectRef) -> Result<FoundObject> {
        self.depot.head(at, &Selector::Current)
    }

    pub(crate) fn bytes(&self, at: &ObjectRef, version: &Selector) -> Result<Vec<u8>> {
        bytes(&self.depot, at, version)
    }

    pub(crate) fn versions(&self, name: &str) -> Vec<ListedVersion> {
        versions(&self.depot, &bucket(name))
    }

    pub(crate) fn delete_version(&self, at: &ObjectRef, id: &VersionId) {
        let version = Selector::Version(id.clone());
        self.depot
            .delete(at, &version, &WriteCondition::None)
            .unwrap();
    }
}

pub(crate) fn body(depot: &Depot, bytes: &[u8]) -> Body {
    let mut writer = depot.body_writer(&Algorithm::ALL, 5 << 30);
    writer.write(&Bytes::copy_from_slice(bytes)).unwrap();
    writer.finish().unwrap()
}

pub(crate) fn bytes(depot: &Depot, at: &ObjectRef, version: &Selector) -> Result<Vec<u8>> {
    let (found, mut reader) = depot.read(at, version, None)?;
    let mut whole = Vec::new();
    loop {
        let piece = reader.next_piece(1000)?;
        if piece.is_empty() {
            break;
        }
        whole.extend_from_slice(&piece);
    }
    assert_eq!(whole.len() as u64, found.info.size_bytes);
    Ok(whole)
}

/// Every version of a bucket.
pub(crate) fn versions(depot: &Depot, name: &BucketName) -> Vec<ListedVersion> {
    let mut options = ListObjects::default();
    let mut all = Vec::new();
    loop {
        let page = depot.list_versions(name, &options).unwrap();
        all.extend(page.entries);
        let Some((key, version)) = page.next else {
            return all;
        };
        options.after = Some(key);
        options.after_version = version;
    }
}

pub(crate) fn bucket(name: &str) -> BucketName {
    name.parse().unwrap()
}

pub(crate) fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub(crate) fn object(bucket_name: &str, key_text: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket(bucket_name),
        key: key(key_text),
    }
}
