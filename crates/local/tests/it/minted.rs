//! Uploads under minted keys, from the grant to the archive, on the embedded store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{
    CompletePart, CopyMetadata, CopyObject, CreateUpload, PutObject, Selector,
};
use two_buckets_local::{DepotLedger, DepotStore, LedgerTracker, WorkerOptions, Workers};
use two_buckets_objects::{
    Algorithm, BucketName, Checksum, ChecksumKind, Timestamp, WriteCondition,
};
use two_buckets_pipeline::{
    Expectation, Holder, Incoming, Ledger, ProcessError, Processor, Report, Routes, Settings,
    State, Upload,
};
use two_buckets_uploads::{
    Change, Cursor, Error, Expected, ListUploads, S3Address, ServerFacts, Tracker, UploadId,
    UploadState,
};

use crate::bench::{self, Bench, archive, bucket, staging};

const PATIENCE: Duration = Duration::from_secs(30);
const PART: usize = 5 << 20;

pub(crate) struct Accept;

impl Processor for Accept {
    async fn process(&self, _: Incoming) -> Result<Report, ProcessError> {
        Ok(Report::default())
    }
}

/// A store, its tracker and its workers.
pub(crate) struct Host {
    pub(crate) bench: Bench,
    pub(crate) ledger: DepotLedger,
    pub(crate) tracker: LedgerTracker<Accept>,
    pub(crate) workers: Workers<Accept>,
}

fn host() -> Host {
    host_with(Routes::default())
}

/// A host that routes uploads so.
pub(crate) fn host_with(routes: Routes) -> Host {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let workers = Workers::start(
        bench.depot.clone(),
        ledger.clone(),
        bench.queue.clone(),
        Accept,
        Settings {
            routes,
            ..Settings::new(bucket("staging"), bucket("archive"), Holder("test".into()))
        },
        &WorkerOptions::default(),
    )
    .unwrap();
    let tracker = LedgerTracker {
        facts: facts(bucket("staging"), bucket("archive")),
        ledger: ledger.clone(),
        store: DepotStore::new(bench.depot.clone()),
        queue: bench.queue.clone(),
        sweeper: workers.sweep_handle(),
    };
    Host {
        bench,
        ledger,
        tracker,
        workers,
    }
}

impl Host {
    /// The key of the next upload that is archived.
    pub(crate) async fn next_archived(&mut self) -> String {
        let archived = tokio::time::timeout(PATIENCE, self.bench.archived.recv()).await;
        archived.unwrap().unwrap().at.key.to_string()
    }

    /// The id of the one upload there is.
    pub(crate) async fn only_upload(&self) -> UploadId {
        let page = self.tracker.list(all()).await.unwrap();
        assert_eq!(page.uploads.len(), 1, "{page:?}");
        page.uploads[0].id.clone()
    }
}

pub(crate) fn facts(staging: BucketName, archive: BucketName) -> ServerFacts {
    ServerFacts {
        version: "1".into(),
        page_url: None,
        s3: S3Address {
            endpoint: "http://localhost:1".into(),
            region: "us-east-1".into(),
        },
        staging,
        archive,
        processor: "accept".into(),
        paused: None,
    }
}

fn expected(key: &str, until: Timestamp) -> Expected {
    Expected {
        key: key.parse().unwrap(),
        until,
        size_bytes: Some(5),
        media_type: Some("text/plain".into()),
        checksum: None,
    }
}

fn soon(host: &Host) -> Timestamp {
    host.bench.depot.now().after(Duration::from_mins(1))
}

/// Puts with `If-None-Match: *`, as a minted key is written, with this checksum kept.
fn put_new(host: &Host, key: &str, bytes: &[u8], algorithm: Option<Algorithm>) -> bool {
    let algorithms: Vec<_> = algorithm.into_iter().collect();
    let mut writer = host.bench.depot.body_writer(&algorithms, u64::MAX);
    writer.write(&Bytes::copy_from_slice(bytes)).unwrap();
    let options = PutObject {
        condition: WriteCondition::IfNoneMatch,
        checksum: algorithm,
        ..PutObject::default()
    };
    host.bench
        .depot
        .put(&staging(key), writer.finish().unwrap(), options)
        .is_ok()
}

fn put_in_parts(host: &Host, key: &str, parts: &[&[u8]], algorithm: Algorithm) {
    let (depot, at) = (&host.bench.depot, staging(key));
    let options = CreateUpload {
        checksum: Some((algorithm, None)),
        ..CreateUpload::default()
    };
    let upload = depot.create_upload(&at, options).unwrap();
    let parts: Vec<_> = (1..)
        .zip(parts)
        .map(|(number, bytes)| {
            let mut writer = depot.body_writer(&[algorithm], u64::MAX);
            writer.write(&Bytes::copy_from_slice(bytes)).unwrap();
            let body = writer.finish().unwrap();
            let part = depot.put_part(&at, &upload.id, number, body).unwrap();
            CompletePart {
                number,
                etag: part.etag,
                checksum: part.checksum,
            }
        })
        .collect();
    depot
        .complete_upload(&at, &upload.id, &parts, &WriteCondition::None, None)
        .unwrap();
}

type Changes = std::pin::Pin<Box<dyn Stream<Item = Change> + Send>>;

fn changes(host: &Host) -> Changes {
    Box::pin(host.tracker.changes())
}

/// Every state a key's uploads were told of, until this many have ended.
async fn until_ended(changes: &mut Changes, key: &str, count: usize) -> Vec<UploadState> {
    let mut told = Vec::new();
    let mut ended = std::collections::HashSet::new();
    while ended.len() < count {
        let change = tokio::time::timeout(PATIENCE, changes.next()).await;
        let Change::Upload(upload) = change.expect("a change must come").unwrap() else {
            panic!("nothing may be missed here");
        };
        if upload.key.as_str() != key {
            continue;
        }
        told.push(upload.state);
        if upload.finished_at.is_some() {
            ended.insert(upload.id.clone());
        }
    }
    told
}

/// Waits until a key has so many uploads and the pipeline is done with all of them; gives their states, the latest first.
async fn settled(host: &Host, changes: &mut Changes, key: &str, count: usize) -> Vec<State> {
    loop {
        let rows = rows(&host.ledger, key).await;
        if rows.len() == count && rows.iter().all(|row| row.closed) {
            return rows.into_iter().map(|row| row.state).collect();
        }
        let change = tokio::time::timeout(PATIENCE, changes.next()).await;
        change.expect("a change must come").unwrap();
    }
}

async fn rows(ledger: &DepotLedger, key: &str) -> Vec<Upload> {
    let options = two_buckets_pipeline::ledger::ListUploads {
        key: Some(key.into()),
        ..two_buckets_pipeline::ledger::ListUploads::default()
    };
    ledger.list(&options).await.unwrap().uploads
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_lands_after_the_file_was_archived_is_a_duplicate_and_removed() {
    let host = host();
    let until = soon(&host);
    let id = host.tracker.expect(expected("a", until)).await.unwrap();
    let mut changes = changes(&host);
    // With whatever checksum either was sent: the store keeps one of its own beside it.
    let checksums = [None, Some(Algorithm::Sha256), Some(Algorithm::Crc32)];
    for (n, algorithm) in checksums.into_iter().enumerate() {
        assert!(put_new(&host, "a", b"hello", algorithm));
        let mut expected = vec![State::Duplicate; n];
        expected.push(State::Archived);
        assert_eq!(settled(&host, &mut changes, "a", n + 1).await, expected);
    }
    host.workers.drain().await;
    assert_eq!(host.bench.contents(&archive("a")), [b"hello"]);
    assert_eq!(host.bench.versions("staging"), []);
    let history = host.tracker.get(&id).await.unwrap();
    assert_eq!(history.upload.state, UploadState::Archived);
    assert!(!history.upload.is_expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_parts_and_its_retry_in_other_parts_or_in_one_are_the_same_bytes() {
    let host = host();
    let until = soon(&host);
    host.tracker.expect(expected("a", until)).await.unwrap();
    let mut changes = changes(&host);
    let (one, two) = (vec![1_u8; PART], vec![2_u8; PART + 1]);
    let whole = [one.clone(), two.clone()].concat();
    put_in_parts(&host, "a", &[&one, &two], Algorithm::Sha256);
    settled(&host, &mut changes, "a", 1).await;
    put_in_parts(&host, "a", &[&whole], Algorithm::Crc32);
    settled(&host, &mut changes, "a", 2).await;
    assert!(put_new(&host, "a", &whole, None));
    assert_eq!(
        settled(&host, &mut changes, "a", 3).await,
        [State::Duplicate, State::Duplicate, State::Archived]
    );
    host.workers.drain().await;
    assert_eq!(host.bench.contents(&archive("a")), [whole]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_under_the_key_are_a_new_upload_also_with_the_same_size() {
    let host = host();
    let until = soon(&host);
    host.tracker.expect(expected("a", until)).await.unwrap();
    let mut changes = changes(&host);
    for (n, bytes) in [b"hello", b"world", b"hello"].into_iter().enumerate() {
        assert!(put_new(&host, "a", bytes, None));
        settled(&host, &mut changes, "a", n + 1).await;
    }
    // The first bytes again: they were called a repeat, removed, and were an older version only.
    host.workers.drain().await;
    assert_eq!(
        host.bench.contents(&archive("a")),
        [b"hello", b"world", b"hello"]
    );
    assert_eq!(host.bench.versions("staging"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_what_was_deleted_by_name_is_current_again() {
    let host = host();
    host.tracker
        .expect(expected("a", soon(&host)))
        .await
        .unwrap();
    let mut changes = changes(&host);
    assert!(put_new(&host, "a", b"hello", None));
    settled(&host, &mut changes, "a", 1).await;
    // By name: a delete marker on top, the version below it stays.
    host.bench
        .depot
        .delete(&archive("a"), &Selector::Current, &WriteCondition::None)
        .unwrap();
    assert!(put_new(&host, "a", b"hello", None));
    assert_eq!(
        settled(&host, &mut changes, "a", 2).await,
        [State::Archived, State::Archived]
    );
    host.workers.drain().await;
    let depot = &host.bench.depot;
    let current = depot.head(&archive("a"), &Selector::Current).unwrap();
    assert_eq!(current.info.size_bytes, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_what_is_not_in_the_archive_any_more_is_archived_again() {
    let host = host();
    let until = soon(&host);
    host.tracker.expect(expected("a", until)).await.unwrap();
    let mut changes = changes(&host);
    assert!(put_new(&host, "a", b"hello", None));
    until_ended(&mut changes, "a", 1).await;
    let gone = rows(&host.ledger, "a").await[0].archive.clone().unwrap().at;
    host.bench
        .depot
        .transaction(|tx| tx.delete_version(&gone))
        .unwrap();
    assert!(put_new(&host, "a", b"hello", None));
    let told = until_ended(&mut changes, "a", 1).await;
    assert_eq!(told.last(), Some(&UploadState::Archived));
    host.workers.drain().await;
    assert_eq!(host.bench.contents(&archive("a")), [b"hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_copied_back_from_the_archive_is_processed_again_and_no_repeat() {
    // It was called a repeat and removed: with the archive's version deleted behind the copy, as a move does, the file
    // was hidden although somebody had just sent it.
    let host = host();
    let mut changes = changes(&host);
    host.tracker
        .expect(expected("back", soon(&host)))
        .await
        .unwrap();
    assert!(put_new(&host, "back", b"12345", None));
    assert_eq!(
        settled(&host, &mut changes, "back", 1).await,
        [State::Archived]
    );
    let depot = &host.bench.depot;
    depot
        .copy(
            &archive("back"),
            &Selector::Current,
            &staging("back"),
            CopyObject {
                condition: WriteCondition::None,
                source_etag: None,
                metadata: CopyMetadata::Keep(Vec::new()),
                tags: None,
                checksum: None,
            },
        )
        .unwrap();
    assert_eq!(
        settled(&host, &mut changes, "back", 2).await,
        [State::Archived, State::Archived]
    );
    host.workers.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_keeps_its_id_from_the_grant_to_the_archive_and_is_told_of_on_the_way() {
    let host = host();
    let mut changes = changes(&host);
    let until = soon(&host);
    let id = host.tracker.expect(expected("a", until)).await.unwrap();
    let before = host.tracker.get(&id).await.unwrap().upload;
    assert!(before.is_expected);
    assert_eq!((before.size_bytes, before.version_id), (5, None));
    assert_eq!(before.media_type.as_deref(), Some("text/plain"));
    let key = "a".parse().unwrap();
    let minted = host.tracker.minted(&key).await.unwrap().unwrap();
    assert_eq!((&minted.id, minted.has_arrived), (&id, false));
    assert_eq!(
        host.tracker.minted(&"b".parse().unwrap()).await.unwrap(),
        None
    );
    let page = host.tracker.list(all()).await.unwrap();
    assert_eq!((page.uploads.len(), page.counts.pending), (1, 1));
    assert_eq!(page.oldest_unfinished, None);

    assert!(put_new(&host, "a", b"hello", None));
    let told = until_ended(&mut changes, "a", 1).await;
    let mut order = told.clone();
    order.dedup();
    let way = [
        UploadState::Pending,
        UploadState::Processing,
        UploadState::Archived,
    ];
    assert_eq!(order, way, "{told:?}");
    let after = host.tracker.get(&id).await.unwrap().upload;
    assert_eq!((&after.id, after.state), (&id, UploadState::Archived));
    let page = host.tracker.list(all()).await.unwrap();
    assert_eq!(page.uploads.len(), 1);
    assert_eq!(page.uploads[0].id, id);
    let checksum = after.checksum.unwrap();
    assert_eq!(checksum.algorithm, Algorithm::Crc64Nvme);
    let minted = host.tracker.minted(&key).await.unwrap().unwrap();
    assert_eq!((&minted.id, minted.has_arrived), (&id, true));
    assert_eq!(host.tracker.expect(expected("a", until)).await.unwrap(), id);
    host.workers.drain().await;
    let end = tokio::time::timeout(PATIENCE, changes.next()).await;
    assert!(end.unwrap().is_none(), "the server has stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_comes_is_given_up_and_is_an_upload_like_any_other_if_it_comes_late() {
    let host = host();
    let mut changes = changes(&host);
    // Parts of it may still come.
    let begun = host
        .bench
        .depot
        .create_upload(&staging("a"), CreateUpload::default())
        .unwrap();
    let past = host.bench.depot.now();
    let id = host.tracker.expect(expected("a", past)).await.unwrap();
    host.tracker.sweep().await.unwrap();
    let waits = host.tracker.get(&id).await.unwrap().upload;
    assert_eq!(waits.state, UploadState::Pending);
    host.bench
        .depot
        .abort_upload(&staging("a"), &begun.id)
        .unwrap();
    host.tracker.sweep().await.unwrap();
    let gone = host.tracker.get(&id).await.unwrap().upload;
    assert_eq!((gone.state, gone.is_expected), (UploadState::Failed, true));
    assert!(gone.reason.unwrap().starts_with("it never arrived: "));
    match host.tracker.retry(&id).await {
        Err(Error::Conflict { reason }) => assert!(reason.contains("never arrived"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let told = until_ended(&mut changes, "a", 1).await;
    assert_eq!(told, [UploadState::Pending, UploadState::Failed]);

    assert!(put_new(&host, "a", b"hello", None));
    let told = until_ended(&mut changes, "a", 1).await;
    assert_eq!(told.last(), Some(&UploadState::Archived));
    assert!(!told.contains(&UploadState::Failed), "{told:?}");
    let late = host.tracker.get(&id).await.unwrap().upload;
    assert_eq!((late.state, late.reason), (UploadState::Archived, None));
    host.workers.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_prefix_learns_nothing_of_another() {
    let host = host();
    let mut changes = changes(&host);
    let until = soon(&host);
    for key in ["t/one/a", "t/one/b", "t/two/a"] {
        host.tracker.expect(expected(key, until)).await.unwrap();
    }
    assert!(put_new(&host, "t/one/a", b"hello", None));
    until_ended(&mut changes, "t/one/a", 1).await;
    let below = |prefix: &str| ListUploads {
        prefix: Some(prefix.into()),
        ..all()
    };
    let page = host.tracker.list(below("t/one/")).await.unwrap();
    let keys: Vec<_> = page.uploads.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["t/one/b", "t/one/a"]);
    assert_eq!((page.counts.archived, page.counts.pending), (1, 1));
    let page = host.tracker.list(below("t/two/")).await.unwrap();
    assert_eq!((page.counts.archived, page.counts.pending), (0, 1));
    host.workers.drain().await;
}

fn all() -> ListUploads {
    ListUploads {
        limit: 100,
        ..ListUploads::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_wait_for_their_row_are_told_of_listed_and_counted_once() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let idle = host();
    let tracker = LedgerTracker {
        ledger: ledger.clone(),
        store: DepotStore::new(bench.depot.clone()),
        queue: bench.queue.clone(),
        facts: idle.tracker.facts.clone(),
        sweeper: idle.workers.sweep_handle(),
    };
    let mut changes = tracker.changes().boxed();
    let until = bench.depot.now().after(Duration::from_mins(1));
    let declared = Expected {
        checksum: Some(Checksum {
            algorithm: Algorithm::Sha256,
            kind: ChecksumKind::FullObject,
            value: [7; 32].into(),
        }),
        ..expected("t/minted", until)
    };
    let id = tracker.expect(declared.clone()).await.unwrap();
    let before = tracker.get(&id).await.unwrap().upload;
    assert_eq!(before.checksum, declared.checksum);
    bench.put("t/minted", b"hello");
    bench.put("t/other", b"hello!");
    let mut told = Vec::new();
    for _ in 0..3 {
        let change = tokio::time::timeout(PATIENCE, changes.next()).await;
        let Some(Change::Upload(upload)) = change.unwrap() else {
            panic!("an upload must be told of");
        };
        assert_eq!(upload.state, UploadState::Pending);
        told.push((
            upload.key.to_string(),
            upload.is_expected,
            upload.size_bytes,
        ));
    }
    told.sort();
    let arrived = ("t/minted".to_owned(), false, 5);
    assert!(told.contains(&arrived), "{told:?}");
    assert!(told.contains(&("t/other".to_owned(), false, 6)), "{told:?}");
    for prefix in [None, Some("t/".to_owned())] {
        let page = tracker.list(ListUploads { prefix, ..all() }).await.unwrap();
        assert_eq!(page.counts.pending, 2);
        let keys: Vec<_> = page.uploads.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys.len(), 2, "{keys:?}");
        let minted = page.uploads.iter().find(|row| row.id == id).unwrap();
        assert!(!minted.is_expected);
        assert_eq!(minted.checksum, None, "nobody has looked at what came");
        assert_eq!(page.oldest_unfinished.unwrap().key.as_str(), "t/minted");
    }
    let other = ListUploads {
        prefix: Some("u/".into()),
        ..all()
    };
    let page = tracker.list(other).await.unwrap();
    assert_eq!((page.uploads, page.counts.pending), (Vec::new(), 0));
    let minted = tracker.minted(&"t/minted".parse().unwrap()).await.unwrap();
    assert!(minted.unwrap().has_arrived);
    // What came counts from now on, though no worker has seen it.
    let other = Expected {
        size_bytes: Some(6),
        ..declared.clone()
    };
    match tracker.expect(other).await {
        Err(Error::Conflict { reason }) => assert!(reason.contains("of 5 bytes"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(tracker.expect(declared).await.unwrap(), id);
    idle.workers.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_no_list_gave_is_refused() {
    let host = host();
    for odd in ["nonsense", "a.b", "", "00000000000000FF", "../.."] {
        let query = ListUploads {
            after: Some(Cursor(odd.into())),
            ..all()
        };
        let page = host.tracker.list(query).await;
        assert!(
            matches!(page, Err(Error::Refused { .. })),
            "{odd}: {page:?}"
        );
    }
    host.workers.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_minted_is_there_after_a_crash() {
    let storage = Arc::new(MemoryStorage::new());
    let until = Timestamp::from_millis(1_000);
    let before = {
        let bench = bench::open(Arc::clone(&storage));
        let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
        let expectation = Expectation {
            size_bytes: Some(5),
            ..Expectation::until(until)
        };
        let now = bench.depot.now();
        ledger.mint(&staging("a"), &expectation, now).await.unwrap()
    };
    for seed in 0..8 {
        let bench = bench::open(Arc::new(storage.after_crash(seed)));
        let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
        let found = ledger.minted_for(&staging("a")).await.unwrap();
        assert_eq!(found.as_ref(), Some(&before));
    }
}
