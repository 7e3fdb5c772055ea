use std::hint::black_box;

use futures::FutureExt as _;
use two_buckets_local::DepotLedger;
use two_buckets_objects::{ListedVersion, ObjectRef};
use two_buckets_pipeline::ledger::{
    ClaimKey, Ledger as _, MoveUpload, MovedInOne, StartUpload, Started,
};
use two_buckets_pipeline::step::Rules;
use two_buckets_pipeline::{Holder, Report, Routes, Settings, State, UploadId};

use crate::store::{NOW, archive, depot, ledger, place, put, small_file};
use crate::{Case, Run};

/// A row is found and decoded.
pub(crate) const READ: Case = Case::new("ledger-row-read", |_| read());

/// The two changes that the ledger makes for a file: its attempt begins, and it is archived. Each reads, encodes and indexes
/// the row, and is a transaction of the store.
pub(crate) const START_AND_MOVE: Case = Case::new("ledger-start-and-move", start_and_move);

/// That of a text.
const REPORT: &str = r#"{"media_type":"text/plain","size":4096,"sha256":"2d73e6047fc56932f2bd997033cdf6889c910815e4ac6cfe5bcd9cc264f32174","structure":{"format":"text","encoding":"utf-8","lines":171}}"#;

fn read() -> Run {
    let (depot, key) = (depot(), place(1));
    let ledger = ledger(&depot);
    let version = put(&depot, &key, &small_file());
    let id = started_and_moved(&ledger, &key, version);
    Box::new(move || {
        let found = ledger.get(black_box(&id)).now_or_never();
        let row = found.expect("it is read at once").expect("a row");
        assert!(row.is_some());
        black_box(row);
    })
}

fn start_and_move(runs: usize) -> Run {
    let depot = depot();
    let ledger = ledger(&depot);
    let mut files: Vec<_> = (0..runs)
        .map(|number| {
            let key = place(number);
            let version = put(&depot, &key, &small_file());
            (key, version)
        })
        .collect();
    Box::new(move || {
        let (key, version) = files.pop().expect("one for each run");
        black_box(started_and_moved(&ledger, &key, version));
    })
}

fn started_and_moved(ledger: &DepotLedger, key: &ObjectRef, version: ListedVersion) -> UploadId {
    let start = StartUpload {
        claim: ClaimKey {
            key: key.clone(),
            holder: Holder("worker".into()),
            now: NOW,
            life: Settings::LEASE_LIFE_DEFAULT,
            job: None,
        },
        versions: vec![version],
        attempts_max: Rules::ATTEMPTS_MAX_DEFAULT,
        routes: Routes::default(),
    };
    let started = ledger.start(&start).now_or_never();
    let started = started.expect("it is done at once").expect("a start");
    let Started::Begun { lease, upload, .. } = started else {
        panic!("{started:?}");
    };
    let wanted = MoveUpload {
        id: upload.id,
        archive: archive(),
        report: Report::new(REPORT.into()).expect("a short report"),
        now: NOW,
    };
    let moved = ledger.move_in_one(&lease, &wanted).now_or_never();
    let moved = moved.expect("it is done at once").expect("a move");
    let MovedInOne::Moved { upload, .. } = moved else {
        panic!("{moved:?}");
    };
    assert_eq!(upload.state, State::Archived);
    upload.id
}
