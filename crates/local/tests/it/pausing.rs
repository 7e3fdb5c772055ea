//! Pausing: nothing new is processed, nothing is forgotten, and it outlives the server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::Semaphore;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_local::{DepotLedger, DepotStore, LedgerTracker, WorkerOptions, Workers};
use two_buckets_pipeline::{
    Holder, Incoming, Ledger as _, ProcessError, Processor, Report, Settings,
};
use two_buckets_uploads::{Change, ListUploads, Tracker as _};

use crate::bench::{self, Bench, archive, bucket};
use crate::minted::facts;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A function that begins when it is called and ends when it is let.
#[derive(Clone)]
pub(crate) struct Gated {
    began: Arc<Mutex<Vec<String>>>,
    pub(crate) gate: Arc<Semaphore>,
    most_at_once: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
}

impl Gated {
    pub(crate) fn new(free: usize) -> Self {
        Self {
            began: Arc::default(),
            gate: Arc::new(Semaphore::new(free)),
            most_at_once: Arc::default(),
            at_once: Arc::default(),
        }
    }

    pub(crate) fn began(&self) -> Vec<String> {
        self.began.lock().unwrap().clone()
    }
}

impl Processor for Gated {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        self.began
            .lock()
            .unwrap()
            .push(upload.source.at.key.to_string());
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(Report::default())
    }
}

pub(crate) struct Server {
    pub(crate) bench: Bench,
    pub(crate) ledger: DepotLedger,
    workers: Workers<Gated>,
    pub(crate) tracker: LedgerTracker<Gated>,
}

pub(crate) fn start(bench: Bench, function: &Gated, workers: usize) -> Server {
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let running = Workers::start(
        bench.depot.clone(),
        ledger.clone(),
        bench.queue.clone(),
        function.clone(),
        Settings::new(bucket("staging"), bucket("archive"), Holder("test".into())),
        &WorkerOptions {
            workers,
            ..WorkerOptions::default()
        },
    )
    .unwrap();
    let tracker = LedgerTracker {
        facts: facts(bucket("staging"), bucket("archive")),
        ledger: ledger.clone(),
        store: DepotStore::new(bench.depot.clone()),
        queue: bench.queue.clone(),
        sweeper: running.sweep_handle(),
    };
    Server {
        bench,
        ledger,
        workers: running,
        tracker,
    }
}

impl Server {
    pub(crate) async fn archived(&mut self, count: usize) {
        for _ in 0..count {
            tokio::time::timeout(PATIENCE, self.bench.archived.recv())
                .await
                .expect("an upload must be archived")
                .unwrap();
        }
    }

    /// Sweeps, which looks at everything that is due, so often that whatever may begin has time to.
    async fn swept(&self, listed: u64) {
        for _ in 0..50 {
            let swept = self.tracker.sweep().await.unwrap();
            assert_eq!((swept.listed, swept.finished), (listed, 0), "{swept:?}");
        }
    }

    /// Stops it, and with it everything that has the store open.
    pub(crate) async fn stop(self) {
        self.workers.drain().await;
    }

    async fn pending(&self) -> u64 {
        let all = ListUploads {
            limit: 10,
            ..ListUploads::default()
        };
        self.tracker.list(all).await.unwrap().counts.pending
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_work_ends_and_nothing_else_begins_until_it_is_resumed() {
    let function = Gated::new(0);
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    // Its worker would take the second version next, in the same turn.
    bench.put("in work", b"1");
    bench.put("in work", b"2");
    let mut server = start(bench, &function, 4);
    while function.began().is_empty() {
        tokio::task::yield_now().await;
    }
    let why = Some("the database is away".to_owned());
    let paused = server.tracker.pause(why.clone()).await.unwrap();
    assert_eq!(paused.reason, why);
    for n in 0..50 {
        server.bench.put(&format!("waits {n}"), b"x");
    }
    function.gate.add_permits(100);
    server.archived(1).await;
    server.swept(51).await;
    assert_eq!(function.began(), ["in work"]);
    assert_eq!(server.bench.contents(&archive("in work")), [b"1"]);
    assert_eq!(server.pending().await, 51, "the backlog is seen");
    let facts = server.tracker.server().await.unwrap();
    assert_eq!(facts.paused, Some(paused));

    assert!(server.tracker.resume().await.unwrap().is_some());
    server.archived(51).await;
    assert_eq!(server.tracker.server().await.unwrap().paused, None);
    assert_eq!(server.bench.contents(&archive("in work")), [b"1", b"2"]);
    assert!(
        function.most_at_once.load(Ordering::SeqCst) <= 4,
        "no more at once than there are workers"
    );
    assert_eq!(server.bench.versions("staging"), []);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_the_server_and_its_time_and_reason_stay() {
    let function = Gated::new(100);
    let storage = Arc::new(MemoryStorage::new());
    let server = start(bench::open(Arc::clone(&storage)), &function, 4);
    let first = server.tracker.pause(Some("a".into())).await.unwrap();
    // Paused again without a reason it says what it said; with one it says that.
    assert_eq!(server.tracker.pause(None).await.unwrap(), first);
    let again = server.tracker.pause(Some("b".into())).await.unwrap();
    assert_eq!(
        (again.since, again.reason.as_deref()),
        (first.since, Some("b"))
    );
    server.bench.put("waits", b"x");
    server.stop().await;

    let mut server = start(bench::open(Arc::clone(&storage)), &function, 4);
    server.swept(1).await;
    assert!(function.began().is_empty());
    assert_eq!(server.tracker.server().await.unwrap().paused, Some(again));
    server.tracker.resume().await.unwrap();
    server.archived(1).await;
    server.stop().await;
    // What was resumed stays so.
    let server = start(bench::open(Arc::clone(&storage)), &function, 4);
    assert_eq!(server.tracker.server().await.unwrap().paused, None);
    assert_eq!(server.ledger.counts().await.unwrap().archived, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_learns_of_a_pause_and_of_its_end() {
    let function = Gated::new(100);
    let server = start(bench::open(Arc::new(MemoryStorage::new())), &function, 1);
    let mut changes = Box::pin(server.tracker.changes());
    let next = async |changes: &mut (dyn futures::Stream<Item = Change> + Unpin + Send)| {
        tokio::time::timeout(PATIENCE, changes.next())
            .await
            .expect("a change must be told of")
    };
    server.tracker.pause(None).await.unwrap();
    assert_eq!(next(&mut changes).await, Some(Change::Missed));
    server.tracker.resume().await.unwrap();
    assert_eq!(next(&mut changes).await, Some(Change::Missed));
    server.stop().await;
}
