//! One turn in progress: its lease, its heartbeat, and one action after the other.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::future::{Either, select};
use tracing::warn;
use two_buckets_objects::{ObjectRef, ObjectStore};

use super::effect::{effect, list, pause, refused};
use super::{Driver, Settings, Tally};
use crate::ledger::{Claim, ClaimKey, StartUpload, Started};
use crate::running::Running;
use crate::step::{Action, Input};
use crate::{
    CancelOnDrop, Clock, Holder, Incoming, Lease, Ledger, Processor, RetryAfter, WakeUps, ledger,
};
/// One turn in progress.
pub(super) struct Turned<'a, S, L, P, C, W> {
    pub(super) driver: &'a Driver<S, L, P, C, W>,
    pub(super) key: &'a ObjectRef,
    /// In whose name it claims.
    pub(super) holder: Holder,
    pub(super) lease: Option<Lease>,
    /// How long its lease lasts unless renewed.
    pub(super) life: Duration,
    pub(super) heartbeat: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    /// What the latest run said of the next.
    pub(super) retry_after: RetryAfter,
    pub(super) tally: Tally,
}

impl<S, L, P, C, W> Turned<'_, S, L, P, C, W>
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
    pub(super) async fn perform(&mut self, action: Action) -> Input {
        let driver = self.driver;
        let key = self.key;
        let Some(mut lease) = self.lease.take() else {
            return self.perform_unclaimed(action).await;
        };
        // A copy is what fencing does not hold back. A worker whose lease has run out by its own clock, because it stood
        // still or the clock jumped, asks for it again first: another may have the key, and have set the upload aside.
        if matches!(action, Action::Copy { .. }) && driver.clock.now() >= lease.expires_at {
            let expires_at = driver.clock.now().after(self.life);
            match driver.ledger.renew(&lease, expires_at).await {
                Ok(renewed) => lease = renewed,
                Err(error) => {
                    self.lease = Some(lease);
                    return refused(&error);
                }
            }
        }
        let tally = &mut self.tally;
        let (action, mut running) = match action {
            Action::Process { upload, source } => {
                let (running, incoming, guard) = Running::begin(driver, &lease, &upload, *source);
                self.retry_after = incoming.retry_after.clone();
                (Effect::Process(Box::new(incoming), guard), Some(running))
            }
            action => (Effect::Of(action), None),
        };
        let mut effect = Box::pin(effect(
            driver,
            key,
            lease.clone(),
            action,
            self.retry_after.least(),
            tally,
        ));
        let mut next_said = said_later(&*driver.clock, running.is_some());
        let input = loop {
            let woken = select(self.heartbeat.as_mut(), next_said.as_mut());
            match select(effect, woken).await {
                Either::Left((input, _)) => break input,
                Either::Right((Either::Right(((), _)), under_way)) => {
                    effect = under_way;
                    if let Some(running) = &mut running {
                        running.keep_said(&*driver.ledger, key).await;
                    }
                    next_said = said_later(&*driver.clock, running.is_some());
                }
                Either::Right((Either::Left(((), _)), under_way)) => {
                    effect = under_way;
                    self.heartbeat = driver.heartbeat(self.life);
                    let expires_at = driver.clock.now().after(self.life);
                    match driver.ledger.renew(&lease, expires_at).await {
                        Ok(renewed) => lease = renewed,
                        Err(ledger::Error::FencedOff) => break Input::FencedOff,
                        Err(error) => {
                            warn!(bucket = %key.bucket, key = %key.key, %error, "a lease was not renewed; trying again");
                        }
                    }
                }
            }
        };
        // Before the outcome, so that who sees that it ended sees all it wrote; and whatever the end was.
        if let Some(running) = running {
            running.keep_last(&*driver.ledger, key).await;
        }
        self.lease = Some(lease);
        input
    }

    /// What comes before the key is claimed.
    async fn perform_unclaimed(&mut self, action: Action) -> Input {
        let driver = self.driver;
        let claim = ClaimKey {
            key: self.key.clone(),
            holder: self.holder.clone(),
            now: driver.clock.now(),
            life: self.life,
            job: None,
        };
        match action {
            Action::Claim => self.claim(claim).await,
            Action::ClaimForJob { id } => {
                let claim = ClaimKey {
                    job: Some(id),
                    ..claim
                };
                self.claim(claim).await
            }
            Action::Start { versions } => {
                let start = StartUpload {
                    claim,
                    versions,
                    attempts_max: driver.settings.attempts_max,
                    routes: driver.settings.routes.clone(),
                };
                match driver.ledger.start(&start).await {
                    Ok(started) => {
                        if let Started::Claimed(lease) | Started::Begun { lease, .. } = &started {
                            self.hold(lease.clone());
                        }
                        Input::Started(started)
                    }
                    Err(error) => refused(&error),
                }
            }
            Action::List => list(driver, self.key).await,
            Action::Pause { troubles } => pause(driver, troubles).await,
            other => unreachable!("{other:?} comes behind a claim"),
        }
    }

    async fn claim(&mut self, claim: ClaimKey) -> Input {
        match self.driver.ledger.claim(&claim).await {
            Ok(Claim::Held(lease)) => {
                self.hold(lease);
                Input::Claimed
            }
            Ok(Claim::Busy) => Input::Busy,
            Err(error) => refused(&error),
        }
    }

    fn hold(&mut self, lease: Lease) {
        self.lease = Some(lease);
        self.heartbeat = self.driver.heartbeat(self.life);
    }
}

/// What is done under a lease.
pub(super) enum Effect {
    /// The function runs.
    Process(Box<Incoming>, CancelOnDrop),
    /// Any other action.
    Of(Action),
}

/// Ends when it is time to keep what a run has said since; never while nothing runs.
pub(super) fn said_later<C: Clock>(
    clock: &C,
    is_running: bool,
) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    if is_running {
        Box::pin(clock.sleep(Settings::SAID_KEPT_EVERY))
    } else {
        Box::pin(std::future::pending())
    }
}
