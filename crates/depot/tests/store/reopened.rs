//! What a restart keeps and what it forgets.

use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{Depot, Error, MoveVersion, PutObject, Selector, Versioning};
use two_buckets_objects::VersionRef;

use crate::harness::{TestClock, body, bucket, bytes, object, versions};

fn open(storage: &MemoryStorage, clock: &TestClock) -> Depot {
    Depot::open_on(std::sync::Arc::new(storage.clone()), clock.options()).unwrap()
}

#[test]
fn last_modified_and_order_never_go_back_though_the_clock_does() {
    let storage = MemoryStorage::new();
    let clock = TestClock::default();
    clock.set(1_000_000);
    let at = object("staging", "a");
    let depot = open(&storage, &clock);
    depot.create_bucket(&at.bucket).unwrap();
    depot
        .set_versioning(&at.bucket, Versioning::Enabled)
        .unwrap();
    let put = |depot: &Depot| {
        depot
            .put(&at, body(depot, b"x"), PutObject::default())
            .unwrap()
    };
    let first = put(&depot);
    clock.set(0);
    let second = put(&depot);
    drop(depot);
    clock.set(0);
    let depot = open(&storage, &clock);
    let third = put(&depot);
    assert!(first.last_modified <= second.last_modified);
    assert!(second.last_modified <= third.last_modified);
    let listed: Vec<_> = versions(&depot, &at.bucket)
        .into_iter()
        .map(|version| version.version_id)
        .collect();
    assert_eq!(
        listed,
        [third.version_id, second.version_id, first.version_id]
    );
}

#[test]
fn a_version_moved_away_answers_no_more_after_a_restart() {
    let storage = MemoryStorage::new();
    let clock = TestClock::default();
    let depot = open(&storage, &clock);
    for name in ["staging", "archive"] {
        depot.create_bucket(&bucket(name)).unwrap();
        depot
            .set_versioning(&bucket(name), Versioning::Enabled)
            .unwrap();
    }
    let at = object("staging", "a");
    let put = depot
        .put(&at, body(&depot, &[5; 500]), PutObject::default())
        .unwrap();
    let moved = depot
        .transaction(|tx| {
            tx.move_version(MoveVersion {
                from: VersionRef {
                    bucket: at.bucket.clone(),
                    key: at.key.clone(),
                    version_id: put.version_id.clone(),
                },
                to: object("archive", "a"),
                add_user_metadata: Vec::new(),
            })
        })
        .unwrap();
    assert!(depot.head(&at, &Selector::Current).is_ok());
    drop(depot);
    let depot = open(&storage, &clock);
    assert!(matches!(
        depot.head(&at, &Selector::Current),
        Err(Error::NoSuchKey { .. })
    ));
    let version = Selector::Version(moved.written.version_id);
    assert_eq!(
        bytes(&depot, &object("archive", "a"), &version).unwrap(),
        [5; 500]
    );
}
