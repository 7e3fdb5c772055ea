//! The machine stops at every operation of a run, and the disk holds whatever it may hold then.

use super::world::{RUN, State, Step, act, check_blobs, open, state, states};
use crate::engine::storage::memory::Fault;
use crate::engine::storage::{MemoryStorage, Storage as _};

/// Seeds of disks after a crash; 0 loses and 1 keeps everything that was not synced.
const SEEDS: u64 = 6;

/// Runs the steps on a disk that crashes at an operation, and says how many were acknowledged.
fn run_until_crash(crash_at: u64) -> (MemoryStorage, usize) {
    let storage = MemoryStorage::new();
    storage.fault_at(crash_at, Fault::Crash);
    let mut acknowledged = 0;
    if let Ok(engine) = open(&storage) {
        for step in RUN {
            // A step that looks for what a failed one should have left stops the run as well.
            match act(&engine, *step) {
                Ok(()) => acknowledged += 1,
                Err(_) => break,
            }
        }
    }
    (storage, acknowledged)
}

fn operations_of_the_run() -> u64 {
    let storage = MemoryStorage::new();
    drop({
        let engine = open(&storage).unwrap();
        for step in RUN {
            act(&engine, *step).unwrap();
        }
        engine
    });
    storage.operations()
}

#[test]
fn after_a_crash_anywhere_the_acknowledged_transactions_and_no_halves_are_there() {
    let states = states();
    let operations = operations_of_the_run();
    assert!(operations > 100, "the run has {operations} operations");
    for crash_at in 0..operations {
        let (storage, acknowledged) = run_until_crash(crash_at);
        for seed in 0..SEEDS {
            let disk = storage.after_crash(seed);
            let case = format!("crash at operation {crash_at}, seed {seed}");
            let engine = open(&disk).unwrap_or_else(|error| panic!("{case}: {error}"));
            let found = state(&engine);
            let at = states.iter().rposition(|state| *state == found);
            let at = at.unwrap_or_else(|| panic!("{case}: no state of the run: {found:?}"));
            assert!(
                (acknowledged..=acknowledged + 1).contains(&at),
                "{case}: {acknowledged} acknowledged, {at} there"
            );
            check_blobs(&disk, &engine, &case);
            // The store goes on from there as if nothing had happened.
            for step in RUN.iter().skip(at) {
                act(&engine, *step).unwrap_or_else(|error| panic!("{case}: {step:?}: {error}"));
            }
            assert_eq!(&state(&engine), states.last().unwrap(), "{case}");
        }
    }
}

#[test]
fn a_crash_while_opening_after_a_crash_loses_nothing() {
    let states = states();
    let operations = operations_of_the_run();
    for crash_at in (0..operations).step_by(7) {
        let (storage, acknowledged) = run_until_crash(crash_at);
        for seed in 2..4 {
            for again_at in 0.. {
                let disk = storage.after_crash(seed);
                disk.fault_at(again_at, Fault::Crash);
                let is_opened = open(&disk).is_ok();
                let disk = disk.after_crash(seed + 100);
                let case = format!("crashes at {crash_at} and {again_at}, seed {seed}");
                let engine = open(&disk).unwrap_or_else(|error| panic!("{case}: {error}"));
                let found = state(&engine);
                let at = states.iter().rposition(|state| *state == found);
                let at = at.unwrap_or_else(|| panic!("{case}: no state of the run"));
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&at),
                    "{case}: {acknowledged} acknowledged, {at} there"
                );
                if is_opened {
                    break;
                }
            }
        }
    }
}

#[test]
fn nothing_is_left_on_the_disk_of_bodies_that_are_gone() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    for step in RUN {
        act(&engine, *step).unwrap();
    }
    let blobs = || {
        storage
            .files()
            .keys()
            .filter(|path| path.starts_with("blobs/"))
            .count()
    };
    assert_eq!(blobs(), 2, "one over the limit and one of two chunks");
    let segments = storage.list("log").unwrap();
    assert!(
        !segments.iter().any(|name| name.ends_with("01.log")),
        "{segments:?}"
    );
    let keys: Vec<_> = state(&engine).into_keys().collect();
    for key in keys.iter().filter(|key| key.starts_with(b"body")) {
        let key = String::from_utf8(key.clone()).unwrap();
        act(&engine, Step::Remove(key.leak())).unwrap();
    }
    assert_eq!(blobs(), 0);
    drop(engine);
    let segments = storage.list("log").unwrap();
    assert_eq!(
        segments.len(),
        1,
        "only the segment being written is left: {segments:?}"
    );
}

#[test]
fn a_body_that_is_dropped_leaves_no_file() {
    let storage = MemoryStorage::new();
    let engine = open(&storage).unwrap();
    let before = storage.files();
    drop(super::world::body(&engine, 1, 1 << 20).unwrap());
    assert_eq!(storage.files(), before);
    let failed: crate::Result<()> = {
        let body = super::world::body(&engine, 1, 1 << 20).unwrap();
        engine.transaction(|tx| {
            tx.add_body(body);
            Err(crate::Error::ConditionFailed)
        })
    };
    assert!(failed.is_err());
    assert_eq!(storage.files(), before);
}

#[test]
fn what_was_seen_after_a_kill_outlives_a_power_loss_behind_it() {
    let states = states();
    let operations = operations_of_the_run();
    for kill_at in 0..operations {
        let (storage, acknowledged) = run_until_crash(kill_at);
        let disk = storage.after_kill();
        let case = format!("kill at operation {kill_at}");
        let engine = open(&disk).unwrap_or_else(|error| panic!("{case}: {error}"));
        let seen = state(&engine);
        let at = states.iter().rposition(|state| *state == seen);
        let at = at.unwrap_or_else(|| panic!("{case}: no state of the run"));
        assert!(
            (acknowledged..=acknowledged + 1).contains(&at),
            "{case}: {acknowledged} acknowledged, {at} there"
        );
        check_power_loss(&disk, &seen, &case);
        // Closing makes the index durable; the log must not be behind it.
        drop(engine);
        check_power_loss(&disk, &seen, &case);
    }
}

fn check_power_loss(disk: &MemoryStorage, seen: &State, case: &str) {
    for seed in [0, 1, 3] {
        let disk = disk.after_crash(seed);
        let engine = open(&disk).unwrap_or_else(|error| panic!("{case}, {seed}: {error}"));
        assert!(state(&engine) == *seen, "{case}, seed {seed}");
    }
}

#[test]
fn what_was_seen_after_a_failed_sync_and_a_restart_outlives_a_power_loss_behind_it() {
    for fail_at in 0..operations_of_the_run() {
        let storage = MemoryStorage::new();
        storage.fault_at(fail_at, Fault::Fail(std::io::ErrorKind::Other));
        let failed = match open(&storage) {
            Ok(engine) => RUN.iter().find_map(|step| act(&engine, *step).err()),
            Err(_) => Some(crate::Error::ReadOnly),
        };
        if matches!(failed, Some(crate::Error::ReadOnly)) {
            // Everything can be read, also what the failed sync should have made durable and did not.
            let case = format!("failure at operation {fail_at}");
            let engine = open(&storage).unwrap_or_else(|error| panic!("{case}: {error}"));
            let seen = state(&engine);
            check_power_loss(&storage, &seen, &case);
            drop(engine);
            check_power_loss(&storage, &seen, &case);
        }
    }
}
