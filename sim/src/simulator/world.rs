//! What all parts of a simulation share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use two_buckets_objects::{BucketName, Key, ObjectRef};

use super::clock::VirtualClock;
use super::figures::Figures;
use super::history::History;
use super::oracle::Oracle;
use super::plan::Plan;
use super::server::Server;

/// A simulated world.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) history: History,
    pub(super) oracle: Oracle,
    pub(super) server: Server,
    figures: Mutex<Figures>,
    is_calm: AtomicBool,
    is_cured: AtomicBool,
}

/// Adds a line to the history of a world.
macro_rules! note {
    ($world:expr, $($what:tt)*) => {
        $world.history.note(format_args!($($what)*))
    };
}
pub(super) use note;

impl World {
    pub(super) fn new(plan: Plan, is_kept: bool) -> Arc<Self> {
        let clock = VirtualClock::begin();
        Arc::new(Self {
            plan,
            history: History::new(Arc::clone(&clock), is_kept),
            clock,
            oracle: Oracle::default(),
            server: Server::default(),
            figures: Mutex::default(),
            is_calm: AtomicBool::new(false),
            is_cured: AtomicBool::new(false),
        })
    }

    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether faults are over for good.
    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub(super) fn calm_down(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
    }

    /// Whether what made functions fail is fixed.
    pub(super) fn is_cured(&self) -> bool {
        self.is_cured.load(Ordering::Relaxed)
    }

    pub(super) fn cure(&self) {
        self.is_cured.store(true, Ordering::Relaxed);
    }

    /// So many beats of this world.
    pub(super) fn beats(&self, beats: u64) -> Duration {
        Duration::from_millis(self.plan.beat_ms * beats)
    }
}

pub(super) fn bucket(name: &str) -> BucketName {
    name.parse().expect("our buckets have legal names")
}

/// The bucket uploads land in.
pub(super) fn staging() -> BucketName {
    bucket("staging")
}

/// The bucket they are kept in.
pub(super) fn archive() -> BucketName {
    bucket("archive")
}

pub(super) fn in_staging(key: &Key) -> ObjectRef {
    ObjectRef {
        bucket: staging(),
        key: key.clone(),
    }
}

/// What a call answers that never waits, as all of store and ledger do here.
pub(super) fn at_once<T>(call: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(call).poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => unreachable!("the call is made on this thread"),
    }
}
