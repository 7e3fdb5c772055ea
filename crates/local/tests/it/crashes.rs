//! The driver dies before or after each of its effects, once each; then the store is opened again and swept.
//! Both ways are tried: step by step as on a store that knows no ledger, and in one transaction as on this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_local::{DepotClock, DepotLedger, DepotStore, WakeQueue};
use two_buckets_objects::{
    Body, BucketName, ByteRange, Capabilities as StoreCapabilities, CopyOptions, ListVersions,
    ListedVersion, ObjectInfo, ObjectRef, ObjectStore, PutOptions, Timestamp, VersionPage,
    VersionRef, Written,
};
use two_buckets_pipeline::archive::Mark;
use two_buckets_pipeline::ledger::{
    Capabilities, Claim, ClaimKey, Counts, KeptLog, Ledger, ListUploads, MoveUpload, MovedInOne,
    Noted, Release, Result, Said, SourceFacts, StartUpload, Started, UploadPage,
};
use two_buckets_pipeline::{
    ArchiveRecord, Begin, Driver, End, Expectation, Holder, Incoming, Lease, ProcessError,
    Processor, Report, Settings, State, Sweeper, Upload, UploadId, Why,
};

use crate::bench::{self, Bench, archive, bucket, staging};

/// When to die.
#[derive(Default)]
pub(crate) struct Plan {
    effects: AtomicUsize,
    /// At this effect, from 1; never if 0.
    at: usize,
    /// Whether the effect happens and its answer does not come.
    is_after: bool,
    died: tokio::sync::Notify,
    /// Keys of which the store says nothing.
    unreadable: Vec<String>,
    /// Keys of which the ledger says nothing.
    unknown: Vec<String>,
    /// Keys whose rows are another program's.
    foreign: Vec<String>,
}

impl Plan {
    async fn run<T>(&self, effect: impl Future<Output = T>) -> T {
        let is_it = self.effects.fetch_add(1, Ordering::Relaxed) + 1 == self.at;
        if is_it && !self.is_after {
            self.die().await;
        }
        let answer = effect.await;
        if is_it {
            self.die().await;
        }
        answer
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

pub(crate) struct Mortal<T> {
    inner: T,
    plan: Arc<Plan>,
    is_in_one: bool,
}

impl<T> Mortal<T> {
    /// One that lives, and moves uploads step by step.
    pub(crate) fn step_by_step(inner: T) -> Self {
        Self {
            inner,
            plan: Arc::default(),
            is_in_one: false,
        }
    }
}

macro_rules! mortal {
    ($(async fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(async fn $name(&self $(, $arg: $type)*) -> $out {
            self.plan.run(self.inner.$name($($arg),*)).await
        })*
    };
}

impl ObjectStore for Mortal<DepotStore> {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn head_version(&self, at: &VersionRef) -> two_buckets_objects::Result<ObjectInfo> {
        if self
            .plan
            .unreadable
            .iter()
            .any(|key| key == at.key.as_str())
        {
            return Err(two_buckets_objects::Error::Unavailable {
                reason: "it is under a key of somebody else".into(),
                source: None,
            });
        }
        self.plan.run(self.inner.head_version(at)).await
    }

    mortal! {
        async fn head(&self, at: &ObjectRef) -> two_buckets_objects::Result<ObjectInfo>;
        async fn read_version(&self, at: &VersionRef, range: Option<ByteRange>) -> two_buckets_objects::Result<Body>;
        async fn put(&self, to: &ObjectRef, body: Body, options: PutOptions) -> two_buckets_objects::Result<Written>;
        async fn copy_version(&self, from: &VersionRef, to: &ObjectRef, options: CopyOptions) -> two_buckets_objects::Result<Written>;
        async fn delete_version(&self, at: &VersionRef) -> two_buckets_objects::Result<()>;
        async fn has_open_multipart(&self, at: &ObjectRef) -> two_buckets_objects::Result<bool>;
        async fn list_versions(&self, bucket: &BucketName, options: ListVersions) -> two_buckets_objects::Result<VersionPage>;
    }
}

impl Ledger for Mortal<DepotLedger> {
    fn capabilities(&self) -> Capabilities {
        if self.is_in_one {
            self.inner.capabilities()
        } else {
            Capabilities::default()
        }
    }

    async fn find(&self, version: &VersionRef) -> Result<Option<Upload>> {
        let unknown = &self.plan.unknown;
        if unknown.iter().any(|key| key == version.key.as_str()) {
            return Err(two_buckets_pipeline::ledger::Error::Unavailable {
                reason: "it does not answer for this key".into(),
                source: None,
            });
        }
        let foreign = &self.plan.foreign;
        if foreign.iter().any(|key| key == version.key.as_str()) {
            return Err(two_buckets_pipeline::ledger::Error::Unreadable {
                reason: "a newer program wrote it".into(),
            });
        }
        self.plan.run(self.inner.find(version)).await
    }

    mortal! {
        async fn claim(&self, claim: &ClaimKey) -> Result<Claim>;
        async fn renew(&self, lease: &Lease, expires_at: Timestamp) -> Result<Lease>;
        async fn release(&self, lease: &Lease) -> Result<Release>;
        async fn live_lease(&self, key: &ObjectRef, now: Timestamp) -> Result<Option<Lease>>;
        async fn note(&self, lease: &Lease, versions: &[ListedVersion]) -> Result<Noted>;
        async fn begin_attempt(&self, lease: &Lease, id: &UploadId, facts: &SourceFacts, attempts_max: u32, now: Timestamp) -> Result<Begin>;
        async fn end(&self, lease: &Lease, id: &UploadId, end: &End, now: Timestamp) -> Result<Upload>;
        async fn record_archived(&self, lease: &Lease, id: &UploadId, record: &ArchiveRecord, is_late: bool, report: Option<&Report>, now: Timestamp) -> Result<Upload>;
        async fn keep_said(&self, id: &UploadId, attempt: u32, said: &Said) -> Result<()>;
        async fn logs(&self, id: &UploadId) -> Result<Vec<KeptLog>>;
        async fn close(&self, lease: &Lease, id: &UploadId) -> Result<()>;
        async fn queue_job(&self, lease: &Lease, id: &UploadId, now: Timestamp) -> Result<Upload>;
        async fn jobs(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>;
        async fn job_lease(&self, id: &UploadId) -> Result<Option<Lease>>;
        async fn cancel_job(&self, id: &UploadId, now: Timestamp) -> Result<Upload>;
        async fn start(&self, start: &StartUpload) -> Result<Started>;
        async fn move_in_one(&self, lease: &Lease, upload: &MoveUpload) -> Result<MovedInOne>;
        async fn mint(&self, key: &ObjectRef, expectation: &Expectation, now: Timestamp) -> Result<Upload>;
        async fn minted_for(&self, key: &ObjectRef) -> Result<Option<Upload>>;
        async fn overdue(&self, now: Timestamp, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>;
        async fn expire(&self, id: &UploadId, now: Timestamp) -> Result<Upload>;
        async fn get(&self, id: &UploadId) -> Result<Option<Upload>>;
        async fn unfinished_of(&self, key: &ObjectRef) -> Result<Vec<Upload>>;
        async fn unfinished(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>;
        async fn oldest_unfinished(&self) -> Result<Option<Upload>>;
        async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Upload>>;
        async fn list(&self, options: &ListUploads) -> Result<UploadPage>;
        async fn counts(&self) -> Result<Counts>;
        async fn retry(&self, id: &UploadId) -> Result<Upload>;
    }
}

/// A function that dies where the plan says, too.
pub(crate) struct Function(Arc<Plan>);

impl Processor for Function {
    async fn process(&self, upload: Incoming) -> std::result::Result<Report, ProcessError> {
        self.0.run(std::future::ready(())).await;
        Ok(Report::new(format!("{{\"size\":{}}}", upload.source.size_bytes)).unwrap())
    }
}

pub(crate) type TestDriver =
    Driver<Mortal<DepotStore>, Mortal<DepotLedger>, Function, DepotClock, WakeQueue>;

pub(crate) fn driver(bench: &Bench, plan: &Arc<Plan>, is_in_one: bool) -> TestDriver {
    Driver {
        store: Arc::new(Mortal {
            inner: DepotStore::new(bench.depot.clone()),
            plan: Arc::clone(plan),
            is_in_one,
        }),
        // A new opening: leases of the process before are void.
        ledger: Arc::new(Mortal {
            inner: DepotLedger::open(bench.depot.clone()).unwrap(),
            plan: Arc::clone(plan),
            is_in_one,
        }),
        processor: Arc::new(Function(Arc::clone(plan))),
        clock: Arc::new(DepotClock(bench.depot.clone())),
        wake_ups: Arc::new(bench.queue.clone()),
        random: Arc::new(|| 0),
        settings: Settings::new(bucket("staging"), bucket("archive"), Holder("test".into())),
    }
}

pub(crate) async fn work_off(driver: &TestDriver, queue: &WakeQueue) {
    while let Some(Some(woken)) = queue.next().now_or_never() {
        driver
            .run(&woken.wake_up.key, woken.wake_up.why, &|| false)
            .await;
    }
}

/// Expects uploads under these keys until a moment that is past.
async fn mint(bench: &Bench, names: &[&str]) -> Vec<UploadId> {
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let mut ids = Vec::new();
    for name in names {
        let until = Expectation::until(Timestamp::from_millis(1));
        let now = Timestamp::from_millis(0);
        let row = ledger.mint(&staging(name), &until, now).await.unwrap();
        ids.push(row.id);
    }
    ids
}

/// Dies at one effect, starts anew and sweeps. Says whether there was such an effect.
async fn die_and_recover(at: usize, is_after: bool, is_in_one: bool) -> bool {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let large = vec![7_u8; 5_000];
    bench.put("a", b"one");
    bench.put("a", b"two");
    bench.put("a/b", &large);
    bench.put("ab", b"");
    let expected = mint(&bench, &["minted", "never"]).await;
    bench.put("minted", b"once");
    bench.put("minted", b"once");
    bench.put("minted", b"more");
    let mortal = Arc::new(Plan {
        at,
        is_after,
        ..Plan::default()
    });
    let before = driver(&bench, &mortal, is_in_one);
    let has_died = {
        let work = Box::pin(async {
            work_off(&before, &bench.queue).await;
            let sweeper = Sweeper { driver: &before };
            sweeper.sweep(&|| false).await.unwrap();
        });
        let died = Box::pin(mortal.died.notified());
        matches!(select(work, died).await, Either::Right(_))
    };
    drop(before);

    let alive = Arc::default();
    let after = driver(&bench, &alive, is_in_one);
    let sweeper = Sweeper { driver: &after };
    sweeper.sweep(&|| false).await.unwrap();
    work_off(&after, &bench.queue).await;

    let told = format!("effect {at}, after it: {is_after}, in one: {is_in_one}");
    assert_eq!(bench.versions("staging"), [], "{told}");
    assert_eq!(bench.contents(&archive("a")), [b"one", b"two"], "{told}");
    assert_eq!(bench.contents(&archive("a/b")), [large], "{told}");
    assert_eq!(bench.contents(&archive("ab")), [b""], "{told}");
    assert_eq!(
        bench.contents(&archive("minted")),
        [b"once", b"more"],
        "{told}"
    );
    let counts = after.ledger.counts().await.unwrap();
    let all = Counts {
        archived: 6,
        duplicate: 1,
        failed: 1,
        ..Counts::default()
    };
    assert_eq!(counts, all, "{told}");
    assert_eq!(
        after.ledger.oldest_unfinished().await.unwrap(),
        None,
        "{told}"
    );
    for upload in after
        .ledger
        .list(&ListUploads::default())
        .await
        .unwrap()
        .uploads
    {
        match upload.state {
            State::Duplicate => {
                let reason = upload.reason.unwrap();
                assert!(reason.ends_with(expected[0].as_str()), "{told}: {reason}");
                continue;
            }
            State::Failed => {
                assert_eq!(upload.id, expected[1], "{told}");
                continue;
            }
            _ => {}
        }
        assert!((1..=2).contains(&upload.attempts), "{told}");
        let record = upload.archive.as_ref().unwrap();
        let info = after.store.head_version(&record.at).await.unwrap();
        let mark = Mark::of(&info.metadata).unwrap();
        assert_eq!(
            mark.source_version,
            upload.staged.unwrap().version_id,
            "{told}"
        );
    }
    has_died
}

async fn die_at_each_effect(is_in_one: bool, effects_min: usize) {
    for is_after in [false, true] {
        let mut at = 1;
        while die_and_recover(at, is_after, is_in_one).await {
            at += 1;
        }
        assert!(at > effects_min, "only {at} effects were seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_step_loses_and_doubles_nothing() {
    die_at_each_effect(false, 70).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_around_any_transaction_loses_and_doubles_nothing() {
    die_at_each_effect(true, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_come_and_waits_for_a_worker_is_not_given_up_though_its_moment_is_past() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let ids = mint(&bench, &["a", "never"]).await;
    bench.put("a", b"one");
    // Its wake-up is lost.
    drop(bench.queue.next().now_or_never());
    let driver = driver(&bench, &Arc::default(), true);
    let swept = Sweeper { driver: &driver }.sweep(&|| false).await.unwrap();
    assert_eq!(swept.expired, 1);
    let states = async || {
        let mut states = Vec::new();
        for id in &ids {
            states.push(driver.ledger.get(id).await.unwrap().unwrap().state);
        }
        states
    };
    assert_eq!(states().await, [State::Pending, State::Failed]);
    work_off(&driver, &bench.queue).await;
    assert_eq!(states().await, [State::Archived, State::Failed]);
}

/// An upload in an attempt whose worker died.
async fn interrupted(bench: &Bench, key: &str) -> VersionRef {
    let version_id = bench.put(key, b"one");
    let mortal = Arc::new(Plan {
        at: 6,
        ..Plan::default()
    });
    let before = driver(bench, &mortal, false);
    let at = staging(key);
    let work = Box::pin(before.run(&at, Why::Event, &|| false));
    let died = Box::pin(mortal.died.notified());
    assert!(matches!(select(work, died).await, Either::Right(_)));
    VersionRef {
        bucket: at.bucket,
        key: at.key,
        version_id,
    }
}

/// Uploads in an attempt whose worker died, and whose versions were deleted since.
async fn gone(bench: &Bench, keys: &[String]) -> Vec<VersionRef> {
    let mut gone = Vec::new();
    for key in keys {
        let version = interrupted(bench, key).await;
        DepotStore::new(bench.depot.clone())
            .delete_version(&version)
            .await
            .unwrap();
        gone.push(version);
    }
    gone
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_went_away_before_it_was_archived_is_explained_by_the_sweep() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let gone = gone(&bench, &["a".into()]).await;
    let alive = Arc::default();
    let after = driver(&bench, &alive, true);
    let swept = Sweeper { driver: &after }.sweep(&|| false).await.unwrap();
    assert_eq!((swept.explained, swept.finished), (1, 0));
    let upload = after.ledger.find(&gone[0]).await.unwrap().unwrap();
    assert_eq!(upload.state, State::Failed);
    assert!(upload.reason.unwrap().contains("deleted from staging"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_passes_over_what_cannot_be_read_and_says_so() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let gone = gone(&bench, &["a".into(), "b".into(), "c".into()]).await;
    let never = mint(&bench, &["never"]).await;
    let plan = Arc::new(Plan {
        unreadable: vec!["b".into()],
        ..Plan::default()
    });
    let after = driver(&bench, &plan, true);
    let swept = Sweeper { driver: &after }.sweep(&|| false).await.unwrap();
    assert_eq!(
        (swept.explained, swept.passed_over, swept.expired),
        (2, 1, 1)
    );
    let states = async || {
        let mut states = Vec::new();
        for version in &gone {
            states.push(after.ledger.find(version).await.unwrap().unwrap().state);
        }
        states
    };
    assert_eq!(
        states().await,
        [State::Failed, State::Processing, State::Failed]
    );
    let row = after.ledger.get(&never[0]).await.unwrap().unwrap();
    assert_eq!(row.state, State::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_ends_when_nothing_can_be_read() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let keys: Vec<String> = (0..10).map(|n| format!("k/{n}")).collect();
    gone(&bench, &keys).await;
    let plan = Arc::new(Plan {
        unreadable: keys,
        ..Plan::default()
    });
    let after = driver(&bench, &plan, true);
    let error = Sweeper { driver: &after }.sweep(&|| false).await;
    assert!(error.unwrap_err().to_string().contains("somebody else"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_passes_over_a_key_whose_row_cannot_be_read_and_wakes_all_others() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    for key in ["a", "b", "b", "c"] {
        bench.put(key, b"one");
    }
    // Their wake-ups are lost.
    while bench.queue.next().now_or_never().flatten().is_some() {}
    let plan = Arc::new(Plan {
        unknown: vec!["b".into()],
        ..Plan::default()
    });
    let driver = driver(&bench, &plan, true);
    let swept = Sweeper { driver: &driver }.sweep(&|| false).await.unwrap();
    assert_eq!((swept.woken, swept.passed_over), (2, 1));
    work_off(&driver, &bench.queue).await;
    let left: Vec<_> = bench
        .versions("staging")
        .into_iter()
        .map(|left| left.key)
        .collect();
    assert_eq!(left, ["b".parse().unwrap(), "b".parse().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_ends_when_no_row_can_be_read() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let keys: Vec<String> = (0..10).map(|n| format!("k/{n}")).collect();
    for key in &keys {
        bench.put(key, b"one");
    }
    let plan = Arc::new(Plan {
        unknown: keys,
        ..Plan::default()
    });
    let driver = driver(&bench, &plan, true);
    let error = Sweeper { driver: &driver }.sweep(&|| false).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("does not answer"), "{error}");
}

/// They stay so, and say nothing of the others; they count as waiting, so that whoever watches the oldest hears of them.
#[tokio::test(flavor = "multi_thread")]
async fn however_many_rows_are_another_programs_a_sweep_wakes_the_others() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let foreign: Vec<String> = (0..12).map(|n| format!("k/{n}")).collect();
    for key in &foreign {
        bench.put(key, b"one");
    }
    let first = bench
        .versions("staging")
        .into_iter()
        .map(|it| it.last_modified)
        .min();
    // Beside the others it has a row already.
    interrupted(&bench, "z").await;
    while bench.queue.next().now_or_never().flatten().is_some() {}
    let plan = Arc::new(Plan {
        foreign,
        ..Plan::default()
    });
    let driver = driver(&bench, &plan, true);
    let swept = Sweeper { driver: &driver }.sweep(&|| false).await.unwrap();
    assert_eq!(swept.passed_over, 12);
    assert!(first.is_some());
    assert_eq!(swept.oldest_unnoted, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_asks_for_no_version_that_it_has_listed() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    interrupted(&bench, "a").await;
    let plan = Arc::new(Plan {
        unreadable: vec!["a".into()],
        ..Plan::default()
    });
    let driver = driver(&bench, &plan, true);
    let swept = Sweeper { driver: &driver }.sweep(&|| false).await.unwrap();
    assert_eq!((swept.listed, swept.passed_over), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_up_for_another_bucket_than_staging_moves_and_deletes_nothing() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    bench::put(&bench.depot, &archive("a"), b"one");
    bench::put(&bench.depot, &archive("a"), b"two");
    let before = bench.versions("archive");
    let driver = driver(&bench, &Arc::default(), true);
    driver.run(&archive("a"), Why::Event, &|| false).await;
    driver.run(&archive("a"), Why::Gone, &|| false).await;
    assert_eq!(bench.versions("archive"), before);
    assert_eq!(driver.ledger.counts().await.unwrap(), Counts::default());
}

/// How many effects it takes to finish an upload whose worker died behind this effect, where the archive had so many
/// versions of the key, as large as the upload, an hour before. None if it had not copied it by then.
async fn effects_to_recover(at: usize, older: usize) -> Option<usize> {
    let hours = Arc::new(AtomicU64::new(0));
    let ticks = bench::ticking();
    let clock = {
        let hours = Arc::clone(&hours);
        Arc::new(move || ticks().after(Duration::from_hours(hours.load(Ordering::Relaxed))))
    };
    let bench = bench::open_by(Arc::new(MemoryStorage::new()), clock);
    for _ in 0..older {
        bench::put(&bench.depot, &archive("a"), b"old");
    }
    hours.store(1, Ordering::Relaxed);
    bench.put("a", b"new");
    let mortal = Arc::new(Plan {
        at,
        is_after: true,
        ..Plan::default()
    });
    let before = driver(&bench, &mortal, false);
    let key = staging("a");
    {
        let work = Box::pin(before.run(&key, Why::Event, &|| false));
        let died = Box::pin(mortal.died.notified());
        assert!(matches!(select(work, died).await, Either::Right(_)));
    }
    if bench.versions("archive").len() == older {
        return None;
    }
    let alive = Arc::default();
    let after = driver(&bench, &alive, false);
    after.run(&key, Why::Event, &|| false).await;
    assert_eq!(bench.versions("archive").len(), older + 1);
    assert_eq!(bench.versions("staging"), []);
    Some(alive.effects.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_archived_and_not_recorded_is_found_without_a_look_at_all_that_is_older() {
    let mut at = 1;
    let with_one = loop {
        match effects_to_recover(at, 1).await {
            Some(effects) => break effects,
            None => at += 1,
        }
    };
    assert_eq!(effects_to_recover(at, 40).await, Some(with_one));
}
