//! Events on their way to the workers: lost, doubled, late, and so out of order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use two_buckets_depot::Created;
use two_buckets_local::WakeQueue;

use super::chance::Chance;
use super::world::{World, note, staging};

type Hook = Arc<dyn Fn(&Created) + Send + Sync>;

/// What tells the queues of one process of new versions, badly.
pub(super) struct Events {
    world: Arc<World>,
    hooks: Vec<Hook>,
    chance: Mutex<Chance>,
    is_over: Arc<AtomicBool>,
}

/// What becomes of one event.
enum Fate {
    Comes,
    IsLost,
    /// It comes after these waits, each time.
    ComesAfter(Vec<Duration>),
}

impl Events {
    pub(super) fn new(world: &Arc<World>, generation: u64, queues: &[WakeQueue]) -> Self {
        Self {
            world: Arc::clone(world),
            hooks: queues
                .iter()
                .map(|queue| queue.on_created(staging(), None))
                .collect(),
            chance: Mutex::new(Chance::of(world.plan.seed, &format!("events {generation}"))),
            is_over: Arc::default(),
        }
    }

    /// What the store calls for each new version.
    pub(super) fn created(&self, created: &Created) {
        if created.at.bucket != staging() {
            return;
        }
        for (pool, hook) in self.hooks.iter().enumerate() {
            match self.fate() {
                Fate::Comes => hook(created),
                Fate::IsLost => {
                    self.world.figures().lost_events += 1;
                    note!(
                        self.world,
                        "event for pool {pool} of {} lost",
                        created.at.key
                    );
                }
                Fate::ComesAfter(waits) => {
                    self.world.figures().odd_events += 1;
                    for wait in waits {
                        self.deliver_after(wait, hook, created);
                    }
                }
            }
        }
    }

    /// The process has ended; what was on its way is lost.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn fate(&self) -> Fate {
        let plan = &self.world.plan;
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        if self.world.is_calm() {
            Fate::Comes
        } else if chance.per_mille(plan.event_lost) {
            Fate::IsLost
        } else if chance.per_mille(plan.event_odd) {
            let times = chance.between(1, 3);
            let waits = (0..times).map(|_| self.world.beats(chance.below(60)));
            Fate::ComesAfter(waits.collect())
        } else {
            Fate::Comes
        }
    }

    fn deliver_after(&self, wait: Duration, hook: &Hook, created: &Created) {
        let (hook, created) = (Arc::clone(hook), created.clone());
        let is_over = Arc::clone(&self.is_over);
        // It ends by itself after its wait.
        drop(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if !is_over.load(Ordering::Relaxed) {
                hook(&created);
            }
        }));
    }
}
