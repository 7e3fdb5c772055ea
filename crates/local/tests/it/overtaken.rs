//! A worker that stood still past its lease, on a store that moves step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use two_buckets_depot::Depot;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_local::{DepotClock, DepotLedger, DepotStore};
use two_buckets_pipeline::ledger::{Claim, ClaimKey, Counts, Ledger};
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{
    Driver, Holder, Incoming, ProcessError, Processor, Report, Settings, Why,
};

use crate::bench::{self, archive, bucket, staging};
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
