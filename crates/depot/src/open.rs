use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_objects::Timestamp;

use crate::OpenError;
use crate::begun::Unawaited;
use crate::changes::{Cause, RecordChange};
use crate::engine::storage::{DiskStorage, Storage};
use crate::engine::{BufferedIndex, Engine, LsmIndex, MapIndex, Schedule, Settings};
use crate::objects::{Created, State};

/// How to run a store.
pub struct Options {
    /// Where the time comes from. The store never lets Last-Modified go back, even when this does.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// How long HEAD and GET of a version that was moved away still answer.
    pub just_moved_grace: Duration,
    /// Bodies up to this size, and never more than 4 MiB, live in the log, larger ones in a file of their own.
    pub small_body_bytes_max: usize,
    /// Called after each new version is durable, on the thread that wrote it, or on one of the store's own if nobody waits
    /// for it any more. Must not block, and must not hold the store.
    pub on_created: Option<OnCreated>,
    /// Called within each transaction for what it does to objects.
    pub record_change: Option<RecordChange>,
}

pub(crate) type OnCreated = Arc<dyn Fn(&Created) + Send + Sync>;

/// The store. Cheap to clone. The last clone to go closes it, which waits for the disk; the folder stays locked for as
/// long as a body, a writer or a reader of it is held.
#[derive(Clone)]
pub struct Depot {
    pub(crate) inner: Arc<Inner>,
    /// Why what is done through this clone is done.
    pub(crate) cause: Option<Cause>,
    /// Where transactions go that this clone does not wait for.
    pub(crate) begun: Option<Unawaited>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) options: Options,
    pub(crate) state: State,
}

impl Depot {
    /// Opens the store in this folder, or makes one in an empty or absent folder, readable by its owner only.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let storage = DiskStorage::open(folder).map_err(OpenError::Io)?;
        let index = storage.folder().join(INDEX_FOLDER);
        let settings = Settings {
            segment_bytes_max: SEGMENT_BYTES_MAX,
            ahead_bytes: AHEAD_BYTES,
            reserve_bytes: RESERVE_BYTES,
            finishing_bytes: FINISHING_BYTES,
            checkpoints: Schedule {
                log_bytes: CHECKPOINT_LOG_BYTES,
                every: Some(CHECKPOINT_EVERY),
            },
            syncs_early: true,
        };
        let clock = Arc::clone(&options.clock);
        let engine = Engine::open(
            Arc::new(storage),
            |_| Ok(Box::new(BufferedIndex::new(LsmIndex::open(&index)?))),
            clock,
            settings,
        )?;
        Self::with(engine, options)
    }

    /// Opens the store on any [`Storage`], such as the one in memory that tests break on purpose. The index is held in
    /// memory whole and kept on that storage too, and nothing happens by a clock: the same calls one after the other make
    /// the same operations on the storage.
    pub fn open_on(storage: Arc<dyn Storage>, options: Options) -> Result<Self, OpenError> {
        let settings = Settings {
            segment_bytes_max: SEGMENT_BYTES_MAX,
            ahead_bytes: AHEAD_IN_MEMORY_BYTES,
            reserve_bytes: 0,
            finishing_bytes: 0,
            checkpoints: Schedule {
                log_bytes: CHECKPOINT_LOG_BYTES,
                every: None,
            },
            syncs_early: false,
        };
        let clock = Arc::clone(&options.clock);
        let engine = Engine::open(
            storage,
            |storage| Ok(Box::new(BufferedIndex::new(MapIndex::open(storage)?))),
            clock,
            settings,
        )?;
        Self::with(engine, options)
    }

    fn with(engine: Engine, options: Options) -> Result<Self, OpenError> {
        let state = State::open(&engine, &options)?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                options,
                state,
            }),
            cause: None,
            begun: None,
        })
    }
}

/// The folder of the index inside the data folder.
const INDEX_FOLDER: &str = "index";
/// Large enough that there are few segments, small enough that one is soon empty and given back.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// So that a few hundred groups share the sync of a longer file, and little is written for nothing.
const AHEAD_BYTES: u64 = 1 << 20;
/// Where nothing is won by it: enough that what is written ahead is met.
const AHEAD_IN_MEMORY_BYTES: u64 = 16 << 10;
/// Room for the index to go on when the disk is full: its journals, and a table being written while the ones it replaces
/// are there.
const RESERVE_BYTES: u64 = 256 << 20;
/// Some hundred thousand changes of rows, whose log is given back by the next checkpoint.
const FINISHING_BYTES: u64 = 64 << 20;
/// The most log to be replayed at a start, and the most time between checkpoints while there is something to write.
const CHECKPOINT_LOG_BYTES: u64 = 64 << 20;
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
