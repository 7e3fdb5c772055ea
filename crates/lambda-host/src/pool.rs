//! The environments of one host: which are idle, which there are at all, and how many may be busy.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::config::Config;
use crate::environment::Shared;
use crate::environment_id::EnvironmentId;
use crate::exchange::Signal;
use crate::failure::Failure;
use crate::host::Facts;
use crate::outcome::Ended;
use crate::process;
use crate::scanner::Scanner;

pub(crate) struct Pool {
    pub(crate) config: Config,
    pub(crate) scanner: Arc<Scanner>,
    /// One for each invocation that may run. An environment keeps its place until its last process is gone.
    pub(crate) places: Arc<Semaphore>,
    inner: Mutex<Inner>,
    /// How many environments there are.
    pub(crate) alive: watch::Sender<usize>,
    /// What has ended, by how.
    pub(crate) ended: Ended,
}

#[derive(Default)]
struct Inner {
    is_stopped: bool,
    /// The one that was used last is last, and is taken first: the others may become idle long enough to end.
    idle: Vec<Arc<Shared>>,
    all: HashMap<EnvironmentId, Arc<Shared>>,
    started: u64,
    ended: u64,
}

impl Pool {
    pub(crate) fn new(config: Config) -> Pool {
        Pool {
            scanner: Arc::default(),
            places: Arc::new(Semaphore::new(config.concurrency)),
            config,
            inner: Mutex::default(),
            alive: watch::Sender::new(0),
            ended: Ended::default(),
        }
    }

    /// Takes an idle environment that can be used, and gives it this place; else the place is given back.
    pub(crate) fn take_idle(
        &self,
        place: OwnedSemaphorePermit,
    ) -> Result<Arc<Shared>, OwnedSemaphorePermit> {
        let mut inner = self.lock();
        while let Some(shared) = inner.idle.pop() {
            // Its process may have ended without its supervisor having seen it yet.
            if shared.is_ending.load(Ordering::Acquire) || process::ended(shared.pid).is_some() {
                continue;
            }
            if self.is_worn_out(&shared) {
                shared.end(Failure::Stopped);
                continue;
            }
            shared.put_place(place);
            return Ok(shared);
        }
        Err(place)
    }

    /// Whether an environment has had its invocations or its time.
    pub(crate) fn is_worn_out(&self, shared: &Shared) -> bool {
        shared.invocations.load(Ordering::Relaxed) >= self.config.recycle_after
            || shared.born.elapsed() >= self.config.life_max
    }

    /// An environment is ready and nobody's: it becomes idle and gives up its place.
    pub(crate) fn rest(&self, shared: &Arc<Shared>) {
        let mut inner = self.lock();
        if inner.is_stopped || shared.is_ending.load(Ordering::Acquire) {
            // Its supervisor ends it, and then gives up the place.
            return;
        }
        inner.idle.push(shared.clone());
        drop(inner);
        shared.signals.send(Signal::Idle).ok();
        drop(shared.take_place());
    }

    /// Takes this environment from the idle ones. False when somebody else has taken it.
    pub(crate) fn claim(&self, shared: &Shared) -> bool {
        let mut inner = self.lock();
        let before = inner.idle.len();
        inner.idle.retain(|it| it.id != shared.id);
        inner.idle.len() < before
    }

    /// Takes note of a new environment, unless the host has been stopped.
    pub(crate) fn register(&self, shared: &Arc<Shared>) -> Result<(), Failure> {
        let mut inner = self.lock();
        if inner.is_stopped {
            return Err(Failure::Stopped);
        }
        inner.started += 1;
        inner.all.insert(shared.id.clone(), shared.clone());
        self.alive.send_replace(inner.all.len());
        Ok(())
    }

    /// An environment is gone with all its processes.
    pub(crate) fn forget(&self, shared: &Shared) {
        let mut inner = self.lock();
        inner.idle.retain(|it| it.id != shared.id);
        if inner.all.remove(&shared.id).is_some() {
            inner.ended += 1;
        }
        self.alive.send_replace(inner.all.len());
        drop(inner);
        drop(shared.take_place());
    }

    /// Ends all environments and lets no new one be.
    pub(crate) fn stop(&self) {
        self.places.close();
        let mut inner = self.lock();
        inner.is_stopped = true;
        inner.idle.clear();
        for shared in inner.all.values() {
            shared.end(Failure::Stopped);
        }
    }

    pub(crate) fn facts(&self) -> Facts {
        let inner = self.lock();
        Facts {
            idle: inner.idle.len(),
            busy: inner.all.len() - inner.idle.len(),
            started: inner.started,
            ended: inner.ended,
            start_failures: self.ended.start_failures(),
            invocations: self.ended.by_outcome(),
        }
    }

    /// When an environment that becomes idle now is to end.
    pub(crate) fn idle_until(&self, shared: &Shared) -> Instant {
        let by_age = shared.born + self.config.life_max;
        by_age.min(Instant::now() + self.config.idle_timeout)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here calls code that is not ours.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
