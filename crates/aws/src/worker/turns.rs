//! Turns on keys that wake-ups name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{debug, warn};
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{Clock as _, Driver, Outcome, Processor, Settings, WakeUp};

use super::bounded::Bounded;
use super::bounds::Bounds;
use super::jobs::DeploymentJobs;
use super::metrics::Metrics;
use super::pauses::Pauses;
use super::system::{SystemClock, random};
use crate::S3Store;
use crate::ledger::DynamoLedger;
use crate::wake::SqsWakeUps;

/// What turns are taken with.
#[derive(Debug)]
pub struct TurnsOptions {
    /// Both buckets.
    pub store: S3Store,
    /// The ledger.
    pub ledger: DynamoLedger,
    /// Where keys go that have something to do later.
    pub wake_ups: SqsWakeUps<SystemClock>,
    /// How the pipeline works, and in whose name.
    pub settings: Settings,
    /// The longest run of the function; as long as it takes where none is said.
    pub processing_time_max: Option<Duration>,
    /// Whether processing is paused.
    pub pauses: Pauses,
    /// Who starts the jobs that files are left to.
    pub jobs: DeploymentJobs,
    /// Where figures go.
    pub metrics: Metrics,
}

/// Takes turns on keys, as often and as many at once as it is asked to; leases keep them apart.
#[derive(Debug)]
pub struct Turns<P> {
    store: Arc<S3Store>,
    ledger: Arc<DynamoLedger>,
    wake_ups: Arc<SqsWakeUps<SystemClock>>,
    processor: Arc<P>,
    settings: Settings,
    processing_time_max: Option<Duration>,
    pauses: Pauses,
    jobs: DeploymentJobs,
    metrics: Metrics,
    is_stopping: AtomicBool,
}

/// What became of a wake-up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It tells of another bucket than staging; done with.
    NotOurs,
    /// Processing is paused; done with, for the sweep that begins when it goes on finds the key.
    Paused,
    /// The turn ended; done with. If it was cut short, the key was woken again.
    Ended(Outcome),
    /// The turn was cut short, and the key could not be woken again: the wake-up must not be acknowledged.
    StillOwed(Outcome),
}

impl Taken {
    /// Whether the wake-up may be acknowledged.
    pub fn is_done(&self) -> bool {
        !matches!(self, Self::StillOwed(_))
    }
}

impl<P: Processor> Turns<P> {
    /// Takes turns with this function. Calls nobody.
    pub fn new(processor: P, options: TurnsOptions) -> Self {
        Self {
            store: Arc::new(options.store),
            ledger: Arc::new(options.ledger),
            wake_ups: Arc::new(options.wake_ups),
            processor: Arc::new(processor),
            settings: options.settings,
            processing_time_max: options.processing_time_max,
            pauses: options.pauses,
            jobs: options.jobs,
            metrics: options.metrics,
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Begins nothing new from now on, in the middle of a key either. What has begun goes on.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Takes the turn that a wake-up asks for, within the bounds of an invocation if there is one. A turn that is cut
    /// short by those bounds or by [`Self::stop`] wakes its key again, and by a pause does not.
    ///
    /// Dropping the future midway is a crash of the worker: nothing is lost, the lease runs out, an attempt that had begun
    /// counts, and the sweep finds the key. Nothing of it goes on but a thread of the function's own, which hears of it.
    pub async fn take(&self, wake_up: WakeUp, bounds: Option<Bounds>) -> Taken {
        if wake_up.key.bucket != self.settings.staging {
            debug!(bucket = %wake_up.key.bucket, key = %wake_up.key.key, "an event of another bucket");
            return Taken::NotOurs;
        }
        if self.pauses.is_paused(SystemClock.now()).await {
            return Taken::Paused;
        }
        let driver = self.driver(bounds.map(|bounds| bounds.process_until));
        let is_over =
            || bounds.is_some_and(|bounds| SystemClock.now() >= bounds.begin_until) || self.stops();
        let stopping = || is_over() || self.pauses.is_known_paused();
        let outcome = {
            // A turn's future is large: on the heap, its callers' stay small.
            let turn = Box::pin(driver.run(&wake_up.key, wake_up.why, &stopping));
            tokio::select! {
                biased;
                outcome = turn => outcome,
                () = self.pauses.keep_asking(&SystemClock) => unreachable!("it asks for ever"),
            }
        };
        self.tell(&outcome);
        if outcome.tally.queued > 0 && !self.pauses.is_known_paused() {
            self.jobs.start_of(&wake_up.key).await;
        }
        if outcome.stopped != Stopped::Drained || self.pauses.is_known_paused() {
            return Taken::Ended(outcome);
        }
        if self.wake_ups.send(&wake_up, None).await {
            Taken::Ended(outcome)
        } else {
            Taken::StillOwed(outcome)
        }
    }

    /// Has a key looked at again whose turn was dropped, once the lease of that turn has run out. Says whether that was
    /// possible.
    pub async fn was_dropped(&self, wake_up: &WakeUp) -> bool {
        warn!(bucket = %wake_up.key.bucket, key = %wake_up.key.key,
            "a turn was dropped before its end; what it had begun counts as an attempt that crashed");
        let free = SystemClock.now().after(self.settings.lease_life);
        self.wake_ups.send(wake_up, Some(free)).await
    }

    /// Where wake-ups go.
    pub(crate) fn wake_ups(&self) -> &SqsWakeUps<SystemClock> {
        &self.wake_ups
    }

    /// Whether processing is paused.
    pub(super) fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    /// Says what a turn did.
    pub(super) fn tell(&self, outcome: &Outcome) {
        self.metrics.turn(&outcome.tally, SystemClock.now());
    }

    fn stops(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// What takes one turn. It shares all but the end of its function's time.
    pub(super) fn driver(
        &self,
        until: Option<Timestamp>,
    ) -> Driver<S3Store, DynamoLedger, Bounded<P>, SystemClock, SqsWakeUps<SystemClock>> {
        Driver {
            store: Arc::clone(&self.store),
            ledger: Arc::clone(&self.ledger),
            processor: Arc::new(Bounded {
                processor: Arc::clone(&self.processor),
                time_max: self.processing_time_max,
                until,
            }),
            clock: Arc::new(SystemClock),
            wake_ups: Arc::clone(&self.wake_ups),
            random: Arc::new(random),
            settings: self.settings.clone(),
        }
    }
}
