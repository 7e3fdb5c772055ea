//! The sweep on AWS: it wakes workers and takes no turn itself, so it needs no function and moves nothing.

use std::sync::Arc;

use tracing::{info, warn};
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{
    Clock as _, Driver, Ledger as _, Settings, SweepError, Sweeper, Swept, WakeUp, WakeUps, ledger,
};

use super::jobs::{DeploymentJobs, NoFunction};
use super::metrics::Metrics;
use super::pauses::Pauses;
use super::system::{SystemClock, random};
use crate::S3Store;
use crate::jobs;
use crate::ledger::DynamoLedger;
use crate::wake::SqsWakeUps;

/// What sweeps: all of staging is listed, with no watermark, and every key is woken that is owed something.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Both buckets.
    pub store: S3Store,
    /// The ledger.
    pub ledger: DynamoLedger,
    /// Where keys go that have something to do.
    pub wake_ups: SqsWakeUps<SystemClock>,
    /// Which buckets.
    pub settings: Settings,
    /// Whether processing is paused: then nobody is woken, because nobody would do anything.
    pub pauses: Pauses,
    /// The jobs of the deployment: dead ones are ended, and those that are due started.
    pub jobs: DeploymentJobs,
    /// Where figures go.
    pub metrics: Metrics,
}

/// What a sweep found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// What it did.
    pub swept: Swept,
    /// The age of the oldest unfinished upload in seconds; 0 where nothing is unfinished.
    pub oldest_unfinished_s: u64,
    /// How many jobs were submitted.
    pub jobs_started: usize,
    /// How many attempts were ended whose job had died.
    pub jobs_ended: usize,
}

/// Why a sweep is not whole. What it did stays done, and no figure was said of what it did not see.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepFailed {
    /// Staging or the ledger failed.
    #[error(transparent)]
    Failed(#[from] SweepError),
    /// All of staging was seen, and how it stands with jobs was not.
    #[error("jobs could not be looked at: {0}")]
    Jobs(#[from] jobs::Error),
    /// Its time was over.
    #[error("the sweep was stopped before its end, after {listed} versions of staging")]
    Stopped {
        /// How many versions and delete markers it had seen.
        listed: u64,
    },
}

impl From<ledger::Error> for SweepFailed {
    fn from(error: ledger::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Sweep {
    /// Sweeps once, until `stopping` says so. Dropping it midway leaves some keys unwoken; the next sweep begins anew.
    pub async fn run(&self, stopping: &(dyn Fn() -> bool + Sync)) -> Result<Figures, SweepFailed> {
        let is_muted = self.pauses.is_paused(SystemClock.now()).await;
        // Jobs first, for they are few: a sweep of much that waits may be over before its end, each time. A pause ends no
        // attempts and begins none.
        let ended = self.jobs.end_dead().await;
        if let Ok(dead) = &ended {
            self.metrics.failed(dead.failed, SystemClock.now());
        }
        let started = if is_muted {
            Ok(0)
        } else {
            self.jobs.start_due(&self.ledger).await
        };
        for error in ended
            .as_ref()
            .err()
            .into_iter()
            .chain(started.as_ref().err())
        {
            // Told here too, for the rest may end before it is told at the end.
            warn!(%error, "jobs could not be looked at");
        }
        let driver = Driver {
            store: Arc::new(self.store.clone()),
            ledger: Arc::new(self.ledger.clone()),
            processor: Arc::new(NoFunction),
            clock: Arc::new(SystemClock),
            wake_ups: Arc::new(Unpaused {
                wake_ups: self.wake_ups.clone(),
                is_muted,
            }),
            random: Arc::new(random),
            settings: self.settings.clone(),
        };
        let swept = Sweeper { driver: &driver }
            .sweep_by_waking(stopping)
            .await?;
        let now = SystemClock.now();
        if stopping() {
            return Err(SweepFailed::Stopped {
                listed: swept.listed,
            });
        }
        // After the list: what got its row meanwhile is seen twice and not never.
        let noted = self.ledger.oldest_unfinished().await?;
        let noted_at = noted.map(|upload| upload.received_at);
        let oldest_unfinished_s = age_s(noted_at, swept.oldest_unnoted, now);
        self.metrics.oldest_unfinished(oldest_unfinished_s, now);
        info!(
            listed = swept.listed,
            woken = swept.woken,
            expired = swept.expired,
            markers_removed = swept.markers_removed,
            oldest_unfinished_s,
            passed_over = swept.passed_over,
            is_paused = is_muted,
            "swept"
        );
        Ok(Figures {
            swept,
            oldest_unfinished_s,
            jobs_started: started?,
            jobs_ended: ended?.attempts,
        })
    }
}

/// The age of the older of two, where there is one.
fn age_s(noted: Option<Timestamp>, unnoted: Option<Timestamp>, now: Timestamp) -> u64 {
    let oldest = noted.into_iter().chain(unnoted).min();
    oldest.map_or(0, |at| now.since(at).as_secs())
}

/// Wakes nobody during a pause.
struct Unpaused {
    wake_ups: SqsWakeUps<SystemClock>,
    is_muted: bool,
}

impl WakeUps for Unpaused {
    async fn wake(&self, wake_up: WakeUp, not_before: Option<Timestamp>) {
        if !self.is_muted {
            self.wake_ups.wake(wake_up, not_before).await;
        }
    }

    async fn room(&self) {
        self.wake_ups.room().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_older_of_what_is_noted_and_what_is_not() {
        let s = |seconds: i64| Some(Timestamp::from_millis(seconds * 1_000));
        let now = Timestamp::from_millis(100_999);
        for (noted, unnoted, age) in [
            (None, None, 0),
            (s(40), None, 60),
            (None, s(30), 70),
            (s(40), s(30), 70),
            (s(20), s(30), 80),
            (s(200), None, 0),
        ] {
            assert_eq!(age_s(noted, unnoted, now), age);
        }
    }
}
