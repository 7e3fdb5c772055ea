use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_objects::Timestamp;

use crate::OpenError;
use crate::engine::Engine;
use crate::engine::storage::{DiskStorage, Storage};
use crate::objects::Created;

/// How to run a store.
pub struct Options {
    /// Where the time comes from. The store never lets Last-Modified go back, even when this does.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// How long HEAD and GET of a version that was moved away still answer.
    pub just_moved_grace: Duration,
    /// Bodies up to this size live in the log, larger ones in a file of their own.
    pub small_body_bytes_max: usize,
    /// Called after each new version is durable, on the thread that wrote it. Must not block.
    pub on_created: Option<Arc<dyn Fn(&Created) + Send + Sync>>,
}

/// The store. Cheap to clone; the last clone to go closes it.
#[derive(Clone)]
pub struct Depot {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) options: Options,
}

impl Depot {
    /// Opens the store in this folder, or makes one in an empty or absent folder.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let storage = DiskStorage::open(folder).map_err(OpenError::Io)?;
        Self::open_on(Arc::new(storage), options)
    }

    /// Opens the store on any [`Storage`], such as the one in memory that tests break on purpose.
    pub fn open_on(storage: Arc<dyn Storage>, options: Options) -> Result<Self, OpenError> {
        let engine = Engine::open(storage, Arc::clone(&options.clock))?;
        Ok(Self {
            inner: Arc::new(Inner { engine, options }),
        })
    }
}
