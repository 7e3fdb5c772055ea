//! Disks that fail, fill up and forget, without a crash.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use two_buckets_objects::Timestamp;

use super::world::{
    EVERYTHING, ROWS, RUN, SETTINGS, State, Step, act, body, body_of, content, named, open,
    open_with, read, state, states,
};
use crate::bodies::{BodyWriter, Reader};
use crate::engine::index::odd::OddIndex;
use crate::engine::log::HEADER_BYTES;
use crate::engine::storage::memory::{Fault, Operation};
use crate::engine::storage::{MemoryStorage, Storage};
use crate::engine::{BufferedIndex, CHUNK_BYTES, Engine, MapIndex, Settings};
use crate::{Error, OpenError};

#[test]
fn a_failed_sync_ends_writing_while_reads_go_on_until_the_store_is_reopened() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    act(&engine, Step::Put("body kept", 1, 500)).unwrap();
    let before = state(&engine);
    storage.break_all(Operation::Sync, Some(io::ErrorKind::Other));
    assert!(matches!(
        act(&engine, Step::Set("a", "lost")),
        Err(Error::ReadOnly)
    ));
    storage.break_all(Operation::Sync, None);
    assert!(matches!(
        act(&engine, Step::Set("a", "refused")),
        Err(Error::ReadOnly)
    ));
    assert!(matches!(
        act(&engine, Step::Put("body large", 1, CHUNK_BYTES)),
        Err(Error::ReadOnly)
    ));
    assert_eq!(state(&engine), before);
    drop(engine);

    let engine = open(&storage.after_crash(0)).unwrap();
    assert_eq!(state(&engine), before);
    act(&engine, Step::Set("a", "1")).unwrap();
}

#[test]
fn a_failed_sync_of_a_file_or_of_its_folder_ends_writing_too() {
    for broken in [Operation::Sync, Operation::SyncDir] {
        let storage = MemoryStorage::new();
        let engine = open(&storage).unwrap();
        storage.break_all(broken, Some(io::ErrorKind::Other));
        assert!(matches!(
            act(&engine, Step::Put("body large", 1, CHUNK_BYTES)),
            Err(Error::ReadOnly)
        ));
        storage.break_all(broken, None);
        assert!(matches!(
            act(&engine, Step::Set("a", "1")),
            Err(Error::ReadOnly)
        ));
    }
}

#[test]
fn an_operation_that_fails_anywhere_fails_its_transaction_whole_or_not_at_all() {
    let states = states();
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    let from = storage.operations();
    for step in RUN {
        act(&engine, *step).unwrap();
    }
    let to = storage.operations();
    drop(engine);
    for fail_at in from..to {
        let storage = MemoryStorage::new();
        storage.fault_at(fail_at, Fault::Fail(io::ErrorKind::Other));
        let engine = open(&storage).unwrap();
        let mut done = 0;
        let mut is_read_only = false;
        for step in RUN {
            match act(&engine, *step) {
                Ok(()) => {}
                Err(Error::ReadOnly) => {
                    is_read_only = true;
                    break;
                }
                Err(Error::Io(_)) => {
                    assert_eq!(state(&engine), states[done], "failure at {fail_at}");
                    act(&engine, *step).unwrap_or_else(|error| panic!("at {fail_at}: {error}"));
                }
                Err(other) => panic!("failure at {fail_at}: {other}"),
            }
            done += 1;
        }
        assert_eq!(state(&engine), states[done], "failure at {fail_at}");
        // A power loss now, while the index is behind, and one after closing.
        let mut disks: Vec<_> = [0, 1, 5].map(|seed| storage.after_crash(seed)).into();
        drop(engine);
        disks.push(storage.after_crash(0));
        for (n, disk) in disks.iter().enumerate() {
            let engine = open(disk).unwrap_or_else(|error| panic!("at {fail_at}: {error}"));
            let found = state(&engine);
            assert!(
                found == states[done] || (is_read_only && found == states[done + 1]),
                "failure at {fail_at}, disk {n}"
            );
        }
    }
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_takes_it_once_there_is_room() {
    for free in (0..3_000).step_by(97) {
        let storage = MemoryStorage::new();
        let engine = open(&storage).unwrap();
        act(&engine, Step::Put("body kept", 1, 100)).unwrap();
        storage.set_free_bytes(Some(free));
        let mut refused = 0;
        for n in 0..8 {
            let before = state(&engine);
            let step = if n % 2 == 0 {
                Step::Put("body more", n, 300)
            } else {
                Step::Put("body large", n, 1_500)
            };
            match act(&engine, step) {
                Ok(()) => {}
                Err(Error::DiskFull) => {
                    refused += 1;
                    assert_eq!(state(&engine), before, "{free} bytes free");
                }
                Err(other) => panic!("{free} bytes free: {other}"),
            }
        }
        assert!(refused > 0, "{free} bytes free");
        storage.set_free_bytes(None);
        act(&engine, Step::Put("body more", 9, 300)).unwrap();
        act(&engine, Step::Put("body large", 9, 1_500)).unwrap();
        let last = state(&engine);
        let disk = storage.after_crash(0);
        drop(engine);
        for disk in [disk, storage] {
            let engine = open(&disk).unwrap();
            assert_eq!(state(&engine), last, "{free} bytes free");
        }
    }
}

#[test]
fn what_was_cut_off_behind_a_full_segment_does_not_come_back() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    let keys = [
        "body 1", "body 2", "body 3", "body 4", "body 5", "body 6", "body 7",
    ];
    for key in keys {
        act(&engine, Step::Put(key, 1, 1_000)).unwrap();
    }
    storage.break_all(Operation::Write, Some(io::ErrorKind::StorageFull));
    act(&engine, Step::Set("a", "refused")).unwrap_err();
    storage.break_all(Operation::Write, None);
    // Too large for the rest of the segment, which so is never synced again.
    act(&engine, Step::Put("body 8", 1, 1_000)).unwrap();
    assert_eq!(storage.list("log").unwrap().len(), 2);
    let last = state(&engine);
    for seed in 0..40 {
        let disk = storage.after_crash(seed);
        let engine = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(state(&engine), last, "seed {seed}");
    }
}

#[test]
fn what_is_new_leaves_room_to_finish_and_to_delete_and_all_leave_the_indexs() {
    let storage = MemoryStorage::new();
    let settings = Settings {
        reserve_bytes: 5_000,
        finishing_bytes: 5_000,
        ..SETTINGS
    };
    let engine = open_with(&storage, settings).unwrap();
    storage.set_free_bytes(Some(12_000));
    act(&engine, Step::Put("body small", 7, 600)).unwrap();
    storage.set_free_bytes(Some(10_010));
    assert!(matches!(
        act(&engine, Step::Put("body other", 7, 600)),
        Err(Error::DiskFull)
    ));
    // The writing of a large body already stops.
    assert!(matches!(body(&engine, 1, 5_000), Err(Error::DiskFull)));
    // What was accepted can be finished, and space be given back.
    act(&engine, Step::Set("a", "fits")).unwrap();
    act(&engine, Step::Remove("body small")).unwrap();
    storage.set_free_bytes(Some(5_010));
    assert!(matches!(
        act(&engine, Step::Set("a", "does not fit")),
        Err(Error::DiskFull)
    ));
    storage.set_free_bytes(Some(20_000));
    act(&engine, Step::Set("a", "fits again")).unwrap();
}

#[test]
fn a_flipped_bit_in_a_body_is_corrupt_and_never_wrong_bytes() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    for (key, size) in [("body small", 600), ("body large", 2 * CHUNK_BYTES + 5_000)] {
        act(&engine, Step::Put(key, 7, size)).unwrap();
        let row = engine.get(ROWS, key.as_bytes()).unwrap().unwrap();
        let path = storage
            .files()
            .into_iter()
            .find(|(path, bytes)| {
                let folder = if size > 1_024 { "blobs/" } else { "log/" };
                path.starts_with(folder) && *bytes > size as u64
            })
            .unwrap();
        let mut found = 0;
        let step = if size > 1_024 { 4_001 } else { 1 };
        let length = usize::try_from(path.1).unwrap();
        for at in (0..length).step_by(step).chain(length - 60..length) {
            assert!(storage.flip_bit(&path.0, at, 3));
            match read(&engine, body_of(&row), size as u64) {
                Ok(bytes) => assert!(bytes == content(7, size), "{key}: bit 3 of byte {at}"),
                Err(Error::Corrupt { .. }) => found += 1,
                Err(other) => panic!("{key}: bit 3 of byte {at}: {other}"),
            }
            assert!(storage.flip_bit(&path.0, at, 3));
        }
        assert!(
            found >= size / step,
            "{key}: only {found} flips were noticed"
        );
    }
}

#[test]
fn a_segment_whose_first_record_was_torn_does_not_keep_the_store_from_opening_again() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    let second = "log/00000000000000000002.log";
    while !storage.files().contains_key(second) {
        act(&engine, Step::Put("body", 7, 900)).unwrap();
    }
    let torn = storage.after_kill();
    let first_record = usize::try_from(HEADER_BYTES).unwrap();
    assert!(torn.flip_bit(second, first_record + 20, 0));
    for _ in 0..3 {
        drop(open(&torn).unwrap());
    }
    act(&open(&torn).unwrap(), Step::Put("again", 7, 900)).unwrap();
    assert!(open(&torn).unwrap().get(ROWS, b"again").unwrap().is_some());
}

#[test]
fn an_index_that_is_ahead_of_its_log_is_refused_though_there_are_zeros_where_the_records_were() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    for key in ["one", "two", "three"] {
        act(&engine, Step::Put(key, 7, 900)).unwrap();
    }
    drop(engine);
    let segment = "log/00000000000000000001.log";
    let length = storage.files()[segment];
    for kept in [length - 1, length - 500, length - 900, HEADER_BYTES + 10] {
        let copied = storage.after_kill();
        let file = copied.open(segment).unwrap();
        let zeros = vec![0; usize::try_from(length - kept).unwrap() + 5_000];
        file.write_at(kept, &zeros).unwrap();
        let last_byte = kept == length - 1;
        match open(&copied) {
            Err(OpenError::Corrupt(what)) => assert!(what.contains("ends before"), "{what}"),
            // A damaged record is found when its body is read.
            Ok(_) if last_byte => {}
            Ok(_) => panic!("{kept} of {length} bytes are enough"),
            Err(other) => panic!("{other}"),
        }
    }
    drop(open(&storage).unwrap());
}

#[test]
fn a_small_body_that_was_just_written_is_read_without_the_disk() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    act(&engine, Step::Put("body", 7, 600)).unwrap();
    let row = engine.get(ROWS, b"body").unwrap().unwrap();
    storage.fail_reads(Some("log/"));
    let mut reader = Reader::open(engine.shared(), vec![(body_of(&row), 100..600)])
        .unwrap()
        .unwrap();
    assert!(reader.is_at_hand());
    assert_eq!(reader.next_piece(10_000).unwrap(), content(7, 600)[100..]);
    assert!(reader.next_piece(10_000).unwrap().is_empty());
    assert!(matches!(
        read(&engine, body_of(&row), 600),
        Err(Error::Io(_))
    ));
}

/// An engine that syncs large files while they come, and a body of three early syncs that is not finished.
fn early(storage: &MemoryStorage) -> (Engine, BodyWriter) {
    let settings = Settings {
        syncs_early: true,
        ..SETTINGS
    };
    let engine = open_with(storage, settings).unwrap();
    let mut writer = BodyWriter::new(engine.shared(), &[], u64::MAX, 1_024);
    let piece = Bytes::from(vec![7; 1 << 20]);
    for _ in 0..25 {
        writer.write(&piece).unwrap();
    }
    (engine, writer)
}

fn wait_until(is_done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_done() {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    panic!("it did not come to it");
}

#[test]
fn a_large_file_is_synced_while_it_comes() {
    let storage = MemoryStorage::new();
    drop(open(&storage).unwrap());
    let before = storage.count(Operation::Sync);
    let (engine, writer) = early(&storage);
    wait_until(|| storage.count(Operation::Sync) > before);
    let body = writer.finish().unwrap();
    assert_eq!(body.size_bytes(), 25 << 20);
    // One that is given up is no concern of anybody.
    let (_, writer) = early(&MemoryStorage::new());
    drop(writer);
    drop(engine);
}

#[test]
fn a_failed_early_sync_is_not_forgotten_by_the_last() {
    let storage = MemoryStorage::new();
    let settings = Settings {
        syncs_early: true,
        ..SETTINGS
    };
    let engine = open_with(&storage, settings).unwrap();
    let mut writer = BodyWriter::new(engine.shared(), &[], u64::MAX, 1_024);
    let piece = Bytes::from(vec![7; 1 << 20]);
    writer.write(&piece).unwrap();
    storage.break_all(Operation::Sync, Some(io::ErrorKind::Other));
    let mut is_refused = false;
    for _ in 0..10 {
        // Once it has failed no more is taken.
        is_refused |= writer.write(&piece).is_err();
    }
    wait_until(|| engine.facts().is_read_only);
    storage.break_all(Operation::Sync, None);
    assert!(is_refused || matches!(writer.finish(), Err(Error::ReadOnly)));
}

#[test]
fn a_body_whose_file_is_gone_or_unreadable_is_an_error() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    act(&engine, Step::Put("body large", 7, 5_000)).unwrap();
    let row = engine.get(ROWS, b"body large").unwrap().unwrap();
    storage.fail_reads(Some("blobs/"));
    assert!(matches!(
        read(&engine, body_of(&row), 5_000),
        Err(Error::Io(_))
    ));
    storage.fail_reads(None);
    let path = storage
        .files()
        .into_keys()
        .find(|path| path.starts_with("blobs/"));
    storage.remove(&path.unwrap()).unwrap();
    assert!(matches!(
        read(&engine, body_of(&row), 5_000),
        Err(Error::Corrupt { .. })
    ));
}

/// A store whose index is lost, so that opening reads the whole log, and the state it had.
fn without_index() -> (MemoryStorage, State) {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    for step in RUN.iter().take(7) {
        act(&engine, *step).unwrap();
    }
    let last = state(&engine);
    drop(engine);
    let index = storage
        .files()
        .into_keys()
        .filter(|path| path.starts_with("index"));
    for path in index {
        storage.remove(&path).unwrap();
    }
    (storage, last)
}

#[test]
fn an_index_that_is_lost_is_rebuilt_from_the_log() {
    let (storage, last) = without_index();
    assert_eq!(state(&open(&storage).unwrap()), last);
}

#[test]
fn damage_to_an_acknowledged_record_stops_opening_rather_than_lose_what_is_behind_it() {
    let (storage, _) = without_index();
    let (path, length) = storage
        .files()
        .into_iter()
        .find(|(path, _)| path.starts_with("log/"))
        .unwrap();
    // The last record of the log could be a torn one that nobody was told of.
    for at in (48..usize::try_from(length).unwrap() - 300).step_by(5) {
        assert!(storage.flip_bit(&path, at, 0));
        assert!(
            matches!(open(&storage), Err(OpenError::Corrupt(_))),
            "byte {at} of {length}"
        );
        assert!(storage.flip_bit(&path, at, 0));
    }
    open(&storage).unwrap();
}

#[test]
fn what_a_foreign_hand_left_behind_the_log_is_cut_off() {
    let (storage, last) = without_index();
    let segments = storage.list("log").unwrap();
    let file = storage
        .open(&format!("log/{}", segments.last().unwrap()))
        .unwrap();
    let size = file.size_bytes().unwrap();
    file.write_at(size, &[0x5a; 3_000]).unwrap();
    let engine = open(&storage).unwrap();
    assert_eq!(state(&engine), last);
    assert_eq!(file.size_bytes().unwrap(), size);
    act(&engine, Step::Set("a", "after")).unwrap();
}

#[test]
fn a_missing_segment_stops_opening() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    for step in RUN {
        act(&engine, *step).unwrap();
    }
    drop(engine);
    let last = storage.list("log").unwrap().into_iter().max().unwrap();
    storage.remove(&format!("log/{last}")).unwrap();
    assert!(matches!(open(&storage), Err(OpenError::Corrupt(_))));
}

#[test]
fn a_folder_in_another_format_or_not_ours_or_in_use_is_refused() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    assert!(matches!(open(&storage), Err(OpenError::Locked)));
    drop(engine);
    let format = storage.open("FORMAT").unwrap();
    format.write_at(8, &7_u32.to_le_bytes()).unwrap();
    assert!(matches!(
        open(&storage),
        Err(OpenError::UnknownFormat { found: 7, known: 1 })
    ));
    format.truncate(10).unwrap();
    assert!(matches!(open(&storage), Err(OpenError::Corrupt(_))));

    let foreign = MemoryStorage::new();
    foreign.create("holiday.jpg").unwrap();
    match open(&foreign) {
        Err(OpenError::NotADataFolder(why)) => assert!(why.contains("holiday.jpg"), "{why}"),
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(foreign.files().len(), 1, "nothing was put into it");
}

#[test]
fn the_time_and_the_sequence_never_go_back() {
    let storage = MemoryStorage::new();
    let open_at = |millis: i64| {
        let storage: Arc<dyn Storage> = Arc::new(storage.clone());
        Engine::open(
            storage,
            |storage| Ok(Box::new(BufferedIndex::new(MapIndex::open(storage)?))),
            Arc::new(move || Timestamp::from_millis(millis)),
            SETTINGS,
        )
        .unwrap()
    };
    let mark = |engine: &Engine| {
        engine
            .transaction::<_, Error>(|tx| {
                tx.put(ROWS, b"a", b"1".to_vec());
                Ok((tx.now(), tx.sequence(), tx.sequence()))
            })
            .unwrap()
    };
    let (then, first, second) = mark(&open_at(5_000));
    assert_eq!(then, Timestamp::from_millis(5_000));
    assert!(first < second);
    let engine = open_at(4_000);
    assert_eq!(engine.now(), then);
    let (later, third, _) = mark(&engine);
    assert!(later >= then && third > second);
}

#[test]
fn a_reader_keeps_its_bytes_though_the_body_is_freed() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    for (key, size) in [("body large", 3 * CHUNK_BYTES), ("body small", 900)] {
        act(&engine, Step::Put(key, 9, size)).unwrap();
        let row = engine.get(ROWS, key.as_bytes()).unwrap().unwrap();
        let pieces = vec![(body_of(&row), 0..size as u64)];
        let reader = || Reader::open(engine.shared(), pieces.clone()).unwrap();
        // One that has begun, and one that has not even opened the file.
        let mut readers = [reader().unwrap(), reader().unwrap()];
        let first = readers[0].next_piece(100).unwrap().to_vec();
        act(&engine, Step::Remove(key)).unwrap();
        // More log, so that the body's segment is behind a checkpoint and empty.
        for seed in 0..12 {
            act(&engine, Step::Put("body other", seed, 1_000)).unwrap();
            act(&engine, Step::Remove("body other")).unwrap();
        }
        assert!(reader().is_none());
        for (mut bytes, mut reader) in [first, Vec::new()].into_iter().zip(readers) {
            while reader.remaining_bytes() > 0 {
                bytes.extend_from_slice(&reader.next_piece(usize::MAX).unwrap());
            }
            assert!(bytes == content(9, size), "{key}");
        }
        let files = storage.files();
        assert!(
            !files.keys().any(|path| path.starts_with("blobs/")),
            "{files:?}"
        );
    }
}

#[test]
fn a_range_shows_rows_in_order_with_the_transactions_own_changes() {
    let engine = open(&MemoryStorage::new()).unwrap();
    let rows = |bounds: (Bound<&[u8]>, Bound<&[u8]>), backwards: bool| {
        engine
            .transaction::<_, Error>(|tx| {
                tx.put(ROWS, b"c", b"new".to_vec());
                tx.put(ROWS, b"b2", b"new".to_vec());
                tx.delete(ROWS, b"d");
                let keys: Result<Vec<_>, Error> = tx
                    .range(ROWS, bounds, backwards, usize::MAX)
                    .map(|row| {
                        row.map(|(key, value)| {
                            format!(
                                "{}={}",
                                String::from_utf8_lossy(&key),
                                String::from_utf8_lossy(&value)
                            )
                        })
                    })
                    .collect();
                let keys = keys?;
                // Undone, so that each case begins alike.
                tx.put(ROWS, b"c", b"old".to_vec());
                tx.put(ROWS, b"d", b"old".to_vec());
                tx.delete(ROWS, b"b2");
                Ok(keys)
            })
            .unwrap()
    };
    for key in [b"a", b"c", b"d", b"e"] {
        engine
            .transaction::<_, Error>(|tx| {
                tx.put(ROWS, key, b"old".to_vec());
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(
        rows(EVERYTHING, false),
        ["a=old", "b2=new", "c=new", "e=old"]
    );
    assert_eq!(
        rows(EVERYTHING, true),
        ["e=old", "c=new", "b2=new", "a=old"]
    );
    let inner = (
        Bound::Excluded(b"a".as_slice()),
        Bound::Included(b"c".as_slice()),
    );
    assert_eq!(rows(inner, false), ["b2=new", "c=new"]);
    assert_eq!(rows(inner, true), ["c=new", "b2=new"]);
    let nothing = (
        Bound::Included(b"x".as_slice()),
        Bound::Excluded(b"b".as_slice()),
    );
    assert!(rows(nothing, false).is_empty());
}

#[test]
fn a_transaction_too_large_is_refused_and_changes_nothing() {
    let engine = open(&MemoryStorage::new()).unwrap();
    let outcome: crate::Result<()> = engine.transaction(|tx| {
        for n in 0..20_u8 {
            tx.put(ROWS, &[n], vec![0; 1 << 20]);
        }
        Ok(())
    });
    assert!(matches!(outcome, Err(Error::InvalidArgument(_))));
    let outcome: crate::Result<()> = engine.transaction(|tx| {
        tx.put(ROWS, &vec![0; 70_000], Vec::new());
        Ok(())
    });
    assert!(matches!(outcome, Err(Error::InvalidArgument(_))));
    assert!(state(&engine).is_empty());
    act(&engine, Step::Set("a", "1")).unwrap();
}

#[test]
fn a_transaction_that_changes_nothing_does_not_touch_the_disk() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    act(&engine, Step::Set("a", "1")).unwrap();
    let before = storage.operations();
    let seen = engine
        .transaction::<_, Error>(|tx| tx.get(ROWS, b"a"))
        .unwrap();
    assert_eq!(seen.unwrap(), b"1");
    assert_eq!(storage.operations(), before);
}

#[test]
fn a_body_that_was_added_twice_over_is_freed_with_the_last_hold() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    let large = body(&engine, 1, 5_000).unwrap();
    engine
        .transaction::<_, Error>(|tx| {
            let id = tx.add_body(large);
            tx.put(ROWS, b"body one", named(id, 1, 5_000));
            tx.retain_body(id)?;
            tx.put(ROWS, b"body two", named(id, 1, 5_000));
            Ok(())
        })
        .unwrap();
    act(&engine, Step::Remove("body one")).unwrap();
    assert_eq!(state(&engine).len(), 1);
    act(&engine, Step::Remove("body two")).unwrap();
    assert!(
        !storage
            .files()
            .keys()
            .any(|path| path.starts_with("blobs/"))
    );
}

const WELL: u8 = 0;
const FAILS: u8 = 1;
const PANICS: u8 = 2;

/// An index that fails or panics from some moment on.
fn moody(index: MapIndex, mood: &Arc<AtomicU8>) -> OddIndex<'static> {
    let mood = Arc::clone(mood);
    OddIndex::new(index).before_a_batch(move || match mood.load(Ordering::Relaxed) {
        WELL => Ok(()),
        FAILS => Err(Error::Io(io::Error::other("the index is broken"))),
        _ => panic!("the index panics, as this test wants it to"),
    })
}

#[test]
fn an_index_that_fails_or_panics_ends_writing_keeps_nobody_waiting_and_loses_nothing() {
    for how in [FAILS, PANICS] {
        let disk = MemoryStorage::new();
        let mood = Arc::new(AtomicU8::new(WELL));
        let engine = Engine::open(
            Arc::new(disk.clone()),
            |storage| Ok(Box::new(moody(MapIndex::open(storage)?, &mood))),
            Arc::new(|| Timestamp::from_millis(1_000)),
            SETTINGS,
        )
        .unwrap();
        act(&engine, Step::Set("a", "1")).unwrap();
        mood.store(how, Ordering::Relaxed);
        assert!(matches!(
            act(&engine, Step::Put("body large", 5, 5_000)),
            Err(Error::ReadOnly)
        ));
        mood.store(WELL, Ordering::Relaxed);
        assert!(matches!(
            act(&engine, Step::Set("a", "2")),
            Err(Error::ReadOnly)
        ));
        assert_eq!(engine.get(ROWS, b"a").unwrap().unwrap(), b"1");
        drop(engine);
        // It was in the log, so its file must have stayed.
        let state = state(&open(&disk.after_crash(0)).unwrap());
        assert_eq!(state.len(), 2);
    }
}
