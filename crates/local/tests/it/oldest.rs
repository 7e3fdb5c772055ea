//! The oldest unfinished upload is the oldest, however many others wait and wherever it stands among them.

use std::sync::Arc;

use bytes::Bytes;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{CompletePart, CreateUpload, Depot, Selector, UploadId};
use two_buckets_objects::{Algorithm, LIST_PAGE_MAX, ObjectRef, WriteCondition};
use two_buckets_uploads::{ListUploads, Oldest, Tracker as _};

use crate::bench::{self, staging};
use crate::pausing::{Gated, Server, start};

fn begin(depot: &Depot, at: &ObjectRef) -> UploadId {
    depot.create_upload(at, CreateUpload::default()).unwrap().id
}

/// Its Last-Modified is the moment when it was begun, as on S3.
fn complete(depot: &Depot, at: &ObjectRef, id: &UploadId) {
    let mut writer = depot.body_writer(&[Algorithm::Crc64Nvme], 10);
    writer.write(&Bytes::from_static(b"part")).unwrap();
    let part = depot.put_part(at, id, 1, writer.finish().unwrap()).unwrap();
    let part = CompletePart {
        number: 1,
        etag: part.etag,
        checksum: None,
    };
    depot
        .complete_upload(at, id, &[part], &WriteCondition::None, None)
        .unwrap();
}

async fn oldest(server: &Server, prefix: Option<&str>) -> Option<Oldest> {
    let query = |limit| ListUploads {
        prefix: prefix.map(str::to_owned),
        limit,
        ..ListUploads::default()
    };
    let page = server.tracker.list(query(1_000)).await.unwrap();
    let short = server.tracker.list(query(1)).await.unwrap();
    assert_eq!(page.oldest_unfinished, short.oldest_unfinished);
    page.oldest_unfinished
}

async fn oldest_key(server: &Server, prefix: Option<&str>) -> String {
    oldest(server, prefix).await.unwrap().key.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_is_found_behind_more_that_wait_than_a_list_looks_at() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let function = Gated::new(0);
    let server = start(bench, &function, 2);
    server.tracker.pause(None).await.unwrap();
    let depot = server.bench.depot.clone();
    let (first, second) = (staging("z/first"), staging("z/second"));
    let (begun_first, begun_second) = (begin(&depot, &first), begin(&depot, &second));
    let begun_at = depot.now();
    for n in 0..LIST_PAGE_MAX + 200 {
        server.bench.put(&format!("a/{n:05}"), b"x");
    }
    // The list that the API makes looks at the first thousand, and these come after all of them.
    complete(&depot, &second, &begun_second);
    let found = oldest(&server, None).await.unwrap();
    assert_eq!(found.key, second.key);
    assert!(found.received_at < begun_at);
    assert_eq!(oldest_key(&server, Some("a/")).await, "a/00000");
    assert_eq!(oldest_key(&server, Some("z/")).await, "z/second");
    assert_eq!(oldest(&server, Some("t/")).await, None);

    // One that is older still ends only now, after staging was looked through.
    complete(&depot, &first, &begun_first);
    assert_eq!(oldest_key(&server, None).await, "z/first");
    // What is removed by hand waits no longer.
    let version = depot.head(&first, &Selector::Current).unwrap().info.at;
    let version = Selector::Version(version.version_id);
    depot
        .delete(&first, &version, &WriteCondition::None)
        .unwrap();
    assert_eq!(oldest_key(&server, None).await, "z/second");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_is_that_of_the_ledger_or_of_staging_whichever_is_older() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let function = Gated::new(0);
    let mut server = start(bench, &function, 1);
    let depot = server.bench.depot.clone();
    assert_eq!(oldest(&server, None).await, None);
    let late = staging("late");
    let begun = begin(&depot, &late);
    server.bench.put("a", b"1");
    server.bench.put("b", b"2");
    while function.began().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(oldest_key(&server, None).await, "a", "it has its row");
    complete(&depot, &late, &begun);
    assert_eq!(oldest_key(&server, None).await, "late", "it has none yet");
    function.gate.add_permits(3);
    server.archived(3).await;
    assert_eq!(oldest(&server, None).await, None);
    server.stop().await;
}
