use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, JoinSet};
use tracing::{error, info, warn};
use two_buckets_depot::{Depot, Versioning};
use two_buckets_objects::{BucketName, ObjectStore, Timestamp};
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{
    Clock, Driver, Incoming, Ledger, ProcessError, Processor, Report, Settings, SweepError,
    Sweeper, Swept,
};
use two_buckets_s3_api::Pins;

use crate::lanes::{Entered, Place};
use crate::wake::Woken;
use crate::{DepotLedger, DepotStore, Jobs, Lanes, WakeQueue};

/// How many workers there are, and how often they look for what no wake-up told of.
#[derive(Clone)]
pub struct Options {
    /// How many keys are worked on at once; at least one.
    pub workers: usize,
    /// How long between two sweeps.
    pub sweep_every: Duration,
    /// How long draining waits for functions that run.
    pub drain_wait_max: Duration,
    /// How many files of a kind are worked on at once.
    pub lanes: Lanes,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 8,
            sweep_every: Duration::from_mins(5),
            drain_wait_max: Duration::from_secs(20),
            lanes: Lanes::none(),
        }
    }
}

/// How soon a sweep that failed is repeated.
const SWEEP_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The longest wait for a moment before the wall clock is looked at again, which may have jumped.
const TIMER_WAIT_MAX: Duration = Duration::from_secs(30);

/// Why workers could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Without versions an overwritten upload is gone before anybody saw it.
    #[error("versioning of bucket {0} is not enabled; enable it, the pipeline rests on it")]
    NotVersioned(BucketName),
    /// The store failed.
    #[error("the workers cannot start: {0}")]
    Store(#[from] two_buckets_depot::Error),
    /// Whether processing is paused cannot be read.
    #[error("the workers cannot start: {0}")]
    Ledger(#[from] two_buckets_pipeline::ledger::Error),
}

/// The store's clock: its time never goes back.
#[derive(Clone)]
pub struct DepotClock(pub Depot);

impl Clock for DepotClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

pub(crate) type LocalDriver<P> = Driver<DepotStore, DepotLedger, InTask<P>, DepotClock, WakeQueue>;

/// A pool of workers on one store, with its timers and its sweep.
pub struct Workers<P> {
    driver: Arc<LocalDriver<P>>,
    queue: WakeQueue,
    is_stopping: Arc<AtomicBool>,
    /// One sweep at a time; held over a whole sweep.
    sweeping: Arc<tokio::sync::Mutex<()>>,
    pool: JoinSet<()>,
    background: Vec<JoinHandle<()>>,
    drain_wait_max: Duration,
}

impl<P: Processor> Workers<P> {
    /// Starts workers, timers and the sweep, whose first run begins at once. Both buckets must be versioned.
    /// Must be called in a runtime. Blocks on the disk for a moment.
    pub fn start(
        depot: Depot,
        ledger: DepotLedger,
        queue: WakeQueue,
        processor: P,
        settings: Settings,
        options: &Options,
    ) -> Result<Self, StartError> {
        for bucket in [&settings.staging, &settings.archive] {
            if depot.bucket(bucket)?.versioning != Versioning::Enabled {
                return Err(StartError::NotVersioned(bucket.clone()));
            }
        }
        // A pause outlives whoever asked for it and the server that was asked.
        if ledger.pause_row()?.is_some() {
            queue.pause();
        }
        ledger.tell_of_noted(queue.unnoted().clone());
        let driver = Arc::new(Driver {
            store: Arc::new(DepotStore::new(depot.clone())),
            ledger: Arc::new(ledger),
            processor: Arc::new(InTask::new(processor)),
            clock: Arc::new(DepotClock(depot)),
            wake_ups: Arc::new(queue.clone()),
            random: Arc::new(random),
            settings,
        });
        let is_stopping = Arc::new(AtomicBool::new(false));
        let sweeping = Arc::default();
        let mut pool = JoinSet::new();
        for _ in 0..options.workers.max(1) {
            pool.spawn(work(
                Arc::clone(&driver),
                queue.clone(),
                options.lanes.clone(),
                Arc::clone(&is_stopping),
            ));
        }
        let background = vec![
            tokio::spawn(ring(Arc::clone(&driver), queue.clone())),
            tokio::spawn(sweep_always(
                Arc::clone(&driver),
                queue.clone(),
                Arc::clone(&is_stopping),
                Arc::clone(&sweeping),
                options.sweep_every,
            )),
        ];
        Ok(Self {
            driver,
            queue,
            is_stopping,
            sweeping,
            pool,
            background,
            drain_wait_max: options.drain_wait_max,
        })
    }

    /// What sweeps on demand.
    pub fn sweep_handle(&self) -> SweepHandle<P> {
        SweepHandle {
            driver: Arc::clone(&self.driver),
            is_stopping: Arc::clone(&self.is_stopping),
            sweeping: Arc::clone(&self.sweeping),
        }
    }

    /// What serves jobs.
    ///
    /// There must be one, with its clones; what the credentials of their functions mean is said in these pins.
    pub fn jobs(&self, pins: Pins) -> Jobs<P> {
        Jobs::new(Arc::clone(&self.driver), pins)
    }

    /// Begins nothing new, waits for what runs, and ends, and with it what listeners hear of the ledger. None of it has the
    /// store open any more. What runs longer than the wait is cut off and begins again at the next start, as one of its
    /// attempts; only a call on the store that it was in may go on for a moment.
    pub async fn drain(mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.queue.close();
        let all = async {
            while self.pool.join_next().await.is_some() {}
            // A sweep stops between two calls. Aborted in one, it would leave that to a thread of its own, which has the
            // store open until it has ended. While this is held no other sweep begins a call.
            self.sweeping.lock().await
        };
        let no_sweep = tokio::time::timeout(self.drain_wait_max, all).await;
        for task in &self.background {
            task.abort();
        }
        if no_sweep.is_err() {
            warn!(
                workers = self.pool.len(),
                "what still runs is cut off; it runs again at the next start"
            );
            self.pool.shutdown().await;
        }
        for task in self.background {
            if let Err(error) = task.await
                && error.is_panic()
            {
                error!(%error, "a task of the workers panicked");
            }
        }
        self.driver.ledger.close_feed();
    }
}

/// Sweeps on demand. Cheap to clone; outlives the workers without harm.
pub struct SweepHandle<P> {
    driver: Arc<LocalDriver<P>>,
    is_stopping: Arc<AtomicBool>,
    sweeping: Arc<tokio::sync::Mutex<()>>,
}

impl<P> Clone for SweepHandle<P> {
    fn clone(&self) -> Self {
        Self {
            driver: Arc::clone(&self.driver),
            is_stopping: Arc::clone(&self.is_stopping),
            sweeping: Arc::clone(&self.sweeping),
        }
    }
}

impl<P: Processor> SweepHandle<P> {
    /// Sweeps once, after a sweep that is under way.
    pub async fn sweep(&self) -> Result<Swept, SweepError> {
        sweep_once(&*self.driver, &self.is_stopping, &self.sweeping).await
    }
}

async fn sweep_once<S, L, P, C>(
    driver: &Driver<S, L, P, C, WakeQueue>,
    is_stopping: &AtomicBool,
    sweeping: &tokio::sync::Mutex<()>,
) -> Result<Swept, SweepError>
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
{
    let _one_at_a_time = sweeping.lock().await;
    let sweeper = Sweeper { driver };
    let queue = &*driver.wake_ups;
    let stopping = || is_stopping.load(Ordering::Relaxed);
    queue.sweep_begins();
    let began = driver.clock.now();
    let swept = sweeper.sweep_while(&stopping, &|| queue.is_paused()).await;
    queue.sweep_ends(swept.is_ok() && !stopping());
    let ended = driver.clock.now();
    queue.sweeps().ended(swept.as_ref().ok(), began, ended);
    swept
}

/// One worker of a pool: takes a turn on key after key until the queue is closed.
///
/// This loop, [`ring`] and [`sweep_always`] are what [`Workers`] runs; they take any driver, for whoever brings another
/// store or ledger, as the simulator does. Dropping it midway is a crash of the worker.
pub async fn work<S, L, P, C>(
    driver: Arc<Driver<S, L, P, C, WakeQueue>>,
    queue: WakeQueue,
    lanes: Lanes,
    is_stopping: Arc<AtomicBool>,
) where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
{
    // Also in the middle of a key: its next version waits until processing is resumed.
    let stopping = || is_stopping.load(Ordering::Relaxed) || queue.is_paused();
    while let Some(woken) = queue.next().await {
        let Some((woken, _place)) = placed(&driver, &lanes, woken).await else {
            continue;
        };
        let outcome = driver
            .run(&woken.wake_up.key, woken.wake_up.why, &stopping)
            .await;
        if outcome.stopped == Stopped::Drained {
            // Its turn was cut short, so it is still owed one; of a queue that is closed nothing comes back.
            woken.first_again();
        }
    }
}

/// Finds a place in the lane of the key's newest version; none if the key was put aside.
async fn placed<S: ObjectStore, L, P, C>(
    driver: &Driver<S, L, P, C, WakeQueue>,
    lanes: &Lanes,
    woken: Woken,
) -> Option<(Woken, Option<Place>)> {
    if lanes.are_none() {
        return Some((woken, None));
    }
    let Ok(file) = driver.store.head(&woken.wake_up.key).await else {
        // What is not there or cannot be read has no lane; the turn finds out what it is about.
        return Some((woken, None));
    };
    match lanes.enter(woken, &file) {
        Entered::Free(woken) => Some((woken, None)),
        Entered::Placed(woken, place) => Some((woken, Some(place))),
        Entered::Aside => None,
    }
}

/// The timers of a pool: hands out keys whose moment has come, for ever. Dropping it ends it.
pub async fn ring<S, L, P, C: Clock>(driver: Arc<Driver<S, L, P, C, WakeQueue>>, queue: WakeQueue) {
    loop {
        let now = driver.clock.now();
        let wait = match queue.ring(now) {
            Some(at) => at.since(now).min(TIMER_WAIT_MAX),
            None => TIMER_WAIT_MAX,
        };
        tokio::select! {
            // Which is seen first changes nothing; so it is always the same.
            biased;
            () = queue.timers_changed() => {}
            () = driver.clock.sleep(wait) => {}
        }
    }
}

/// The sweep of a pool: once at the start, then on a schedule and whenever hints were dropped, for ever; one at a time
/// of those that share `sweeping`. Dropping it midway leaves some keys unwoken until the next.
pub async fn sweep_always<S, L, P, C>(
    driver: Arc<Driver<S, L, P, C, WakeQueue>>,
    queue: WakeQueue,
    is_stopping: Arc<AtomicBool>,
    sweeping: Arc<tokio::sync::Mutex<()>>,
    every: Duration,
) where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
{
    loop {
        let wait = match sweep_once(&*driver, &is_stopping, &sweeping).await {
            Ok(swept) => {
                if swept.woken
                    + swept.finished
                    + swept.explained
                    + swept.expired
                    + swept.passed_over
                    > 0
                {
                    info!(
                        listed = swept.listed,
                        woken = swept.woken,
                        finished = swept.finished,
                        explained = swept.explained,
                        expired = swept.expired,
                        passed_over = swept.passed_over,
                        "the sweep found work"
                    );
                }
                every
            }
            Err(error) => {
                warn!(%error, "the sweep is repeated soon");
                SWEEP_AGAIN_AFTER.min(every)
            }
        };
        tokio::select! {
            biased;
            () = queue.overflowed() => {}
            () = driver.clock.sleep(wait) => {}
        }
    }
}

/// A number for waits: good enough to spread them, nothing else rests on it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Runs a function in a task of its own, so that its panic is its own crash and not the worker's.
pub struct InTask<P>(Arc<P>);

impl<P> InTask<P> {
    /// Runs this function so.
    pub fn new(processor: P) -> Self {
        Self(Arc::new(processor))
    }
}

impl<P: Processor> Processor for InTask<P> {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let processor = Arc::clone(&self.0);
        let task = AbortOnDrop(tokio::spawn(async move { processor.process(upload).await }));
        task.await.unwrap_or_else(|error| {
            Err(ProcessError::Crashed(match error.try_into_panic() {
                Ok(panic) => format!("the function panicked: {}", panic_text(&*panic)),
                Err(_) => "the function was stopped".into(),
            }))
        })
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it left no message")
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}
