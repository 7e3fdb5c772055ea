//! What is recorded of changes in the transactions that make them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use two_buckets_depot::storage::memory::Fault;
use two_buckets_depot::storage::{MemoryStorage, Storage};
use two_buckets_depot::{
    ChangeKind, CompletePart, CopyMetadata, CopyObject, CreateUpload, Depot, Error, MoveVersion,
    ObjectChange, Options, PutObject, RecordChange, Result, RowTable, Selector, Transaction,
    Versioning,
};
use two_buckets_objects::{ObjectRef, VersionRef, WriteCondition};

use crate::harness::{TestClock, body, bucket, object, versions};

const JOURNAL: RowTable = RowTable(200);

/// Keeps a row of each change: its number, its kind, and the version.
fn journal(durable: Arc<AtomicU64>) -> RecordChange {
    Arc::new(move |tx: &mut Transaction<'_>, change: &ObjectChange<'_>| {
        let number = tx.next_number();
        let by = tx
            .cause()
            .and_then(|cause| cause.downcast_ref::<&str>().copied())
            .unwrap_or("nobody");
        let row = format!(
            "{:?} {} {} {} by {by}",
            change.kind, change.at.bucket, change.at.key, change.version_id
        );
        tx.set_row(JOURNAL, &number.to_be_bytes(), row.as_bytes());
        let durable = Arc::clone(&durable);
        tx.when_durable(move || _ = durable.fetch_add(1, Ordering::SeqCst));
        Ok(())
    })
}

fn open(
    storage: Arc<dyn Storage>,
    record: RecordChange,
) -> Result<Depot, two_buckets_depot::OpenError> {
    Depot::open_on(
        storage,
        Options {
            record_change: Some(record),
            ..TestClock::default().options()
        },
    )
}

fn make_buckets(depot: &Depot) -> Result<()> {
    for name in ["staging", "archive", "plain"] {
        depot.create_bucket(&bucket(name))?;
        if name != "plain" {
            depot.set_versioning(&bucket(name), Versioning::Enabled)?;
        }
    }
    Ok(())
}

fn rows(depot: &Depot) -> Vec<String> {
    depot
        .rows(
            JOURNAL,
            (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded),
            false,
            usize::MAX,
        )
        .unwrap()
        .into_iter()
        .map(|(_, row)| String::from_utf8(row).unwrap())
        .collect()
}

fn put(depot: &Depot, to: &ObjectRef) -> Result<VersionRef> {
    let written = depot.put(to, body(depot, b"bytes"), PutObject::default())?;
    Ok(VersionRef {
        bucket: to.bucket.clone(),
        key: to.key.clone(),
        version_id: written.version_id,
    })
}

fn copy() -> CopyObject {
    CopyObject {
        condition: WriteCondition::None,
        source_etag: None,
        metadata: CopyMetadata::Keep(Vec::new()),
        tags: None,
        checksum: None,
    }
}

/// One change of each kind, in order; stops where the store does.
fn change_everything(depot: &Depot) -> Result<()> {
    make_buckets(depot)?;
    let (a, b) = (object("staging", "a"), object("archive", "b"));
    let version = put(depot, &a)?;
    depot.copy(&a, &Selector::Current, &b, copy())?;
    depot.transaction(|tx| {
        tx.move_version(MoveVersion {
            from: version,
            to: object("archive", "a"),
            add_user_metadata: Vec::new(),
        })
    })?;
    let upload = depot.create_upload(&a, CreateUpload::default())?.id;
    let part = depot.put_part(&a, &upload, 1, body(depot, b"part"))?;
    let parts = [CompletePart {
        number: 1,
        etag: part.etag,
        checksum: None,
    }];
    depot.complete_upload(&a, &upload, &parts, &WriteCondition::None, None)?;
    depot.complete_upload(&a, &upload, &parts, &WriteCondition::None, None)?;
    let marked = depot.delete(&b, &Selector::Current, &WriteCondition::None)?;
    let marker = Selector::Version(marked.version_id.ok_or(Error::NoSuchVersion)?);
    depot.delete(&b, &marker, &WriteCondition::None)?;
    depot.delete(&b, &marker, &WriteCondition::None)?;
    let plain = object("plain", "p");
    put(depot, &plain)?;
    put(depot, &plain)?;
    depot.delete(&plain, &Selector::Current, &WriteCondition::None)?;
    depot.delete(&plain, &Selector::Current, &WriteCondition::None)?;
    Ok(())
}

#[test]
fn each_change_is_told_once_and_what_changes_nothing_is_not() {
    let durable = Arc::new(AtomicU64::new(0));
    let depot = open(Arc::new(MemoryStorage::new()), journal(durable.clone())).unwrap();
    change_everything(&depot.caused_by(Arc::new("me"))).unwrap();
    let told: Vec<String> = rows(&depot)
        .iter()
        .map(|row| {
            let words: Vec<&str> = row.split(' ').collect();
            assert_eq!(words[5], "me");
            format!("{} {} {}", words[0], words[1], words[2])
        })
        .collect();
    assert_eq!(
        told,
        [
            "Put staging a",
            "Copied archive b",
            "Copied archive a",
            "Removed staging a",
            "Completed staging a",
            "DeleteMarkerMade archive b",
            "Removed archive b",
            "Put plain p",
            "Put plain p",
            "Removed plain p",
        ]
    );
    assert_eq!(durable.load(Ordering::SeqCst), told.len() as u64);
}

#[test]
fn with_an_error_of_the_recorder_nothing_happens() {
    let refuse: RecordChange = Arc::new(|tx: &mut Transaction<'_>, change: &ObjectChange<'_>| {
        tx.when_durable(|| panic!("nothing became durable"));
        if change.kind == ChangeKind::Put {
            Err(Error::DiskFull)
        } else {
            Ok(())
        }
    });
    let depot = open(Arc::new(MemoryStorage::new()), refuse).unwrap();
    make_buckets(&depot).unwrap();
    assert!(matches!(
        put(&depot, &object("staging", "a")),
        Err(Error::DiskFull)
    ));
    assert!(versions(&depot, &bucket("staging")).is_empty());
}

/// The versions of all buckets that the rows say are there.
fn versions_by_rows(depot: &Depot) -> Vec<String> {
    let mut there: Vec<String> = Vec::new();
    for row in rows(depot) {
        let words: Vec<&str> = row.split(' ').collect();
        let version = words[1..4].join(" ");
        // Of a version `null` only the last counts.
        there.retain(|other| *other != version);
        if words[0] != "Removed" {
            there.push(version);
        }
    }
    there.sort();
    there
}

fn versions_there(depot: &Depot) -> Vec<String> {
    let mut there: Vec<String> = depot
        .buckets()
        .unwrap()
        .into_iter()
        .flat_map(|found| {
            let listed = versions(depot, &found.name).into_iter();
            listed.map(move |it| format!("{} {} {}", found.name, it.key, it.version_id))
        })
        .collect();
    there.sort();
    there
}

#[test]
fn after_a_crash_at_any_write_the_rows_tell_of_the_versions_that_are_there_and_of_no_other() {
    let calm = MemoryStorage::new();
    let depot = open(Arc::new(calm.clone()), journal(Arc::default())).unwrap();
    change_everything(&depot).unwrap();
    drop(depot);
    let operations = calm.operations();
    assert!(operations > 40);
    let seen = Mutex::new(std::collections::BTreeSet::new());
    for crash_at in 0..operations {
        let storage = MemoryStorage::new();
        storage.fault_at(crash_at, Fault::Crash);
        if let Ok(depot) = open(Arc::new(storage.clone()), journal(Arc::default())) {
            _ = change_everything(&depot);
        }
        for seed in 0..3 {
            let disk = storage.after_crash(seed);
            let depot = open(Arc::new(disk), journal(Arc::default())).unwrap();
            let by_rows = versions_by_rows(&depot);
            assert_eq!(
                by_rows,
                versions_there(&depot),
                "crash at {crash_at}, seed {seed}"
            );
            seen.lock().unwrap().insert(rows(&depot).len());
        }
    }
    assert!(
        seen.lock().unwrap().len() > 8,
        "the crashes came at all stages"
    );
}
