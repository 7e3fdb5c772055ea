//! A worker that stood still past its lease, on a store that moves step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use two_buckets_depot::Depot;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_local::{DepotClock, DepotLedger, DepotStore, WakeQueue};
use two_buckets_objects::{CopyOptions, ObjectStore, VersionRef, WriteCondition};
use two_buckets_pipeline::ledger::{Claim, ClaimKey, Counts, Ledger, SourceFacts};
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{
    Begin, Driver, Holder, Incoming, ProcessError, Processor, Report, Settings, State, Sweeper,
    Upload, WakeUp, Why,
};

use crate::bench::{self, Bench, archive, bucket, staging};
use crate::crashes::Mortal;

/// A function during which an hour passes that the worker does not see; another one may claim the key then.
struct Stall {
    hours: Arc<AtomicU64>,
    ledger: DepotLedger,
    depot: Depot,
    is_claimed: bool,
}

impl Processor for Stall {
    async fn process(&self, _: Incoming) -> Result<Report, ProcessError> {
        self.hours.store(1, Ordering::Relaxed);
        if self.is_claimed {
            let claim = ClaimKey {
                key: staging("a"),
                holder: Holder("another".into()),
                now: self.depot.now(),
                life: Duration::from_secs(30),
                job: None,
            };
            let claimed = self.ledger.claim(&claim).await.unwrap();
            assert!(matches!(claimed, Claim::Held(_)));
        }
        Ok(Report::new("{}".into()).unwrap())
    }
}

async fn stopped(is_claimed: bool) -> (Stopped, usize, Counts) {
    let hours = Arc::new(AtomicU64::new(0));
    let ticks = bench::ticking();
    let clock = {
        let hours = Arc::clone(&hours);
        Arc::new(move || ticks().after(Duration::from_hours(hours.load(Ordering::Relaxed))))
    };
    let bench = bench::open_by(Arc::new(MemoryStorage::new()), clock);
    bench.put("a", b"one");
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let driver = Driver {
        store: Arc::new(DepotStore::new(bench.depot.clone())),
        ledger: Arc::new(Mortal::step_by_step(ledger.clone())),
        processor: Arc::new(Stall {
            hours,
            ledger: ledger.clone(),
            depot: bench.depot.clone(),
            is_claimed,
        }),
        clock: Arc::new(DepotClock(bench.depot.clone())),
        wake_ups: Arc::new(bench.queue.clone()),
        random: Arc::new(|| 0),
        settings: Settings::new(bucket("staging"), bucket("archive"), Holder("test".into())),
    };
    let outcome = driver.run(&staging("a"), Why::Event, &|| false).await;
    let copies = bench.contents(&archive("a")).len();
    (outcome.stopped, copies, ledger.counts().await.unwrap())
}

#[tokio::test]
async fn it_copies_nothing_once_another_has_the_key() {
    let (stopped, copies, counts) = stopped(true).await;
    assert_eq!((stopped, copies), (Stopped::FencedOff, 0));
    assert_eq!(counts.processing, 1);
}

#[tokio::test]
async fn it_goes_on_while_nobody_has_taken_the_key() {
    let (stopped, copies, counts) = stopped(false).await;
    assert_eq!((stopped, copies), (Stopped::Idle, 1));
    assert_eq!(counts.archived, 1);
}

/// Succeeds at once.
struct Succeed;

impl Processor for Succeed {
    async fn process(&self, _: Incoming) -> Result<Report, ProcessError> {
        Ok(Report::new("{}".into()).unwrap())
    }
}

/// An upload that was set aside because its attempts were used up, by another worker than the one whose last attempt it
/// was: that one has sent its copy, and stands still.
struct SetAside {
    bench: Bench,
    hours: Arc<AtomicU64>,
    driver: Driver<DepotStore, Mortal<DepotLedger>, Succeed, DepotClock, WakeQueue>,
    version: VersionRef,
}

impl SetAside {
    async fn new() -> Self {
        let hours = Arc::new(AtomicU64::new(0));
        let ticks = bench::ticking();
        let clock = {
            let hours = Arc::clone(&hours);
            Arc::new(move || ticks().after(Duration::from_hours(hours.load(Ordering::Relaxed))))
        };
        let bench = bench::open_by(Arc::new(MemoryStorage::new()), clock);
        let version = VersionRef {
            bucket: bucket("staging"),
            key: "a".parse().unwrap(),
            version_id: bench.put("a", b"one"),
        };
        let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
        let claim = ClaimKey {
            key: staging("a"),
            holder: Holder("one that stands still".into()),
            now: bench.depot.now(),
            life: Duration::ZERO,
            job: None,
        };
        let Claim::Held(lease) = ledger.claim(&claim).await.unwrap() else {
            panic!("nobody else works here");
        };
        let noted = ledger
            .note(&lease, &bench.versions("staging"))
            .await
            .unwrap();
        let (id, facts) = (&noted.uploads[0].id, SourceFacts::default());
        let begun = ledger.begin_attempt(&lease, id, &facts, 1, bench.depot.now());
        assert!(matches!(begun.await, Ok(Begin::Begun(_))));
        let settings = Settings::new(bucket("staging"), bucket("archive"), Holder("test".into()));
        let this = Self {
            driver: Driver {
                store: Arc::new(DepotStore::new(bench.depot.clone())),
                ledger: Arc::new(Mortal::step_by_step(ledger)),
                processor: Arc::new(Succeed),
                clock: Arc::new(DepotClock(bench.depot.clone())),
                wake_ups: Arc::new(bench.queue.clone()),
                random: Arc::new(|| 0),
                settings: Settings {
                    attempts_max: 1,
                    ..settings
                },
            },
            bench,
            hours,
            version,
        };
        this.work_off().await;
        assert_eq!(this.row().await.state, State::Failed);
        this
    }

    async fn row(&self) -> Upload {
        self.driver
            .ledger
            .find(&self.version)
            .await
            .unwrap()
            .unwrap()
    }

    /// The copy that was on its way arrives.
    async fn land(&self) {
        let options = CopyOptions {
            condition: WriteCondition::IfNoneMatch,
            add_user_metadata: self.row().await.mark().unwrap().pairs(),
        };
        let to = archive("a");
        let landed = self.driver.store.copy_version(&self.version, &to, options);
        landed.await.unwrap();
    }

    async fn work_off(&self) {
        while let Some(Some(woken)) = self.bench.queue.next().now_or_never() {
            let WakeUp { key, why } = &woken.wake_up;
            self.driver.run(key, *why, &|| false).await;
        }
    }

    /// Sweeps, and says how many keys were woken.
    async fn sweep(&self) -> u64 {
        let sweeper = Sweeper {
            driver: &self.driver,
        };
        let woken = sweeper.sweep(&|| false).await.unwrap().woken;
        self.work_off().await;
        woken
    }
}

#[tokio::test]
async fn what_lands_after_its_upload_was_set_aside_is_recorded_by_the_sweep_an_hour_later() {
    let world = SetAside::new().await;
    world.land().await;
    assert_eq!(world.sweep().await, 0, "more may be on its way");
    world.hours.store(1, Ordering::Relaxed);
    assert_eq!(world.sweep().await, 1);
    let row = world.row().await;
    assert_eq!(
        (row.state, row.closed, row.reason),
        (State::Archived, true, None)
    );
    assert_eq!(world.bench.contents(&archive("a")), [b"one"]);
    assert_eq!(world.bench.versions("staging"), []);
    assert_eq!(world.sweep().await, 0);
}

#[tokio::test]
async fn where_nothing_lands_the_sweep_has_one_turn_taken_and_no_more() {
    let world = SetAside::new().await;
    world.hours.store(1, Ordering::Relaxed);
    assert_eq!((world.sweep().await, world.sweep().await), (1, 0));
    let row = world.row().await;
    assert_eq!((row.state, row.last_look_at()), (State::Failed, None));
    assert_eq!(world.bench.versions("staging").len(), 1);
}

#[tokio::test]
async fn who_does_not_wait_for_the_sweep_finds_it_by_a_retry() {
    let world = SetAside::new().await;
    world.land().await;
    world
        .driver
        .ledger
        .retry(&world.row().await.id)
        .await
        .unwrap();
    assert_eq!(world.sweep().await, 1);
    let row = world.row().await;
    assert_eq!((row.state, row.attempts), (State::Archived, 0));
    assert_eq!(world.bench.contents(&archive("a")), [b"one"]);
}
