use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use two_buckets_objects::{BucketName, ObjectRef, Timestamp};

use super::Begun;
use crate::engine::storage::MemoryStorage;
use crate::engine::storage::memory::Operation;
use crate::engine::tests::gated::{Gate, Gated};
use crate::{
    Created, Depot, Error, MoveVersion, Options, PutObject, Result, RowTable, Selector, Versioning,
};

const ROWS: RowTable = RowTable(200);

struct World {
    disk: MemoryStorage,
    gate: Arc<Gate>,
    depot: Depot,
    created: Arc<Mutex<Vec<Created>>>,
}

fn world() -> World {
    let disk = MemoryStorage::new();
    let gate = Arc::new(Gate::default());
    let created = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&created);
    let options = Options {
        clock: Arc::new(Timestamp::default),
        just_moved_grace: Duration::from_secs(5),
        small_body_bytes_max: 1_024,
        on_created: Some(Arc::new(move |new: &Created| {
            told.lock().unwrap().push(new.clone());
        })),
        record_change: None,
    };
    let storage = Gated {
        disk: disk.clone(),
        gate: Arc::clone(&gate),
    };
    let depot = Depot::open_on(Arc::new(storage), options).unwrap();
    for name in ["staging", "archive"] {
        depot.create_bucket(&bucket(name)).unwrap();
        depot
            .set_versioning(&bucket(name), Versioning::Enabled)
            .unwrap();
    }
    World {
        disk,
        gate,
        depot,
        created,
    }
}

fn bucket(name: &str) -> BucketName {
    name.parse().unwrap()
}

fn object(bucket_name: &str, key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket(bucket_name),
        key: key.parse().unwrap(),
    }
}

fn put(depot: &Depot, at: &ObjectRef) -> Result<two_buckets_objects::Written> {
    let mut writer = depot.body_writer(&[], 1_024);
    writer.write(&bytes::Bytes::from_static(b"content"))?;
    depot.put(at, writer.finish()?, PutObject::default())
}

impl World {
    fn created(&self) -> usize {
        self.created.lock().unwrap().len()
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.depot.row(ROWS, key).unwrap()
    }

    /// Waits until what the store's own thread does is done.
    fn wait_until(&self, is_done: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if is_done(self) {
                return;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        panic!("it did not come to it");
    }
}

/// Wakes the thread that waits.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn poll<T>(begun: &mut Begun<T, Error>, waker: &Waker) -> Poll<Result<T>> {
    pin!(begun).poll(&mut Context::from_waker(waker))
}

/// Waits for the end as a runtime does: woken, then polled.
fn end<T>(begun: &mut Begun<T, Error>) -> Result<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    // Woken once for each of its transactions, and perhaps for nothing.
    for _ in 0..10 {
        if let Poll::Ready(outcome) = poll(begun, &waker) {
            return outcome;
        }
        thread::park_timeout(Duration::from_secs(20));
    }
    panic!("it did not end");
}

#[test]
fn it_ends_when_what_was_written_is_durable_and_not_before() {
    let world = world();
    world.gate.close();
    let mut begun = world
        .depot
        .begin(|depot| put(depot, &object("staging", "a")));
    world.gate.wait_for_somebody();
    assert!(poll(&mut begun, Waker::noop()).is_pending());
    assert_eq!(world.created(), 0, "told before it is durable");
    let at = object("staging", "a");
    assert!(world.depot.head(&at, &Selector::Current).is_err());
    world.gate.open();
    let written = end(&mut begun).unwrap();
    assert_eq!(world.created(), 1);
    let found = world.depot.head(&at, &Selector::Current).unwrap();
    assert_eq!(found.info.at.version_id, written.version_id);
}

#[test]
fn of_several_transactions_it_waits_for_the_last() {
    let world = world();
    let mut begun = world.depot.begin(|depot| {
        for n in 0..3_u8 {
            depot.transaction(|tx| {
                // Each sees what those before it did, though nothing is durable yet.
                let before = tx.row(ROWS, b"count")?.map_or(0, |row| row[0]);
                assert_eq!(before, n);
                tx.set_row(ROWS, b"count", &[n + 1]);
                Ok::<_, Error>(())
            })?;
        }
        Ok::<_, Error>(())
    });
    end(&mut begun).unwrap();
    assert_eq!(world.value(b"count"), Some(vec![3]));
}

#[test]
fn nobody_who_waits_is_needed_for_others_to_be_told() {
    let world = world();
    world.gate.close();
    let begun = world
        .depot
        .begin(|depot| put(depot, &object("staging", "a")));
    world.gate.wait_for_somebody();
    drop(begun);
    assert_eq!(world.created(), 0);
    world.gate.open();
    world.wait_until(|world| world.created() == 1);
    // Durable already when it is dropped.
    let begun = world
        .depot
        .begin(|depot| put(depot, &object("staging", "b")));
    world.wait_until(|world| {
        let at = object("staging", "b");
        world.depot.head(&at, &Selector::Current).is_ok()
    });
    drop(begun);
    assert_eq!(world.created(), 2);
}

#[test]
fn what_could_not_be_written_is_an_error_and_nobody_is_told() {
    let world = world();
    let from = put(&world.depot, &object("staging", "a")).unwrap();
    let told = world.created();
    let breaks = [
        (Operation::Write, std::io::ErrorKind::StorageFull),
        (Operation::Sync, std::io::ErrorKind::Other),
    ];
    for (operation, error) in breaks {
        world.disk.break_all(operation, Some(error));
        let mut begun = world.depot.begin(|depot| {
            depot.transaction(|tx| {
                tx.move_version(MoveVersion {
                    from: two_buckets_objects::VersionRef {
                        bucket: bucket("staging"),
                        key: "a".parse().unwrap(),
                        version_id: from.version_id.clone(),
                    },
                    to: object("archive", "a"),
                    add_user_metadata: Vec::new(),
                })
            })
        });
        match (operation, end(&mut begun)) {
            (Operation::Write, Err(Error::DiskFull)) | (Operation::Sync, Err(Error::ReadOnly)) => {}
            (_, other) => panic!("{operation:?}: {other:?}"),
        }
        world.disk.break_all(operation, None);
        assert_eq!(world.created(), told, "told of what was not written");
        let at = object("archive", "a");
        assert!(world.depot.head(&at, &Selector::Current).is_err());
    }
}

#[test]
fn an_error_of_the_calls_is_given_once_what_they_saw_is_durable() {
    let world = world();
    world.gate.close();
    let first = world
        .depot
        .begin(|depot| put(depot, &object("staging", "a")));
    world.gate.wait_for_somebody();
    let mut second = world.depot.begin(|depot| {
        depot.transaction(|tx| match tx.head(&object("staging", "a")) {
            Ok(_) => Err(Error::ConditionFailed),
            Err(error) => Err(error),
        })?;
        Ok::<_, Error>(())
    });
    assert!(poll(&mut second, Waker::noop()).is_pending());
    world.gate.open();
    assert!(matches!(end(&mut second), Err(Error::ConditionFailed)));
    drop(first);
}

#[test]
fn a_clone_that_outlives_the_calls_waits_again() {
    let world = world();
    let mut kept = None;
    let mut begun = world.depot.begin(|depot| {
        kept = Some(depot.clone());
        Ok::<_, Error>(())
    });
    end(&mut begun).unwrap();
    let kept = kept.unwrap();
    put(&kept, &object("staging", "late")).unwrap();
    assert_eq!(world.created(), 1, "it did not wait");
}

#[test]
fn the_store_is_closed_though_somebody_gave_up_waiting() {
    let World {
        disk, gate, depot, ..
    } = world();
    gate.close();
    let begun = depot.begin(|depot| put(depot, &object("staging", "a")));
    gate.wait_for_somebody();
    drop(begun);
    let closing = thread::spawn(move || drop(depot));
    gate.open();
    closing.join().unwrap();
    let options = Options {
        clock: Arc::new(Timestamp::default),
        just_moved_grace: Duration::from_secs(5),
        small_body_bytes_max: 1_024,
        on_created: None,
        record_change: None,
    };
    let reopened = Depot::open_on(Arc::new(disk.after_crash(0)), options).unwrap();
    let at = object("staging", "a");
    reopened.head(&at, &Selector::Current).unwrap();
}
