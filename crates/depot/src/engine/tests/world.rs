//! An engine under test, and what its state should be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use two_buckets_objects::Timestamp;

use crate::bodies::{BodyWriter, Reader};
use crate::engine::storage::{MemoryStorage, Storage};
use crate::engine::{
    BodyId, BufferedIndex, CHUNK_BYTES, Engine, MapIndex, Schedule, Settings, Table,
};
use crate::{Body, Error, OpenError, Result};

/// Small, so that a short run makes several segments, checkpoints and journals of the index.
pub(super) const SETTINGS: Settings = Settings {
    segment_bytes_max: 8 << 10,
    ahead_bytes: 1_500,
    reserve_bytes: 0,
    finishing_bytes: 0,
    checkpoints: Schedule {
        log_bytes: 3 << 10,
        every: None,
    },
    syncs_early: false,
};
/// Bodies up to this size are in the log.
pub(super) const SMALL_BYTES_MAX: usize = 1 << 10;
/// The table the tests write.
pub(super) const ROWS: Table = Table::VERSIONS;

pub(super) fn open(storage: &MemoryStorage) -> Result<Engine, OpenError> {
    open_with(storage, SETTINGS)
}

pub(super) fn open_with(storage: &MemoryStorage, settings: Settings) -> Result<Engine, OpenError> {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    Engine::open(
        storage,
        |storage| Ok(Box::new(BufferedIndex::new(MapIndex::open(storage)?))),
        Arc::new(|| Timestamp::from_millis(1_000)),
        settings,
    )
}

/// A body of this size whose bytes depend on the seed, written in pieces of a size that fits no boundary.
pub(super) fn body(engine: &Engine, seed: u8, size_bytes: usize) -> Result<Body> {
    let mut writer = BodyWriter::new(engine.shared(), &[], u64::MAX, SMALL_BYTES_MAX);
    for piece in content(seed, size_bytes).chunks(7_777) {
        writer.write(&Bytes::copy_from_slice(piece))?;
    }
    writer.finish()
}

pub(super) fn content(seed: u8, size_bytes: usize) -> Vec<u8> {
    // Runs of a length that fits no sector or chunk; made run by run because the tests make megabytes of it.
    let mut bytes = vec![0; size_bytes];
    for (run, at) in bytes.chunks_mut(61).zip(u32::from(seed)..) {
        let mixed = at.wrapping_mul(2_654_435_761).wrapping_add(u32::from(seed));
        run.fill(mixed.to_be_bytes()[0]);
    }
    bytes
}

/// A row that names a body: its id and what is in it.
pub(super) fn named(id: BodyId, seed: u8, size_bytes: usize) -> Vec<u8> {
    let mut row = id.number().to_le_bytes().to_vec();
    row.push(seed);
    row.extend_from_slice(&(size_bytes as u64).to_le_bytes());
    row
}

pub(super) fn body_of(row: &[u8]) -> BodyId {
    BodyId::new(u64::from_le_bytes(row[..8].try_into().unwrap()))
}

/// The whole body, read in small pieces.
/// The bytes of a body as they are on the disk.
pub(super) fn read(engine: &Engine, id: BodyId, size_bytes: u64) -> Result<Vec<u8>> {
    engine.shared().forget_recent();
    let mut reader =
        Reader::open(engine.shared(), vec![(id, 0..size_bytes)])?.ok_or(Error::NoSuchVersion)?;
    let mut bytes = Vec::new();
    while reader.remaining_bytes() > 0 {
        bytes.extend_from_slice(&reader.next_piece(10_000)?);
    }
    assert!(reader.next_piece(10_000)?.is_empty());
    Ok(bytes)
}

pub(super) const EVERYTHING: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);

pub(super) type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the rows say, without the ids of bodies, every one of which must be readable and right.
pub(super) fn state(engine: &Engine) -> State {
    let mut state = BTreeMap::new();
    for row in engine.range(ROWS, EVERYTHING, false, usize::MAX) {
        let (key, value) = row.unwrap();
        if key.starts_with(b"body") {
            let (seed, size) = (value[8], u64::from_le_bytes(value[9..].try_into().unwrap()));
            let found =
                read(engine, body_of(&value), size).expect("a body that a row names is whole");
            assert!(
                found == content(seed, usize::try_from(size).unwrap()),
                "the bytes of {}",
                String::from_utf8_lossy(&key)
            );
            state.insert(key, value[8..].to_vec());
        } else {
            state.insert(key, value);
        }
    }
    state
}

/// Checks that the disk holds the files of the large bodies that rows name, and no others.
pub(super) fn check_blobs(disk: &MemoryStorage, engine: &Engine, case: &str) {
    let named: BTreeSet<String> = engine
        .range(ROWS, EVERYTHING, false, usize::MAX)
        .map(Result::unwrap)
        .filter(|(key, _)| key.starts_with(b"body"))
        .filter(|(_, row)| {
            u64::from_le_bytes(row[9..].try_into().unwrap()) > SMALL_BYTES_MAX as u64
        })
        .map(|(_, row)| body_of(&row).to_string())
        .collect();
    let found: BTreeSet<String> = disk
        .files()
        .into_keys()
        .filter(|path| path.starts_with("blobs/"))
        .map(|path| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(found, named, "{case}");
}

/// One step of a run. Steps use only what earlier steps left behind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Set(&'static str, &'static str),
    Delete(&'static str),
    Put(&'static str, u8, usize),
    Copy(&'static str, &'static str),
    Move(&'static str, &'static str),
    Remove(&'static str),
    PutMany(u8, usize),
}

/// A run that goes through every way a body can come, be shared, and go, over several segments.
pub(super) const RUN: &[Step] = &[
    Step::Set("a", "1"),
    Step::Put("body small", 1, 700),
    Step::Put("body large", 2, CHUNK_BYTES + 12_345),
    Step::Put("body empty", 3, 0),
    Step::Set("a", "2"),
    Step::Copy("body small", "body small copy"),
    Step::Copy("body large", "body large copy"),
    Step::PutMany(10, 900),
    Step::Remove("body small"),
    Step::Remove("body large"),
    Step::Delete("a"),
    Step::PutMany(20, 800),
    Step::Move("body large copy", "body moved"),
    Step::Put("body limit", 4, SMALL_BYTES_MAX),
    Step::Put("body over", 5, SMALL_BYTES_MAX + 1),
    Step::Remove("body small copy"),
    Step::Remove("body 10-0"),
    Step::Remove("body 10-1"),
    Step::Remove("body 10-2"),
    Step::Set("b", "3"),
    Step::PutMany(10, 950),
    Step::Put("body exact", 6, 2 * CHUNK_BYTES),
    Step::Remove("body moved"),
    // With these the first segment is empty, and removed by a checkpoint while the run goes on.
    Step::Remove("body 20-0"),
    Step::Remove("body 20-1"),
    Step::Remove("body 20-2"),
    Step::Remove("body limit"),
    Step::PutMany(30, 1_000),
    Step::PutMany(40, 1_000),
    Step::Set("z", "last"),
];

/// Does a step in one transaction.
pub(super) fn act(engine: &Engine, step: Step) -> Result<()> {
    match step {
        Step::Set(key, value) => engine.transaction(|tx| {
            tx.put(ROWS, key.as_bytes(), value.into());
            Ok(())
        }),
        Step::Delete(key) => engine.transaction(|tx| {
            tx.delete(ROWS, key.as_bytes());
            Ok(())
        }),
        Step::Put(key, seed, size) => {
            let body = body(engine, seed, size)?;
            engine.transaction(|tx| {
                let id = tx.add_body(body);
                tx.put(ROWS, key.as_bytes(), named(id, seed, size));
                Ok(())
            })
        }
        Step::Copy(from, to) => engine.transaction(|tx| {
            let row = tx.get(ROWS, from.as_bytes())?.unwrap();
            tx.retain_body(body_of(&row))?;
            tx.put(ROWS, to.as_bytes(), row);
            Ok(())
        }),
        Step::Move(from, to) => engine.transaction(|tx| {
            let row = tx.get(ROWS, from.as_bytes())?.unwrap();
            tx.delete(ROWS, from.as_bytes());
            tx.put(ROWS, to.as_bytes(), row);
            Ok(())
        }),
        Step::Remove(key) => engine.transaction(|tx| {
            let row = tx.get(ROWS, key.as_bytes())?.unwrap();
            tx.release_body(body_of(&row))?;
            tx.delete(ROWS, key.as_bytes());
            Ok(())
        }),
        Step::PutMany(seed, size) => {
            let bodies = (0..3)
                .map(|n| body(engine, seed + n, size))
                .collect::<Result<Vec<_>>>()?;
            engine.transaction(|tx| {
                for (n, body) in (0..).zip(bodies) {
                    let key = format!("body {seed}-{n}");
                    if let Some(row) = tx.get(ROWS, key.as_bytes())? {
                        tx.release_body(body_of(&row))?;
                    }
                    let id = tx.add_body(body);
                    tx.put(ROWS, key.as_bytes(), named(id, seed + n, size));
                }
                Ok(())
            })
        }
    }
}

/// The states after none, one, two, … of the steps.
pub(super) fn states() -> Vec<State> {
    let engine = open(&MemoryStorage::new()).unwrap();
    let mut states = vec![state(&engine)];
    for step in RUN {
        act(&engine, *step).unwrap();
        states.push(state(&engine));
    }
    states
}
