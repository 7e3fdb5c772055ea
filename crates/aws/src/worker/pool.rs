//! The long-running worker.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};
use two_buckets_pipeline::{Clock as _, Processor};

use super::sweep::{Sweep, SweepFailed};
use super::system::SystemClock;
use super::turns::Turns;
use crate::wake::Receiver;

/// How soon a sweep that failed is repeated.
const SWEEP_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How a [`Worker`] works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerOptions {
    /// How long between two sweeps.
    pub sweep_every: Duration,
    /// How long draining waits for what runs.
    pub drain_wait_max: Duration,
}

/// Receives wake-ups, takes their turns, and sweeps: a process that lives for long, anywhere.
#[derive(Debug)]
pub struct Worker<P> {
    /// What takes turns.
    pub turns: Arc<Turns<P>>,
    /// Where wake-ups come from, and how many keys are looked at at once.
    pub receiver: Arc<Receiver<SystemClock>>,
    /// What sweeps.
    pub sweep: Sweep,
    /// How it works.
    pub options: WorkerOptions,
}

impl<P: Processor> Worker<P> {
    /// Works until it is told to stop; then begins nothing new and ends once what has begun is done, or after the longest
    /// wait for that. What runs longer is cut off, and its wake-ups come back to somebody. The first sweep begins at once.
    ///
    /// Says whether everything that had begun was done. Dropping the future is a crash of the worker.
    pub async fn run(self, stopping: impl Future<Output = ()>) -> bool {
        let (stop, is_stopping) = watch::channel(false);
        let told = |mut told: watch::Receiver<bool>| async move {
            // The sender outlives this, and if it did not, that would be the end as well.
            _ = told.wait_for(|it| *it).await;
        };
        let work = {
            let turns = Arc::clone(&self.turns);
            move |wake_up| {
                let turns = Arc::clone(&turns);
                async move { turns.take(wake_up, None).await.is_done() }
            }
        };
        let working = async {
            tokio::join!(
                self.receiver.run(work, told(is_stopping.clone())),
                sweep_always(&self.sweep, self.options.sweep_every, &is_stopping),
            );
        };
        let mut working = pin!(working);
        tokio::select! {
            () = &mut working => unreachable!("nobody told it to stop"),
            () = stopping => {}
        }
        self.turns.stop();
        stop.send_replace(true);
        tokio::select! {
            biased;
            () = &mut working => true,
            () = SystemClock.sleep(self.options.drain_wait_max) => {
                warn!("functions still run and are cut off; their files are tried again by whoever comes to them");
                false
            }
        }
    }
}

async fn sweep_always(sweep: &Sweep, every: Duration, is_stopping: &watch::Receiver<bool>) {
    let stops = || *is_stopping.borrow();
    while !stops() {
        let wait = match sweep.run(&stops).await {
            Ok(_) => every,
            Err(SweepFailed::Stopped { .. }) => return,
            Err(error) => {
                warn!(%error, "the sweep is repeated soon");
                SWEEP_AGAIN_AFTER.min(every)
            }
        };
        let mut told = is_stopping.clone();
        tokio::select! {
            _ = told.wait_for(|it| *it) => {}
            () = SystemClock.sleep(wait) => {}
        }
    }
    info!("no sweep begins any more");
}
