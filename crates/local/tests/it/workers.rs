use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use two_buckets_depot::storage::MemoryStorage;
use two_buckets_local::{DepotLedger, WorkerOptions, Workers};
use two_buckets_objects::read_to_bytes;
use two_buckets_pipeline::ledger::{Ledger, ListUploads};
use two_buckets_pipeline::{Holder, Incoming, ProcessError, Processor, Report, Settings, State};

use crate::bench::{self, Bench, archive, bucket, put, staging};

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A function made of a closure over the bytes and the run's number.
struct Function<F>(F);

impl<F> Processor for Function<F>
where
    F: Fn(&[u8], u32) -> Result<Report, ProcessError> + Send + Sync + 'static,
{
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let body = upload.content.read(None).await.unwrap();
        let bytes = read_to_bytes(body, 1 << 20).await.unwrap();
        (self.0)(&bytes, upload.attempt)
    }
}

fn report(bytes: &[u8]) -> Report {
    Report::new(format!("{{\"bytes\":{}}}", bytes.len())).unwrap()
}

fn start<P: Processor>(bench: &Bench, ledger: &DepotLedger, processor: P) -> Workers<P> {
    Workers::start(
        bench.depot.clone(),
        ledger.clone(),
        bench.queue.clone(),
        processor,
        Settings::new(bucket("staging"), bucket("archive"), Holder("test".into())),
        &WorkerOptions::default(),
    )
    .unwrap()
}

async fn archived(bench: &mut Bench, count: usize) {
    for _ in 0..count {
        tokio::time::timeout(PATIENCE, bench.archived.recv())
            .await
            .expect("an upload must be archived")
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_put_into_staging_is_processed_and_archived_and_its_report_kept() {
    let mut bench = bench::open(Arc::new(MemoryStorage::new()));
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let workers = start(
        &bench,
        &ledger,
        Function(|bytes: &[u8], _| Ok(report(bytes))),
    );
    bench.put("a/b.txt", b"hello");
    archived(&mut bench, 1).await;
    workers.drain().await;
    assert_eq!(bench.versions("staging"), []);
    assert_eq!(bench.contents(&archive("a/b.txt")), [b"hello"]);
    let page = ledger.list(&ListUploads::default()).await.unwrap();
    let [upload] = page.uploads.as_slice() else {
        panic!("{page:?}");
    };
    assert_eq!(
        (upload.state, upload.attempts, upload.closed),
        (State::Archived, 1, true)
    );
    assert_eq!(upload.report.as_ref().unwrap().as_str(), "{\"bytes\":5}");
    assert_eq!(ledger.counts().await.unwrap().archived, 1);
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_overwritten_while_its_first_version_is_in_work_is_archived_twice_in_order() {
    let mut bench = bench::open(Arc::new(MemoryStorage::new()));
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let depot = bench.depot.clone();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let workers = start(
        &bench,
        &ledger,
        Function(move |bytes: &[u8], _| {
            if bytes == b"one" {
                put(&depot, &staging("a"), b"two");
            }
            log.lock().unwrap().push(bytes.to_vec());
            Ok(report(bytes))
        }),
    );
    bench.put("a", b"one");
    archived(&mut bench, 2).await;
    workers.drain().await;
    assert_eq!(*seen.lock().unwrap(), [b"one", b"two"]);
    assert_eq!(bench.contents(&archive("a")), [b"one", b"two"]);
    assert_eq!(bench.versions("staging"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_while_nobody_worked_is_found_by_the_sweep_at_start() {
    let mut bench = bench::open(Arc::new(MemoryStorage::new()));
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    for n in 0..50 {
        bench.put(&format!("k{n}"), b"x");
    }
    while let Some(Some(woken)) = futures::FutureExt::now_or_never(bench.queue.next()) {
        drop(woken);
    }
    let workers = start(
        &bench,
        &ledger,
        Function(|bytes: &[u8], _| Ok(report(bytes))),
    );
    archived(&mut bench, 50).await;
    workers.drain().await;
    assert_eq!(bench.versions("staging"), []);
    assert_eq!(ledger.counts().await.unwrap().archived, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_function_is_an_attempt_and_holds_up_nobody() {
    let mut bench = bench::open(Arc::new(MemoryStorage::new()));
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let workers = start(
        &bench,
        &ledger,
        Function(|bytes: &[u8], _| {
            assert_ne!(bytes, b"poison", "it does not like this one");
            Ok(report(bytes))
        }),
    );
    bench.put("bad", b"poison");
    bench.put("bad", b"later version");
    bench.put("good", b"fine");
    archived(&mut bench, 2).await;
    workers.drain().await;
    let failed = ledger
        .list(&ListUploads {
            state: Some(State::Failed),
            ..ListUploads::default()
        })
        .await
        .unwrap();
    let [upload] = failed.uploads.as_slice() else {
        panic!("{failed:?}");
    };
    assert_eq!(upload.attempts, 5);
    assert!(upload.reason.as_ref().unwrap().contains("does not like"));
    assert_eq!(bench.versions("staging").len(), 1);
    assert_eq!(bench.contents(&archive("bad")), [b"later version"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn drained_workers_have_the_store_open_no_longer() {
    let storage = Arc::new(MemoryStorage::new());
    // Each start begins a sweep, and many of these stop while it is in a call.
    for started in 0..200 {
        let bench = bench::open(Arc::clone(&storage));
        let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
        let workers = start(
            &bench,
            &ledger,
            Function(|bytes: &[u8], _| Ok(report(bytes))),
        );
        for _ in 0..started % 8 {
            tokio::task::yield_now().await;
        }
        workers.drain().await;
    }
}
