//! Many writers at once.

use std::io;
use std::sync::Arc;
use std::thread;

use super::gated::{Gate, Gated};
use super::world::{ROWS, SETTINGS, Step, act, open, state};
use crate::Error;
use crate::engine::storage::memory::Operation;
use crate::engine::storage::{MemoryStorage, Storage};
use crate::engine::{BufferedIndex, Engine, MapIndex};

const YIELDS_MAX: u32 = 1_000_000;

struct World {
    disk: MemoryStorage,
    gate: Arc<Gate>,
    engine: Arc<Engine>,
}

fn world() -> World {
    let disk = MemoryStorage::new();
    let gate = Arc::new(Gate::default());
    let storage: Arc<dyn Storage> = Arc::new(Gated {
        disk: disk.clone(),
        gate: Arc::clone(&gate),
    });
    let engine = Engine::open(
        storage,
        |storage| Ok(Box::new(BufferedIndex::new(MapIndex::open(storage)?))),
        Arc::new(Default::default),
        SETTINGS,
    )
    .unwrap();
    World {
        disk,
        gate,
        engine: Arc::new(engine),
    }
}

impl World {
    /// Puts a row on another thread.
    fn put(&self, key: String) -> thread::JoinHandle<crate::Result<()>> {
        let engine = Arc::clone(&self.engine);
        thread::spawn(move || {
            engine.transaction(|tx| {
                tx.put(ROWS, key.as_bytes(), b"1".to_vec());
                Ok(())
            })
        })
    }

    /// Waits until so many transactions stand behind the one that is being synced.
    fn wait_for_queue(&self, length: usize) {
        for _ in 0..YIELDS_MAX {
            if self.engine.shared().writers().queue.len() >= length {
                return;
            }
            thread::yield_now();
        }
        panic!("fewer than {length} transactions came to wait");
    }
}

#[test]
fn writers_that_wait_together_share_one_sync() {
    let world = world();
    world.gate.close();
    let first = world.put("first".to_owned());
    world.gate.wait_for_somebody();
    let others: Vec<_> = (0..31).map(|n| world.put(format!("{n:02}"))).collect();
    world.wait_for_queue(31);
    let syncs = world.disk.count(Operation::Sync);
    world.gate.open();
    first.join().unwrap().unwrap();
    for other in others {
        other.join().unwrap().unwrap();
    }
    let syncs = world.disk.count(Operation::Sync) - syncs;
    assert_eq!(syncs, 2, "one for the first and one for the 31 that waited");
    let reopened = open(&world.disk.after_crash(0)).unwrap();
    assert_eq!(state(&reopened).len(), 32);
}

#[test]
fn nothing_is_seen_or_answered_before_it_is_durable() {
    let world = world();
    world.gate.close();
    let writer = world.put("a".to_owned());
    world.gate.wait_for_somebody();
    assert_eq!(world.engine.get(ROWS, b"a").unwrap(), None);
    assert!(!writer.is_finished());
    // A transaction behind it sees the change, and so must wait for it though it changes nothing itself.
    let engine = Arc::clone(&world.engine);
    let reader = thread::spawn(move || engine.transaction::<_, Error>(|tx| tx.get(ROWS, b"a")));
    world.wait_for_queue(1);
    assert!(!reader.is_finished());
    let lost = open(&world.disk.after_crash(0)).unwrap();
    assert!(state(&lost).is_empty());
    world.gate.open();
    writer.join().unwrap().unwrap();
    assert_eq!(reader.join().unwrap().unwrap().unwrap(), b"1");
    assert_eq!(world.engine.get(ROWS, b"a").unwrap().unwrap(), b"1");
}

#[test]
fn a_refusal_that_rests_on_a_change_that_fails_is_not_given() {
    let world = world();
    world.gate.close();
    let writer = world.put("a".to_owned());
    world.gate.wait_for_somebody();
    let engine = Arc::clone(&world.engine);
    let refused: thread::JoinHandle<Result<(), Error>> = thread::spawn(move || {
        engine.transaction(|tx| match tx.get(ROWS, b"a")? {
            Some(_) => Err(Error::ConditionFailed),
            None => Ok(()),
        })
    });
    world.wait_for_queue(1);
    world
        .disk
        .break_all(Operation::Sync, Some(io::ErrorKind::Other));
    world.gate.open();
    assert!(matches!(writer.join().unwrap(), Err(Error::ReadOnly)));
    assert!(matches!(refused.join().unwrap(), Err(Error::ReadOnly)));
}

#[test]
fn transactions_behind_a_failed_one_fail_with_it() {
    let world = world();
    act(&world.engine, Step::Set("before", "1")).unwrap();
    world.gate.close();
    let first = world.put("first".to_owned());
    world.gate.wait_for_somebody();
    let second = world.put("second".to_owned());
    world.wait_for_queue(1);
    let engine = Arc::clone(&world.engine);
    let third = thread::spawn(move || {
        engine.transaction(|tx| {
            assert!(tx.get(ROWS, b"second")?.is_some());
            tx.put(ROWS, b"third", b"1".to_vec());
            Ok::<_, Error>(())
        })
    });
    world.wait_for_queue(2);
    // The write of the second group fails, so the first is there and the others are not, and the store goes on.
    world
        .disk
        .break_all(Operation::Write, Some(io::ErrorKind::StorageFull));
    world.gate.open();
    first.join().unwrap().unwrap();
    assert!(matches!(second.join().unwrap(), Err(Error::DiskFull)));
    assert!(matches!(third.join().unwrap(), Err(Error::DiskFull)));
    world.disk.break_all(Operation::Write, None);
    act(&world.engine, Step::Set("after", "1")).unwrap();
    let keys: Vec<_> = state(&world.engine).into_keys().collect();
    assert_eq!(
        keys,
        [b"after".to_vec(), b"before".to_vec(), b"first".to_vec()]
    );
}

#[test]
fn what_many_writers_were_told_is_there_after_a_crash() {
    let disk = MemoryStorage::new();
    let engine = Arc::new(open(&disk).unwrap());
    let writers: Vec<_> = (0..16_u64)
        .map(|writer| {
            let engine = Arc::clone(&engine);
            thread::spawn(move || {
                for n in 0..25_u64 {
                    engine
                        .transaction::<_, Error>(|tx| {
                            let count = tx
                                .get(ROWS, b"count")?
                                .map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()));
                            tx.put(ROWS, b"count", (count + 1).to_le_bytes().to_vec());
                            tx.put(ROWS, format!("{writer}-{n}").as_bytes(), vec![1]);
                            Ok(())
                        })
                        .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let reopened = open(&disk.after_crash(0)).unwrap();
    let state = state(&reopened);
    assert_eq!(state.len(), 16 * 25 + 1);
    assert_eq!(state[b"count".as_slice()], 400_u64.to_le_bytes());
}
