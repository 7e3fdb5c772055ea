//! Performs the protocol on real stores.

mod effect;
mod job;
mod turned;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use two_buckets_objects::{BucketName, ObjectRef, ObjectStore};

use crate::backoff::STORE_WAIT_MAX;
use crate::step::{Action, Input, Rules, Stopped, Work};
use crate::{Clock, Holder, Lease, Ledger, Processor, RetryAfter, Routes, WakeUp, WakeUps, Why};

pub use job::JobClaim;
use turned::Turned;

/// How a driver works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bucket uploads land in. It must be versioned.
    pub staging: BucketName,
    /// The bucket they are kept in.
    pub archive: BucketName,
    /// The worker's name.
    pub holder: Holder,
    /// How long a lease lasts unless renewed, which happens at a third of it.
    pub lease_life: Duration,
    /// How long the lease of a job lasts unless renewed. It covers the time in which a server is started anew.
    pub job_lease_life: Duration,
    /// Where uploads are processed.
    pub routes: Routes,
    /// The most attempts of an upload.
    pub attempts_max: u32,
    /// How often a store may fail in one turn of an upload.
    pub troubles_max: u32,
}

impl Settings {
    /// The life of a lease unless configured otherwise.
    pub const LEASE_LIFE_DEFAULT: Duration = Duration::from_secs(30);
    /// The life of a job's lease unless configured otherwise.
    pub const JOB_LEASE_LIFE_DEFAULT: Duration = Duration::from_mins(1);
    /// How often what a run says is kept while it runs: the most of it that is lost with a worker that dies.
    pub const SAID_KEPT_EVERY: Duration = Duration::from_secs(1);
    /// How long a key rests after a turn that a store's failure ended.
    pub const STALL_WAIT: Duration = Duration::from_secs(5);

    /// Settings for these buckets, all else as by default.
    pub fn new(staging: BucketName, archive: BucketName, holder: Holder) -> Self {
        Self {
            staging,
            archive,
            holder,
            lease_life: Self::LEASE_LIFE_DEFAULT,
            job_lease_life: Self::JOB_LEASE_LIFE_DEFAULT,
            routes: Routes::default(),
            attempts_max: Rules::ATTEMPTS_MAX_DEFAULT,
            troubles_max: Rules::TROUBLES_MAX_DEFAULT,
        }
    }
}

const _: () = assert!(
    STORE_WAIT_MAX.as_millis() * 3 < Settings::LEASE_LIFE_DEFAULT.as_millis(),
    "a pause must end before a lease is renewed"
);

/// Performs the protocol: asks [`Work`] what to do, does it by one call of a trait, and tells it what happened.
/// Renews the lease meanwhile, and drops what is under way when the lease is gone.
pub struct Driver<S, L, P, C, W> {
    /// Both buckets.
    pub store: Arc<S>,
    /// The ledger.
    pub ledger: Arc<L>,
    /// The function.
    pub processor: Arc<P>,
    /// The clock.
    pub clock: Arc<C>,
    /// Where keys go that have something to do later.
    pub wake_ups: Arc<W>,
    /// Random numbers, for waits only.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// How to work.
    pub settings: Settings,
}

/// What a turn on a key did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How it ended.
    pub stopped: Stopped,
    /// What happened to uploads.
    pub tally: Tally,
}

/// What happened to uploads in a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Archived or late, of versions that were in staging.
    pub archived: u64,
    /// Put off.
    pub deferred: u64,
    /// Left to a job.
    pub queued: u64,
    /// Set aside.
    pub failed: u64,
    /// Recognised as repeats.
    pub duplicate: u64,
    /// Finished though their version was gone from staging: it was archived.
    pub finished: u64,
    /// Set aside because their version was gone from staging and in no archive.
    pub explained: u64,
}

impl<S, L, P, C, W> Driver<S, L, P, C, W>
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
    /// What the steps have to know.
    pub fn rules(&self) -> Rules {
        Rules {
            archive: self.settings.archive.clone(),
            attempts_max: self.settings.attempts_max,
            troubles_max: self.settings.troubles_max,
            ledger: self.ledger.capabilities(),
            routes: self.settings.routes.clone(),
        }
    }

    /// Takes a turn on a key: does all there is to do about it now, if nobody else does. A key of another bucket than
    /// staging is left alone, whoever sent the wake-up.
    ///
    /// `stopping` is asked before something new is begun. Dropping the future midway is a crash of the worker: nothing
    /// is lost, the lease runs out, and an attempt that had begun counts.
    pub async fn run(
        &self,
        key: &ObjectRef,
        why: Why,
        stopping: &(dyn Fn() -> bool + Sync),
    ) -> Outcome {
        if key.bucket != self.settings.staging {
            // Taking the archive for staging would "archive" what is there and delete it.
            warn!(bucket = %key.bucket, key = %key.key, "a wake-up for a bucket that is not staging: not looked at");
            return Outcome {
                stopped: Stopped::Idle,
                tally: Tally::default(),
            };
        }
        let rules = self.rules();
        let mut turn = self.turn(key, None, self.settings.lease_life);
        let (mut work, mut action) = Work::begin(&rules, key.clone(), why);
        loop {
            if let Action::Stop(stopped) = action {
                self.rest(key, &stopped).await;
                return Outcome {
                    stopped,
                    tally: turn.tally,
                };
            }
            let input = if work.can_drain() && stopping() {
                Input::Drain
            } else {
                turn.perform(action).await
            };
            (work, action) = work.step(&rules, input);
        }
    }

    fn turn<'a>(
        &'a self,
        key: &'a ObjectRef,
        lease: Option<Lease>,
        life: Duration,
    ) -> Turned<'a, S, L, P, C, W> {
        Turned {
            driver: self,
            key,
            holder: self.settings.holder.clone(),
            lease,
            life,
            heartbeat: self.heartbeat(life),
            retry_after: RetryAfter::default(),
            tally: Tally::default(),
        }
    }

    fn heartbeat(&self, life: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.clock.sleep(life / 3))
    }

    /// Has a key that could not be finished looked at again.
    async fn rest(&self, key: &ObjectRef, stopped: &Stopped) {
        let wait = match stopped {
            Stopped::Idle | Stopped::Busy | Stopped::FencedOff | Stopped::Drained => return,
            Stopped::Stalled { reason } => {
                warn!(bucket = %key.bucket, key = %key.key, reason, "the key rests: a store fails");
                Settings::STALL_WAIT
            }
            Stopped::LedgerFailed { reason } => {
                warn!(bucket = %key.bucket, key = %key.key, reason, "the key rests: the ledger fails");
                self.settings.lease_life
            }
        };
        let wake_up = WakeUp {
            key: key.clone(),
            why: Why::Event,
        };
        self.wake_ups
            .wake(wake_up, Some(self.clock.now().after(wait)))
            .await;
    }
}
