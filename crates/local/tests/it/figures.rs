//! What is counted of uploads is what the disk has, and nothing else.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::storage::memory::Operation;
use two_buckets_local::{DepotLedger, LedgerFigures};
use two_buckets_pipeline::ledger::{Claim, ClaimKey, SourceFacts};
use two_buckets_pipeline::{AttemptOutcome, End, Holder, Ledger as _, State};

use crate::bench::{self, staging};

fn permanent(figures: &LedgerFigures) -> u64 {
    let of = |outcome| figures.attempts.iter().find(|it| it.0 == outcome);
    of(AttemptOutcome::Permanent).unwrap().1
}

fn failed(figures: &LedgerFigures) -> u64 {
    figures
        .ended
        .iter()
        .find(|it| it.0 == State::Failed)
        .unwrap()
        .1
}

#[tokio::test]
async fn a_change_that_could_not_be_written_is_not_counted() {
    let storage = Arc::new(MemoryStorage::new());
    let bench = bench::open(Arc::clone(&storage));
    let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
    bench.put("a", b"1");
    let claim = ClaimKey {
        key: staging("a"),
        holder: Holder("test".into()),
        now: bench.depot.now(),
        life: Duration::from_mins(1),
        job: None,
    };
    let Claim::Held(lease) = ledger.claim(&claim).await.unwrap() else {
        panic!("nobody else has it");
    };
    let noted = ledger.note(&lease, &bench.versions("staging")).await;
    let id = noted.unwrap().uploads[0].id.clone();
    let now = bench.depot.now();
    ledger
        .begin_attempt(&lease, &id, &SourceFacts::default(), 3, now)
        .await
        .unwrap();
    let end = End::Failed {
        reason: "bad".into(),
        outcome: AttemptOutcome::Permanent,
        look_in_archive: false,
    };
    storage.break_all(Operation::Write, Some(ErrorKind::StorageFull));
    let now = bench.depot.now();
    ledger.end(&lease, &id, &end, now).await.unwrap_err();
    let figures = ledger.figures();
    assert_eq!((permanent(&figures), failed(&figures)), (0, 0));
    assert_eq!((figures.waits.count(), figures.runs.count()), (1, 0));
    storage.break_all(Operation::Write, None);
    ledger.end(&lease, &id, &end, now).await.unwrap();
    let figures = ledger.figures();
    assert_eq!((permanent(&figures), failed(&figures)), (1, 1));
    assert_eq!(figures.runs.count(), 1);
    // Another opening counts anew.
    let again = DepotLedger::open(bench.depot.clone()).unwrap();
    assert_eq!(failed(&again.figures()), 0);
}
