//! What goes wrong around the server while it is busy, and the operator who retries.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use two_buckets_pipeline::ledger::{Ledger as _, ListUploads};
use two_buckets_pipeline::{Settings, State, WakeUp, Why};

use super::chance::Chance;
use super::server::{End, Life};
use super::world::{World, at_once, note};

/// The farthest the wall clock jumps.
const JUMP_MILLIS_MAX: u64 = 3_600_000;

/// One thing that goes wrong again and again.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Kill,
    PowerLoss,
    Restart,
    DiskFull,
    DiskError,
    SyncError,
    ReadError,
    BitFlip,
    ClockJump,
    Stall,
    Retry,
}

/// Begins what goes wrong in this world.
pub(super) fn begin(world: &Arc<World>, tasks: &mut JoinSet<()>) {
    let plan = &world.plan;
    for (trouble, every) in [
        (Trouble::Kill, plan.kill_every),
        (Trouble::PowerLoss, plan.power_loss_every),
        (Trouble::Restart, plan.restart_every),
        (Trouble::DiskFull, plan.disk_full_every),
        (Trouble::DiskError, plan.disk_error_every),
        (Trouble::SyncError, plan.sync_error_every),
        (Trouble::ReadError, plan.read_error_every),
        (Trouble::BitFlip, plan.bit_flip_every),
        (Trouble::ClockJump, plan.clock_jump_every),
        (Trouble::Stall, plan.stall_every),
        (Trouble::Retry, plan.retry_every),
    ] {
        if every > 0 {
            tasks.spawn(again_and_again(Arc::clone(world), trouble, every));
        }
    }
}

async fn again_and_again(world: Arc<World>, trouble: Trouble, every: u64) {
    let mut chance = Chance::of(world.plan.seed, &format!("{trouble:?}"));
    let between_ms = every * world.plan.beat_ms * 2;
    loop {
        tokio::time::sleep(Duration::from_millis(chance.below(between_ms))).await;
        if world.is_calm() {
            return;
        }
        if let Some(life) = world.server.life() {
            note!(world, "trouble: {trouble:?}");
            happen(&world, &life, trouble, &mut chance).await;
        }
    }
}

async fn happen(world: &World, life: &Life, trouble: Trouble, chance: &mut Chance) {
    let a_while = world.beats(chance.between(1, 10));
    match trouble {
        Trouble::Kill => world.server.end(End::Kill),
        Trouble::Restart => world.server.end(End::Restart),
        // In the middle of a write, or while nothing is written.
        Trouble::PowerLoss if chance.per_mille(700) => life.disk.crash_in(chance.below(12)),
        Trouble::PowerLoss => world.server.end(End::PowerLoss),
        Trouble::DiskFull => {
            world.figures().disk_faults += 1;
            life.disk.set_free_bytes(Some(chance.below(4_000)));
            tokio::time::sleep(a_while).await;
            life.disk.set_free_bytes(None);
        }
        Trouble::DiskError => {
            world.figures().disk_faults += 1;
            life.disk.fail_in(chance.below(6));
        }
        Trouble::SyncError => {
            world.figures().disk_faults += 1;
            life.disk.fail_syncs(true);
            tokio::time::sleep(a_while).await;
            life.disk.fail_syncs(false);
        }
        Trouble::ReadError => {
            world.figures().disk_faults += 1;
            life.disk.fail_reads(true);
            tokio::time::sleep(a_while).await;
            life.disk.fail_reads(false);
        }
        Trouble::BitFlip => life.disk.flip(true),
        Trouble::ClockJump => {
            world.figures().clock_jumps += 1;
            let span = i64::try_from(chance.below(2 * JUMP_MILLIS_MAX)).unwrap_or(0);
            let jump = span - i64::try_from(JUMP_MILLIS_MAX).unwrap_or(0);
            world.clock.jump_to(jump);
        }
        Trouble::Stall => stall(world, life, chance),
        Trouble::Retry => retry_some(world, life, chance),
    }
}

/// A pool stands still, at times until its leases have run out, and then goes on as if nothing had been.
fn stall(world: &World, life: &Life, chance: &mut Chance) {
    let life_s = Settings::LEASE_LIFE_DEFAULT.as_secs();
    let wait = Duration::from_millis(chance.below(4_000 * life_s));
    let pools = life.stalls.len() as u64;
    let pool = usize::try_from(chance.below(pools)).unwrap_or(0);
    if let Some(stalled_until) = life.stalls.get(pool) {
        world.figures().stalls += 1;
        *stalled_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + wait;
    }
}

/// Somebody retries some of what has failed.
fn retry_some(world: &World, life: &Life, chance: &mut Chance) {
    let failed = ListUploads {
        state: Some(State::Failed),
        ..ListUploads::default()
    };
    let Ok(page) = at_once(life.ledger.list(&failed)) else {
        return;
    };
    for upload in page.uploads {
        if !chance.per_mille(300) {
            continue;
        }
        let retried = at_once(life.ledger.retry(&upload.id));
        note!(world, "operator: retry {}: {}", upload.id, retried.is_ok());
        if retried.is_ok() && !life.is_over() {
            world.figures().retries += 1;
            wake(life, &upload.key, chance.per_mille(500));
        }
    }
}

/// Tells the workers of a key, or not.
pub(super) fn wake(life: &Life, key: &two_buckets_objects::ObjectRef, is_told: bool) {
    for queue in life.queues.iter().filter(|_| is_told) {
        queue.push(WakeUp {
            key: key.clone(),
            why: Why::Event,
        });
    }
}
