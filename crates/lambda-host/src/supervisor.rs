//! Watches over one environment from its start until its last process is gone.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::signal::unix;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::cgroup::{self, Cgroup};
use crate::ending;
use crate::environment::Shared;
use crate::exchange::Signal;
use crate::failure::Failure;
use crate::members::Members;
use crate::process::Process;
use crate::runtime_api::RuntimeApi;
use crate::scratch::Scratch;
use crate::start::Told;
use crate::watch::{BUSY_INTERVAL, IDLE_INTERVAL, Watch};

/// What belongs to an environment and to its supervisor alone.
pub(crate) struct Supervised {
    pub(crate) process: Process,
    pub(crate) members: Arc<Mutex<Members>>,
    pub(crate) cgroup: Option<Arc<Cgroup>>,
    pub(crate) watch: Watch,
    pub(crate) api: RuntimeApi,
    pub(crate) scratch: Scratch,
    pub(crate) told: Told,
    pub(crate) signalled: mpsc::UnboundedReceiver<Signal>,
    pub(crate) children: unix::Signal,
}

/// How long what an ended runtime has sent may take to be read. On a busy machine it takes a while; it is all waited for
/// only where a child of the runtime still has its connections.
const LAST_WORDS_WAIT_MAX: Duration = Duration::from_secs(2);

/// What the environment does, and until when it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Starting {
        until: Instant,
    },
    /// Somebody has it and has not given it anything.
    Held,
    Running {
        until: Instant,
    },
    Idle {
        until: Instant,
    },
}

/// Runs until the environment is gone. `started` is told when the runtime first asks for an invocation, or why it never will.
pub(crate) async fn supervise(
    shared: Arc<Shared>,
    mut supervised: Supervised,
    started: oneshot::Sender<Result<(), Failure>>,
) {
    // Whatever happens in here, the environment is taken off the list, or stopping the host would wait for it for ever.
    let _forgotten = Forgotten(shared.clone());
    let mut started = Some(started);
    let why = until_it_ends(&shared, &mut supervised, &mut started).await;
    end(&shared, supervised, started, why).await;
}

struct Forgotten(Arc<Shared>);

impl Drop for Forgotten {
    fn drop(&mut self) {
        self.0.pool.forget(&self.0);
        self.0.is_gone.send_replace(true);
    }
}

async fn until_it_ends(
    shared: &Arc<Shared>,
    supervised: &mut Supervised,
    started: &mut Option<oneshot::Sender<Result<(), Failure>>>,
) -> Failure {
    let config = &shared.pool.config;
    let mut doing = Doing::Starting {
        until: shared.born + config.init_timeout,
    };
    let mut ticks = interval(BUSY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked_at = Instant::now();
    loop {
        if let Some(how) = supervised.process.ended() {
            return exited(shared, supervised, how).await;
        }
        tokio::select! {
            // What was said before a deadline counts before it.
            biased;
            signal = supervised.signalled.recv() => match signal {
                Some(Signal::Ready) => {
                    if started.is_none() {
                        // What it wrote before it asked is still the last invocation's.
                        shared.reader.catch_up().await;
                        shared.output.end();
                    }
                    shared.settled.send_modify(|times| *times += 1);
                    doing = Doing::Held;
                    if let Some(started) = started.take() {
                        record_init(shared);
                        if started.send(Ok(())).is_err() {
                            return Failure::Stopped;
                        }
                    } else if shared.pool.is_worn_out(shared) {
                        return Failure::Stopped;
                    } else {
                        shared.pool.rest(shared);
                    }
                }
                Some(Signal::Given { until }) => doing = Doing::Running { until },
                Some(Signal::Idle) => doing = Doing::Idle { until: shared.pool.idle_until(shared) },
                Some(Signal::InitFailed(why) | Signal::End(why)) => return why,
                // We hold a sender ourselves.
                None => return Failure::Stopped,
            },
            Some(()) = supervised.children.recv() => {}
            () = until(doing) => match doing {
                Doing::Starting { .. } => return timed_out(shared, config.init_timeout),
                Doing::Running { .. } => return timed_out(shared, config.timeout),
                Doing::Held => {}
                Doing::Idle { .. } => {
                    if shared.pool.claim(shared) {
                        return Failure::Stopped;
                    }
                    doing = Doing::Held;
                }
            },
            _ = ticks.tick() => {
                let is_idle = matches!(doing, Doing::Idle { .. });
                if is_idle && looked_at.elapsed() < IDLE_INTERVAL {
                    continue;
                }
                looked_at = Instant::now();
                let seen = supervised.watch.look().await;
                shared.memory_bytes_max.fetch_max(seen.memory_bytes, Ordering::Relaxed);
                if let Some(why) = seen.passed {
                    return why;
                }
            }
        }
    }
}

async fn until(doing: Doing) {
    match doing {
        Doing::Starting { until } | Doing::Running { until } | Doing::Idle { until } => {
            sleep_until(until).await;
        }
        Doing::Held => std::future::pending().await,
    }
}

fn record_init(shared: &Shared) {
    let mut duration = shared
        .init_duration
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    *duration = Some(shared.born.elapsed());
}

/// The runtime has ended. What it said just before counts: that it could not start, or the answer to its last event.
async fn exited(shared: &Shared, supervised: &mut Supervised, how: String) -> Failure {
    // Its connections are closed by its end, unless a child has them too, and are then read to theirs.
    timeout(LAST_WORDS_WAIT_MAX, supervised.api.is_quiet())
        .await
        .ok();
    while let Ok(signal) = supervised.signalled.try_recv() {
        if let Signal::InitFailed(why) = signal {
            return why;
        }
    }
    if supervised
        .cgroup
        .as_ref()
        .is_some_and(|it| it.was_out_of_memory())
    {
        return Failure::OutOfMemory {
            limit_mib: shared.pool.config.memory_mib,
        };
    }
    Failure::Exited {
        how,
        note: shared.exchange.note(),
    }
}

fn timed_out(shared: &Shared, after: Duration) -> Failure {
    Failure::TimedOut {
        after,
        note: shared.exchange.note(),
    }
}

/// Ends the processes first and tells the reason last: whoever learns that an invocation failed may start it again at once,
/// and must not find the old one still at work.
async fn end(
    shared: &Arc<Shared>,
    mut supervised: Supervised,
    started: Option<oneshot::Sender<Result<(), Failure>>>,
    why: Failure,
) {
    shared.is_ending.store(true, Ordering::Release);
    shared.pool.claim(shared);
    let waiting = shared.exchange.close(&why);
    if waiting.is_none() && started.is_none() && why != Failure::Stopped {
        // Nobody else will say it.
        tracing::warn!(function = shared.pool.config.name, environment = %shared.id, "an execution environment ended between invocations: {why}");
    }
    let kill_after = match why {
        Failure::OutOfMemory { .. } | Failure::ScratchFull { .. } => Duration::ZERO,
        _ => shared.pool.config.kill_after,
    };
    ending::end(
        &mut supervised.process,
        &supervised.members,
        supervised.cgroup.as_deref(),
        &shared.pool.scanner,
        kill_after,
    )
    .await;
    drop(supervised.api);
    if let Some(Err(why)) = supervised.cgroup.as_ref().map(|it| it.remove()) {
        tracing::warn!(environment = %shared.id, "the control group of a function cannot be removed: {why}");
    }
    shared.reader.catch_up().await;
    let output = shared.output.take_waiting();
    shared.output.end();
    let scratch = supervised.scratch;
    // Fails only when the program is being torn down; the folder is then removed by whoever drops it.
    tokio::task::spawn_blocking(move || drop(scratch))
        .await
        .ok();
    drop(supervised.told);
    shared.pool.forget(shared);
    if let Some(started) = started {
        let why = match why {
            Failure::Stopped => Failure::Stopped,
            Failure::Exited { ref how, .. }
                if supervised.cgroup.is_some()
                    && let Some(reason) = cgroup::not_entered(how, &output) =>
            {
                Failure::NotStarted { reason }
            }
            cause => Failure::Init {
                cause: Box::new(cause),
                output,
            },
        };
        // Nobody may wait for it any more.
        started.send(Err(why)).ok();
    } else if let Some(waiting) = waiting {
        waiting.send(Err(why)).ok();
    }
}
