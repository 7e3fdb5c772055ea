//! A bounded history: what has ended well is forgotten, and nothing else is lost by it.

use std::sync::Arc;
use std::time::Duration;

use two_buckets_depot::storage::MemoryStorage;
use two_buckets_local::{DepotLedger, History};
use two_buckets_pipeline::ledger::{Counts, Ledger as _, ListUploads};
use two_buckets_pipeline::{AttemptOutcome, End, Expectation, Holder, State, Sweeper, Upload};

use crate::bench::{self, Bench, archive, staging};
use crate::crashes::{driver, work_off};

const LONG: Duration = Duration::from_hours(24 * 365);

fn at_most(count_max: u64) -> History {
    History {
        age_max: LONG,
        count_max,
    }
}

async fn worked_off(bench: &Bench) -> DepotLedger {
    work_off(&driver(bench, &Arc::default(), true), &bench.queue).await;
    DepotLedger::open(bench.depot.clone()).unwrap()
}

fn forget(ledger: &DepotLedger, history: &History) -> u64 {
    ledger.forget_ended(history, &|| false).unwrap()
}

async fn rows(ledger: &DepotLedger) -> Vec<Upload> {
    let mut rows = ledger.list(&ListUploads::default()).await.unwrap().uploads;
    rows.reverse();
    rows
}

/// Sets an upload aside, as a function that refuses it does.
async fn fail(ledger: &DepotLedger, bench: &Bench, key: &str) {
    use two_buckets_pipeline::ledger::{Claim, ClaimKey};
    bench.put(key, b"bad");
    let claim = ClaimKey {
        key: staging(key),
        holder: Holder("test".into()),
        now: bench.depot.now(),
        life: Duration::from_secs(1),
        job: None,
    };
    let Claim::Held(lease) = ledger.claim(&claim).await.unwrap() else {
        panic!("nobody else works here");
    };
    let versions = bench.versions("staging");
    let id = ledger.note(&lease, &versions).await.unwrap().uploads[0]
        .id
        .clone();
    let end = End::Failed {
        reason: "bad".into(),
        outcome: AttemptOutcome::Permanent,
        look_in_archive: false,
    };
    ledger
        .end(&lease, &id, &end, bench.depot.now())
        .await
        .unwrap();
    ledger.release(&lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_that_ended_well_go_and_what_is_not_finished_stays() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let ledger = worked_off(&bench).await;
    fail(&ledger, &bench, "bad").await;
    // More than one batch.
    for n in 0..250 {
        bench.put(&format!("k/{n:03}"), b"x");
    }
    let ledger = worked_off(&bench).await;
    bench.put("waits", b"x");
    let before = rows(&ledger).await;
    assert_eq!(before.len(), 251);
    assert_eq!(forget(&ledger, &at_most(250)), 0);
    assert_eq!(forget(&ledger, &at_most(7)), 243);
    assert_eq!(forget(&ledger, &at_most(7)), 0);
    let after = rows(&ledger).await;
    assert_eq!(after[0], before[0], "it has failed and is still in staging");
    assert_eq!(after[1..], before[244..]);
    let expected = Counts {
        archived: 7,
        failed: 1,
        ..Counts::default()
    };
    assert_eq!(ledger.counts().await.unwrap(), expected);
    let gone = &before[1];
    assert_eq!(ledger.get(&gone.id).await.unwrap(), None);
    assert_eq!(ledger.find(&gone.version().unwrap()).await.unwrap(), None);
    assert!(ledger.logs(&gone.id).await.unwrap().is_empty());
    let of_key = ListUploads {
        key: Some(gone.key.key.to_string()),
        ..ListUploads::default()
    };
    assert_eq!(ledger.list(&of_key).await.unwrap().uploads, []);
    // Nothing is processed again for that, and what waits is processed.
    let server = driver(&bench, &Arc::default(), true);
    let swept = Sweeper { driver: &server }.sweep(&|| false).await.unwrap();
    assert_eq!((swept.finished, swept.explained), (0, 0));
    work_off(&server, &bench.queue).await;
    assert_eq!(bench.contents(&archive("k/000")), [b"x"]);
    assert_eq!(bench.contents(&archive("waits")), [b"x"]);
    // A key whose rows are gone takes uploads like any other, in order.
    bench.put("k/000", b"y");
    work_off(&server, &bench.queue).await;
    assert_eq!(bench.contents(&archive("k/000")), [b"x", b"y"]);
    // And none at all may be kept.
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    forget(&ledger, &at_most(0));
    assert_eq!(rows(&ledger).await, before[..1]);
    ledger.retry(&before[0].id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_long_ago_goes_and_what_ended_since_stays() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    bench.put("old", b"x");
    let ledger = worked_off(&bench).await;
    let [old] = rows(&ledger).await.try_into().unwrap();
    let age = |at: two_buckets_objects::Timestamp| History {
        age_max: at.since(old.finished_at.unwrap()),
        count_max: u64::MAX,
    };
    // The clock goes on by a millisecond with each look.
    let history = age(bench.depot.now().after(Duration::from_secs(1)));
    assert_eq!(forget(&ledger, &history), 0);
    let history = age(bench.depot.now());
    bench.put("new", b"x");
    let ledger = worked_off(&bench).await;
    assert_eq!(forget(&ledger, &history), 1);
    let [kept] = rows(&ledger).await.try_into().unwrap();
    assert_eq!(kept.key, staging("new"));
}

/// A client that lost its answer sends again as long as its permission is good, and is then to be told apart from a new file.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_stays_while_permissions_for_its_key_are_good_so_that_a_repeat_is_a_duplicate() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    let until = bench.depot.now().after(Duration::from_mins(10));
    ledger
        .mint(
            &staging("minted"),
            &Expectation::until(until),
            bench.depot.now(),
        )
        .await
        .unwrap();
    bench.put("minted", b"same");
    let ledger = worked_off(&bench).await;
    assert_eq!(forget(&ledger, &at_most(0)), 0);
    bench.put("minted", b"same");
    let ledger = worked_off(&bench).await;
    let states: Vec<_> = rows(&ledger).await.iter().map(|row| row.state).collect();
    assert_eq!(states, [State::Archived, State::Duplicate]);
    assert_eq!(bench.contents(&archive("minted")), [b"same"]);
}
