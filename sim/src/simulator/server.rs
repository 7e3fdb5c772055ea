//! The server's processes, one after the other: started, killed, cut off from power, ended in good order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{Created, Depot, Options, Versioning};
use two_buckets_local::{DepotLedger, StoreCalls, WakeQueue};

use super::bug::Bug;
use super::chance::Chance;
use super::disk::Disk;
use super::events::Events;
use super::pool;
use super::world::{World, archive, note, staging};

/// How long a process that ends in good order waits for its functions.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(20);

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum End {
    /// In good order.
    Restart,
    /// By a signal.
    Kill,
    /// With the machine.
    PowerLoss,
}

/// One process of the server. Clones are the same one.
#[derive(Clone)]
pub(super) struct Life {
    /// Counts from 1.
    pub(super) generation: u64,
    pub(super) depot: Depot,
    pub(super) ledger: DepotLedger,
    pub(super) disk: Disk,
    pub(super) queues: Vec<WakeQueue>,
    /// Until when each pool stands still.
    pub(super) stalls: Vec<Arc<Mutex<Instant>>>,
    is_over: Arc<AtomicBool>,
}

impl Life {
    /// Whether the process has ended, or its machine.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || self.disk.has_crashed()
    }
}

/// The server, whichever process is it now.
#[derive(Default)]
pub(super) struct Server {
    state: Mutex<State>,
    end: Notify,
    up: Notify,
}

#[derive(Default)]
struct State {
    life: Option<Life>,
    wanted: Option<End>,
}

impl Server {
    /// The process that runs now, if one does.
    pub(super) fn life(&self) -> Option<Life> {
        self.state().life.clone()
    }

    /// The process that runs now, or the next one once it does.
    pub(super) async fn wait(&self) -> Life {
        loop {
            let up = self.up.notified();
            if let Some(life) = self.life() {
                return life;
            }
            up.await;
        }
    }

    /// Takes the process that runs now, when the simulation is over.
    pub(super) fn take(&self) -> Option<Life> {
        self.state().life.take()
    }

    /// Ends the process that runs now, if one does.
    pub(super) fn end(&self, how: End) {
        let mut state = self.state();
        if state.life.is_some() {
            state.wanted = state.wanted.max(Some(how));
            drop(state);
            self.end.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one process after the other, for ever.
pub(super) async fn run(world: Arc<World>) {
    let mut chance = Chance::of(world.plan.seed, "server");
    let mut memory = MemoryStorage::new();
    for generation in 1.. {
        let disk_chance = Chance::of(world.plan.seed, &format!("disk {generation}"));
        let disk = Disk::new(memory, world.plan.bug, disk_chance);
        let is_troubled = trouble_the_start(&world, &disk, &mut chance);
        memory = match start(&world, generation, &disk) {
            Ok((life, events)) => {
                let how = live(&world, life, events, &mut chance).await;
                after(&disk, how, &mut chance)
            }
            Err(why) => {
                note!(world, "process {generation} does not start: {why}");
                if !is_troubled {
                    let what = format!("the store cannot be opened: {why}");
                    world.oracle.broken(what);
                    return;
                }
                after(&disk, End::Kill, &mut chance)
            }
        };
        world.figures().disk_operations += disk.operations();
        world.figures().disk_faults += disk.flipped();
        let down = world.beats(chance.below(10));
        tokio::time::sleep(down).await;
    }
}

/// What the next process finds on the disk.
fn after(disk: &Disk, how: End, chance: &mut Chance) -> MemoryStorage {
    if how == End::PowerLoss || disk.has_crashed() {
        let seed = match chance.below(4) {
            // What these two mean to the storage: all that was not synced is lost, or none.
            few @ (0 | 1) => few,
            _ => chance.next(),
        };
        disk.after_crash(seed)
    } else {
        disk.after_kill()
    }
}

/// At times the start itself is cut off or meets a bad disk.
fn trouble_the_start(world: &World, disk: &Disk, chance: &mut Chance) -> bool {
    if world.is_calm() {
        return false;
    }
    let mut is_troubled = false;
    if world.plan.power_loss_every > 0 && chance.per_mille(150) {
        disk.crash_in(chance.below(12));
        is_troubled = true;
    }
    if world.plan.disk_error_every > 0 && chance.per_mille(150) {
        disk.fail_in(chance.below(12));
        world.figures().disk_faults += 1;
        is_troubled = true;
    }
    is_troubled
}

fn start(
    world: &Arc<World>,
    generation: u64,
    disk: &Disk,
) -> Result<(Life, Arc<Events>), Box<dyn std::error::Error + Send + Sync>> {
    let queues: Vec<_> = (0..world.plan.pools)
        .map(|_| WakeQueue::default())
        .collect();
    let events = Arc::new(Events::new(world, generation, &queues));
    let clock = Arc::clone(&world.clock);
    let hook = Arc::clone(&events);
    let depot = Depot::open_on(
        Arc::new(disk.clone()),
        Options {
            clock: Arc::new(move || clock.wall()),
            just_moved_grace: Duration::from_secs(5),
            small_body_bytes_max: world.plan.small_body_bytes_max,
            on_created: Some(Arc::new(move |created: &Created| hook.created(created))),
            record_change: None,
        },
    )?;
    for bucket in [staging(), archive()] {
        match depot.create_bucket(&bucket) {
            Ok(()) | Err(two_buckets_depot::Error::BucketExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        depot.set_versioning(&bucket, Versioning::Enabled)?;
    }
    let ledger = DepotLedger::open(depot.clone())?.with_calls(StoreCalls::Here);
    let life = Life {
        generation,
        depot,
        ledger,
        disk: disk.clone(),
        stalls: queues
            .iter()
            .map(|_| Arc::new(Mutex::new(Instant::now())))
            .collect(),
        queues,
        is_over: Arc::default(),
    };
    Ok((life, events))
}

/// From the start of a process to its end.
async fn live(world: &Arc<World>, life: Life, events: Arc<Events>, chance: &mut Chance) -> End {
    note!(world, "process {} starts", life.generation);
    let is_stopping = Arc::new(AtomicBool::new(false));
    let (mut workers, mut background) = (JoinSet::new(), JoinSet::new());
    for number in 0..life.queues.len() {
        let pool = pool::Pool {
            world,
            life: &life,
            number,
            is_stopping: &is_stopping,
        };
        pool.spawn(&mut workers, &mut background);
    }
    {
        let mut state = world.server.state();
        state.wanted = None;
        state.life = Some(life.clone());
    }
    world.server.up.notify_waiters();
    let how = ended(world, &life, chance).await;
    world.server.state().life = None;
    note!(world, "process {} ends: {how:?}", life.generation);
    match how {
        End::Restart => {
            world.figures().restarts += 1;
            is_stopping.store(true, Ordering::Relaxed);
            for queue in &life.queues {
                queue.close();
            }
            background.shutdown().await;
            let all = async { while workers.join_next().await.is_some() {} };
            if tokio::time::timeout(DRAIN_WAIT_MAX, all).await.is_err() {
                note!(world, "functions are cut off");
            }
        }
        End::Kill => world.figures().kills += 1,
        End::PowerLoss => world.figures().power_losses += 1,
    }
    // From here on nothing of this process happens any more.
    life.is_over.store(true, Ordering::Relaxed);
    events.end();
    let how = if life.disk.has_crashed() {
        End::PowerLoss
    } else {
        how
    };
    workers.shutdown().await;
    background.shutdown().await;
    how
}

/// Waits until somebody or something ends the process.
async fn ended(world: &World, life: &Life, chance: &mut Chance) -> End {
    loop {
        tokio::select! {
            biased;
            () = world.server.end.notified() => {
                if let Some(how) = world.server.state().wanted.take() {
                    return how;
                }
            }
            () = tokio::time::sleep(world.beats(5)) => {}
        }
        if life.disk.has_crashed() {
            return End::PowerLoss;
        }
        if life.disk.has_failed_sync() {
            // It takes no more writes; somebody sees it and starts it anew.
            tokio::time::sleep(world.beats(chance.below(20))).await;
            return if life.disk.has_crashed() {
                End::PowerLoss
            } else if chance.per_mille(500) {
                End::Restart
            } else {
                End::Kill
            };
        }
    }
}

/// Whether the sweep runs at all.
pub(super) fn sweeps(world: &World) -> bool {
    world.plan.bug != Some(Bug::NoSweep)
}
