//! The disk in memory keeps to its fault model; what the other tests show rests on it.

use std::collections::BTreeSet;
use std::io;

use crate::engine::storage::memory::{Fault, Operation};
use crate::engine::storage::{MemoryStorage, Storage};

fn bytes(disk: &MemoryStorage, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(path).ok()?;
    let mut bytes = vec![0; usize::try_from(file.size_bytes().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    Some(bytes)
}

#[test]
fn what_was_synced_is_there_after_every_crash_and_the_rest_in_any_part() {
    let disk = MemoryStorage::new();
    let file = disk.create("a").unwrap();
    file.write_at(0, b"synced").unwrap();
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(6, &[b'x'; 2_000]).unwrap();
    let mut sizes = BTreeSet::new();
    let mut has_hole = false;
    for seed in 0..60 {
        let found = bytes(&disk.after_crash(seed), "a").unwrap();
        assert!(found.starts_with(b"synced"), "seed {seed}");
        let rest = &found[6..];
        assert!(rest.iter().all(|byte| [b'x', 0].contains(byte)));
        has_hole |= rest.windows(2).any(|two| two == [0, b'x']);
        sizes.insert(rest.len());
    }
    assert!(sizes.contains(&0) && sizes.contains(&2_000) && sizes.len() > 10);
    assert!(has_hole, "later sectors without earlier ones");
    assert_eq!(bytes(&disk.after_crash(0), "a").unwrap(), b"synced");
    assert_eq!(bytes(&disk.after_crash(1), "a"), bytes(&disk, "a"));
    assert_eq!(bytes(&disk.after_kill(), "a"), bytes(&disk, "a"));
}

#[test]
fn a_name_is_durable_only_by_a_sync_of_its_folder() {
    let disk = MemoryStorage::new();
    disk.create_dir("d").unwrap();
    disk.create("d/old").unwrap();
    disk.sync_dir("d").unwrap();
    disk.create("d/new").unwrap().sync().unwrap();
    disk.remove("d/old").unwrap();
    let lost = disk.after_crash(0);
    assert_eq!(lost.list("d").unwrap(), ["old"]);
    let kept = disk.after_crash(1);
    assert_eq!(kept.list("d").unwrap(), ["new"]);
    let each: BTreeSet<Vec<String>> = (2..40)
        .map(|seed| disk.after_crash(seed).list("d").unwrap())
        .collect();
    assert_eq!(each.len(), 4, "both, either, none: {each:?}");
}

#[test]
fn a_failed_sync_loses_what_it_should_have_kept_and_a_later_one_does_not_bring_it_back() {
    let disk = MemoryStorage::new();
    let file = disk.create("a").unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(0, b"lost").unwrap();
    disk.fault_at(disk.operations(), Fault::Fail(io::ErrorKind::Other));
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert_eq!(bytes(&disk, "a").unwrap(), b"lost");
    assert_eq!(bytes(&disk.after_crash(1), "a").unwrap(), b"");
}

#[test]
fn a_crash_ends_everything_and_a_full_disk_takes_what_fits() {
    let disk = MemoryStorage::new();
    let file = disk.create("a").unwrap();
    disk.set_free_bytes(Some(3));
    let full = file.write_at(0, b"12345").unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    assert_eq!(bytes(&disk, "a").unwrap(), b"123");
    disk.set_free_bytes(Some(2));
    file.write_at(0, b"12345").unwrap();
    assert_eq!(disk.free_bytes().unwrap(), Some(0));
    disk.remove("a").unwrap();
    assert_eq!(disk.free_bytes().unwrap(), Some(5));
    assert_eq!(disk.count(Operation::Write), 2);
    disk.fault_at(disk.operations(), Fault::Crash);
    assert!(disk.create("b").is_err());
    file.write_at(0, b"1").unwrap_err();
    disk.list("").unwrap_err();
    assert!(disk.after_crash(1).list("").unwrap().is_empty());
}
