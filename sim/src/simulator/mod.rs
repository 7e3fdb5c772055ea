//! The real pipeline on the real store, in a world that a seed makes and in which everything goes wrong.
//!
//! One thread, a virtual clock, and chance that a seed decides: a run of a seed is the same each time, to the last call
//! and answer. What runs is the product's: the driver and the steps of `pipeline`, the loops of `local`'s workers with
//! their queue, timers and sweep, its store and ledger, and `depot` with its log. What is simulated is around it: the
//! disk (depot's own in memory), time, events, functions, clients, and the lives of processes.
//!
//! # Fault model
//!
//! * **Processes** are killed at any moment: before, in and after any effect of a worker, a sweep or a client's request;
//!   also while they start. Others end in good order, and go on then.
//! * **Power** is lost at any moment, also in the middle of any operation of the disk, while the store starts too: writes
//!   that were not synced are lost in any subset, or torn ([`two_buckets_depot::storage::memory`] says how).
//! * **The disk** is full for a while, with a part of the last write; operations fail, with a part of what they write;
//!   syncs fail, and then nobody knows what is there; reads fail for a while; a bit of what is read is another.
//! * **Events** are lost, come twice or three times, late, and so out of order, each to one pool of workers or the other.
//! * **Workers** take their time around each effect. There are up to two pools of them, each with its own queue, as if
//!   each were a server; a pool stands still at times, longer than its leases live, and goes on as if nothing had been;
//!   what it had sent before happens late, when its lease is another's; by minutes, not hours.
//! * **Store and ledger** do not answer, though they did what was asked, or did not. Uploads are moved by one transaction
//!   in some worlds, and in others step by step, as on a store that knows no ledger.
//! * **Functions** fail for a while or for good, panic, hang until their deadline, take longer than a lease, write their
//!   result twice, and fail after they wrote it.
//! * **Clients** put, put under conditions, overwrite, send in parts that are completed late and again, abandon, abort,
//!   delete by name and by version, send the same bytes again, and lose answers. Some keys are minted.
//! * **The wall clock** jumps up to an hour in both directions. An **operator** retries what has failed.
//!
//! Not in the model: bytes that rot on the disk for good, which depot's own tests find and nothing mends; several
//! transactions in one group of the log, for there is one call at a time here (depot's tests group them, and crash at
//! every write of them); checkpoints and new segments of the log, which come after 64 MiB; jobs; HTTP.
//!
//! # What is asked of each run
//!
//! When faults are over and the world has come to rest, every acknowledged upload that no client deleted is archived
//! once, or late, or failed with its reason and its bytes still in staging, or a duplicate of equal bytes that are
//! archived; by SHA-256. What was not acknowledged is there whole and once, or not at all. Nothing is in the archive that
//! nobody sent. What was set aside while a copy was on its way, and was archived by that, is recorded as archived an
//! hour later. The archive's current version never went back, and follows the order of acknowledgements. Functions saw
//! the bytes that were sent, each attempt was recorded before it ran, and results are there once for each version. The
//! ledger agrees with the buckets. In half of the worlds causes are then fixed, what failed is retried, and nothing may
//! be failed any more. In the end power is lost once more, and all of it must still hold.

mod adversary;
mod bug;
mod chance;
mod check;
mod clients;
mod clock;
mod disk;
mod drain;
mod events;
mod figures;
mod functions;
mod gate;
mod history;
mod oracle;
mod plan;
mod planted;
mod pool;
mod seeds;
mod server;
mod shaken;
mod world;

use std::sync::Arc;

use tokio::task::JoinSet;

pub use bug::Bug;
pub use figures::Figures;
pub use seeds::Seeds;

use chance::Chance;
use clients::Client;
use plan::Plan;
use world::{World, note};

/// How to run a seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// A mistake to make; none to run the product as it is.
    pub bug: Option<Bug>,
    /// Whether the mistake is not made, but the world is one in which it would show.
    pub spares_bug: bool,
    /// Whether the lines of the history are kept.
    pub keeps_history: bool,
}

/// What a run came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was broken, in words; empty if every promise was kept.
    pub violations: Vec<String>,
    /// What happened, in numbers.
    pub figures: Figures,
    /// A hash over the whole history: every call and answer with its time.
    pub hash: u64,
    /// The history, if it is kept.
    pub history: Vec<String>,
    /// The world of the seed, in words.
    pub world: String,
}

/// Runs a seed. It takes some milliseconds to a second, and as much memory as its uploads have bytes a few times over.
pub fn run(seed: u64, options: Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output needs nothing of the system");
    runtime.block_on(simulate(seed, options))
}

async fn simulate(seed: u64, options: Options) -> Outcome {
    let mut plan = Plan::of(seed, options.bug);
    if options.spares_bug {
        plan.bug = None;
    }
    let world = World::new(plan, options.keeps_history);
    let mut server = JoinSet::new();
    server.spawn(server::run(Arc::clone(&world)));
    tokio::select! {
        biased;
        // It goes on for ever, unless a store cannot be opened any more.
        _ = server.join_next() => {}
        () = live(&world) => {}
    }
    server.shutdown().await;
    if let Some(life) = world.server.take() {
        world.figures().disk_operations += life.disk.operations();
    }
    let (hash, steps) = world.history.hash();
    let mut figures = *world.figures();
    figures.seeds = 1;
    figures.steps = steps;
    figures.virtual_time = world.clock.elapsed();
    let violations = std::mem::take(&mut world.oracle.known().violations);
    Outcome {
        seed,
        violations,
        figures,
        hash,
        history: world.history.lines(),
        world: format!("{:?}", world.plan),
    }
}

/// All that happens to the server, from the first request to the last look at what is there.
async fn live(world: &Arc<World>) {
    let mut troubles = JoinSet::new();
    adversary::begin(world, &mut troubles);
    be_busy(world).await;
    troubles.shutdown().await;
    settle(world).await;
}

/// Until the clients have sent all they have, and a while longer.
async fn be_busy(world: &Arc<World>) {
    let mut clients = JoinSet::new();
    for number in 0..world.plan.clients {
        clients.spawn(Client::new(world, number).run());
    }
    while clients.join_next().await.is_some() {}
    let mut chance = Chance::of(world.plan.seed, "rest");
    tokio::time::sleep(world.beats(chance.below(200))).await;
}

/// Lets the world come to rest and holds it against what is known, each time after something else.
async fn settle(world: &World) {
    let has_rested = drain::drain(world).await;
    judge(world, has_rested, false).await;
    if is_broken(world) {
        return;
    }
    let is_cured = world.plan.is_retried_at_the_end;
    if is_cured {
        let has_rested = drain::cure(world).await;
        judge(world, has_rested, true).await;
    }
    if !is_broken(world) {
        let has_rested = drain::lose_power(world).await;
        judge(world, has_rested, is_cured).await;
    }
}

fn is_broken(world: &World) -> bool {
    !world.oracle.known().violations.is_empty()
}

async fn judge(world: &World, has_rested: bool, is_cured: bool) {
    if is_broken(world) {
        return;
    }
    let life = world.server.wait().await;
    check::check(world, &life, is_cured);
    if !has_rested {
        world
            .oracle
            .broken("the world does not come to rest".into());
    }
    for what in &world.oracle.known().violations {
        note!(world, "BROKEN: {what}");
    }
}
