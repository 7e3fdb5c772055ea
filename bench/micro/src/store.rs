//! A store in memory, with a clock that stands still, and what callers of it need.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{Depot, Options, PutObject, Versioning};
use two_buckets_local::{DepotLedger, StoreCalls};
use two_buckets_objects::{
    BucketName, ListedVersion, ObjectRef, SINGLE_PUT_SIZE_BYTES_MAX, Timestamp,
};

use crate::SMALL_BYTES;

/// 2026-11-23T10:50:50Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_431_050_000);

pub(crate) fn staging() -> BucketName {
    "staging".parse().expect("a legal name")
}

pub(crate) fn archive() -> BucketName {
    "archive".parse().expect("a legal name")
}

/// A new store with both buckets, which keep versions. Its index is that of a store on a disk, with a map in memory below
/// instead of the LSM tree.
pub(crate) fn depot() -> Depot {
    let depot = Depot::open_on(
        Arc::new(MemoryStorage::default()),
        Options {
            clock: Arc::new(|| NOW),
            just_moved_grace: Duration::from_secs(5),
            small_body_bytes_max: 128 << 10,
            on_created: None,
            record_change: None,
        },
    )
    .expect("memory can be opened");
    for bucket in [staging(), archive()] {
        depot
            .create_bucket(&bucket)
            .and_then(|()| depot.set_versioning(&bucket, Versioning::Enabled))
            .expect("a new store has no buckets");
    }
    depot
}

/// The ledger of a store, which makes its calls where they are asked for.
pub(crate) fn ledger(depot: &Depot) -> DepotLedger {
    DepotLedger::open(depot.clone())
        .expect("a new store has no rows")
        .with_calls(StoreCalls::Here)
}

/// The place of a file in staging, as the upload API names it.
pub(crate) fn place(number: usize) -> ObjectRef {
    let key = format!("2026-11-23/01KATTSM{number:018}/invoice.txt");
    ObjectRef {
        bucket: staging(),
        key: key.parse().expect("a legal key"),
    }
}

/// Puts a file, and gives its version as a list has it.
pub(crate) fn put(depot: &Depot, to: &ObjectRef, bytes: &Bytes) -> ListedVersion {
    let mut writer = depot.body_writer(&[], SINGLE_PUT_SIZE_BYTES_MAX);
    writer.write(bytes).expect("memory can be written");
    let body = writer.finish().expect("memory can be written");
    let written = depot
        .put(to, body, PutObject::default())
        .expect("memory can be written");
    ListedVersion {
        key: to.key.clone(),
        version_id: written.version_id,
        is_latest: true,
        is_delete_marker: false,
        last_modified: NOW,
        size_bytes: bytes.len() as u64,
        etag: Some(written.etag),
    }
}

/// A text of this size, of lines as `bench e2e` sends them.
pub(crate) fn text(size_bytes: usize) -> Bytes {
    b"2026-11-23/invoice-1704\n"
        .iter()
        .copied()
        .cycle()
        .take(size_bytes)
        .collect()
}

/// A small file.
pub(crate) fn small_file() -> Bytes {
    text(SMALL_BYTES)
}
