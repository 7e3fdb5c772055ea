//! A pool of the product's own workers, with its timers and its sweep, on a store and a ledger that are shaken.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use two_buckets_local::{
    DepotClock, DepotLedger, DepotStore, InTask, Lanes, StoreCalls, WakeQueue, ring, sweep_always,
    work,
};
use two_buckets_pipeline::{Driver, Holder, Settings};

use super::chance::Chance;
use super::functions::Function;
use super::gate::Gate;
use super::planted::Planted;
use super::server::{self, Life};
use super::shaken::Shaken;
use super::world::{World, archive, staging};

/// How long between two sweeps, by virtual time.
pub(super) const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The driver under test: the product's, on wrapped effects.
type SimulatedDriver = Driver<
    Shaken<Planted<DepotStore>>,
    Shaken<Planted<DepotLedger>>,
    InTask<Function>,
    DepotClock,
    WakeQueue,
>;

/// A pool to be started.
pub(super) struct Pool<'a> {
    pub(super) world: &'a Arc<World>,
    pub(super) life: &'a Life,
    pub(super) number: usize,
    pub(super) is_stopping: &'a Arc<AtomicBool>,
}

impl Pool<'_> {
    /// Starts workers, and what wakes them.
    pub(super) fn spawn(&self, workers: &mut JoinSet<()>, background: &mut JoinSet<()>) {
        let Some(queue) = self.life.queues.get(self.number) else {
            return;
        };
        let driver = self.driver("worker", queue);
        for _ in 0..self.world.plan.workers_each {
            workers.spawn(work(
                Arc::clone(&driver),
                queue.clone(),
                Lanes::none(),
                Arc::clone(self.is_stopping),
            ));
        }
        background.spawn(ring(Arc::clone(&driver), queue.clone()));
        if server::sweeps(self.world) {
            background.spawn(sweep_always(
                self.driver("sweep", queue),
                queue.clone(),
                Arc::clone(self.is_stopping),
                Arc::default(),
                SWEEP_EVERY,
            ));
        }
    }

    fn driver(&self, role: &'static str, queue: &WakeQueue) -> Arc<SimulatedDriver> {
        let (world, life) = (self.world, self.life);
        let name = format!("{role} {} of process {}", self.number, life.generation);
        let gate = Arc::new(Gate::new(world, life, self.number, role, &name));
        let random = Mutex::new(Chance::of(world.plan.seed, &format!("waits of {name}")));
        let planted_chance = || Chance::of(world.plan.seed, &format!("bugs of {name}"));
        let is_sweep = role == "sweep";
        let store = DepotStore::new(life.depot.clone()).with_calls(StoreCalls::Here);
        Arc::new(Driver {
            store: Arc::new(Shaken::new(
                Planted::new(store, world, is_sweep, planted_chance()),
                &gate,
            )),
            ledger: Arc::new(Shaken::new(
                Planted::new(life.ledger.clone(), world, is_sweep, planted_chance()),
                &gate,
            )),
            processor: Arc::new(InTask::new(Function::new(world))),
            clock: Arc::new(DepotClock(life.depot.clone())),
            wake_ups: Arc::new(queue.clone()),
            random: Arc::new(move || {
                let mut chance = random.lock().unwrap_or_else(PoisonError::into_inner);
                chance.next()
            }),
            settings: Settings::new(staging(), archive(), Holder(name)),
        })
    }
}
