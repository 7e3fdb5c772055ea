//! Carries what waits for one target there, in order as far as that goes, until it is told to stop.
//!
//! Messages of one key are sent one after the other; of different keys as many at once as the target is set to take.
//! While the target is away one message at a time is tried, with growing pauses. One that it refuses is tried again
//! slowly while others go on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, sleep_until};
use two_buckets_depot::Depot;
use two_buckets_s3_api::notifications::{Notifications, Waiting};

use super::backoff::{AWAY, REFUSED, RETRY_AFTER_MAX, chance};
use super::held::{HELD_MAX, Held};
use super::http::{self, Client};
use super::message::Outcome;
use super::{Known, now, sqs, webhook};
use crate::config::TargetKind;

/// How many messages are taken out of the store at once. What was accepted is forgotten together, by one sync.
const BATCH_MAX: usize = 64;
/// How long what is on its way may take to arrive once the server was told to stop. What does not comes again.
const GRACE: Duration = Duration::from_secs(5);
/// How often the log says that a target is still away.
const TOLD_EVERY: Duration = Duration::from_mins(10);
/// The longest sleep, so that nothing depends on a single wake-up.
const SLEEP_MAX: Duration = Duration::from_mins(1);
/// How long to wait after the store could not be read or written.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Serves one target.
pub(super) struct Courier {
    known: Arc<Known>,
    notifications: Notifications,
    depot: Depot,
    client: Client,
    held: Held,
    /// The last event that was taken out of the store; each up to it was accepted or is held.
    behind: Option<u64>,
    /// How often in a row the target was away.
    failures: u32,
    /// Nothing is sent before.
    pause_until: Option<Instant>,
    told_at: Option<Instant>,
}

/// What became of a batch.
#[derive(Default)]
struct Sent {
    accepted: Vec<u64>,
    refused: Vec<(Waiting, String)>,
    /// Not sent, or sent to one that was away.
    unsent: Vec<Waiting>,
    away: Option<(String, Option<Duration>)>,
}

impl Courier {
    pub(super) fn new(
        known: Arc<Known>,
        notifications: Notifications,
        depot: Depot,
        client: Client,
    ) -> Self {
        Self {
            known,
            notifications,
            depot,
            client,
            held: Held::default(),
            behind: None,
            failures: 0,
            pause_until: None,
            told_at: None,
        }
    }

    /// Delivers until told to stop. Dropped midway, what was accepted and not yet forgotten comes again.
    pub(super) async fn run(mut self, told: impl Future<Output = ()>) {
        let notifications = self.notifications.clone();
        let name = self.known.settings.name.clone();
        tokio::pin!(told);
        loop {
            // Before looking, so that nothing that comes meanwhile is missed.
            let arrived = notifications.arrived(&name);
            let batch = match self.next().await {
                Ok(batch) => batch,
                Err(reason) => {
                    tracing::error!(target_name = name, "events cannot be read: {reason}");
                    self.pause_until = Some(Instant::now() + STORE_PAUSE);
                    Vec::new()
                }
            };
            if batch.is_empty() {
                let until = self.sleep_until();
                tokio::select! {
                    () = arrived, if self.pause_until.is_none() => {}
                    () = sleep_until(until) => {}
                    () = &mut told => return,
                }
                continue;
            }
            let sent = Mutex::new(Sent::default());
            let is_stopping = {
                let sending = self.send(batch, &sent);
                tokio::pin!(sending);
                tokio::select! {
                    () = &mut sending => false,
                    () = &mut told => {
                        let _in_time = tokio::time::timeout(GRACE, sending).await;
                        true
                    }
                }
            };
            let sent = sent.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.settle(sent).await;
            if is_stopping {
                return;
            }
        }
    }

    /// What is to be sent now: what is held and due, and then what is new.
    async fn next(&mut self) -> Result<Vec<Waiting>, String> {
        let now = Instant::now();
        if self.pause_until.is_some_and(|until| now < until) {
            return Ok(Vec::new());
        }
        self.pause_until = None;
        // One that is away is asked with one message until it takes that.
        let limit = if self.failures > 0 { 1 } else { BATCH_MAX };
        let mut batch = self.held.due(now, limit);
        let room = (limit - batch.len()).min(HELD_MAX.saturating_sub(self.held.len()));
        if room > 0 {
            let (notifications, depot) = (self.notifications.clone(), self.depot.clone());
            let (name, behind) = (self.known.settings.name.clone(), self.behind);
            let new = tokio::task::spawn_blocking(move || {
                notifications.waiting(&depot, &name, behind, room)
            })
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
            self.behind = new.last().map(|event| event.number).or(self.behind);
            batch.extend(new);
        }
        Ok(batch)
    }

    fn sleep_until(&self) -> Instant {
        let latest = Instant::now() + SLEEP_MAX;
        let due = self.pause_until.or_else(|| self.held.next_due());
        due.map_or(latest, |due| due.min(latest))
    }

    /// Sends a batch; what becomes of each is in `sent` as soon as it is known.
    async fn send(&self, batch: Vec<Waiting>, sent: &Mutex<Sent>) {
        let is_away = &AtomicBool::new(false);
        let settle = |change: &dyn Fn(&mut Sent)| {
            change(&mut sent.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let settle = &settle;
        futures::stream::iter(lanes(batch))
            .for_each_concurrent(self.known.settings.concurrency, |lane| async move {
                for event in lane {
                    if is_away.load(Ordering::Relaxed) {
                        settle(&|sent| sent.unsent.push(event.clone()));
                        continue;
                    }
                    match self.send_one(&event).await {
                        Outcome::Accepted => settle(&|sent| sent.accepted.push(event.number)),
                        Outcome::Refused { why } => {
                            settle(&|sent| sent.refused.push((event.clone(), why.clone())));
                        }
                        Outcome::Away { why, retry_after } => {
                            is_away.store(true, Ordering::Relaxed);
                            settle(&|sent| {
                                sent.unsent.push(event.clone());
                                sent.away = Some((why.clone(), retry_after));
                            });
                        }
                    }
                }
            })
            .await;
    }

    async fn send_one(&self, event: &Waiting) -> Outcome {
        let target = &self.known.settings;
        let now = now();
        let (request, words): (_, fn(&[u8]) -> String) = match &target.kind {
            TargetKind::Webhook { secret, bearer } => (
                webhook::request(target, secret.as_ref(), bearer.as_ref(), event, now),
                |answer| String::from_utf8_lossy(answer).into_owned(),
            ),
            TargetKind::Sqs {
                region,
                account,
                queue,
                sender,
            } => (
                sqs::request(
                    target,
                    &sqs::Queue {
                        region,
                        account,
                        name: queue,
                        sender: sender.as_ref(),
                    },
                    event,
                    now,
                ),
                sqs::words,
            ),
        };
        match request {
            Ok(request) => {
                let words = |answer: &[u8]| target.conceal(words(answer));
                http::send(&self.client, request, target.timeout, words).await
            }
            Err(why) => Outcome::Refused { why },
        }
    }

    /// Forgets what was accepted, holds what was not, and says how it stands.
    async fn settle(&mut self, sent: Sent) {
        let now = Instant::now();
        let Sent {
            accepted,
            refused,
            unsent,
            away,
        } = sent;
        for number in &accepted {
            self.held.forget(*number);
        }
        let delivered = accepted.len() as u64;
        let is_forgotten = self.forget(accepted).await;
        for event in unsent {
            self.held.keep(event, now);
        }
        let mut error = None;
        for (event, why) in refused {
            let due = |refusals| now + REFUSED.after(refusals, chance());
            tracing::debug!(
                target_name = self.known.settings.name,
                bucket = event.bucket,
                key = event.key,
                "an event was refused: {why}"
            );
            self.held.refuse(event, due, now);
            error = Some(why);
        }
        if let Some((why, retry_after)) = away {
            self.failures = self.failures.saturating_add(1);
            let wait = retry_after
                .map(|asked| asked.min(RETRY_AFTER_MAX))
                .unwrap_or_default()
                .max(AWAY.after(self.failures, chance()));
            self.pause_until = Some(now + wait);
            error = Some(why);
        } else if delivered > 0 {
            self.failures = 0;
        }
        if !is_forgotten {
            self.pause_until = Some(now + STORE_PAUSE);
        }
        self.tell(delivered, error);
    }

    /// Forgets what was accepted. What the store cannot forget now comes again after the next start.
    async fn forget(&self, accepted: Vec<u64>) -> bool {
        if accepted.is_empty() {
            return true;
        }
        let (notifications, depot) = (self.notifications.clone(), self.depot.clone());
        let name = self.known.settings.name.clone();
        let forgotten =
            tokio::task::spawn_blocking(move || notifications.accepted(&depot, &name, &accepted))
                .await;
        match forgotten {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::error!(
                target_name = self.known.settings.name,
                "events were accepted, but the store cannot forget them, and they will come again: {error}"
            ),
            Err(error) => tracing::error!("forgetting events failed: {error}"),
        }
        false
    }

    /// Keeps what status shows, and says the first failure, its end, and now and then that it goes on.
    fn tell(&mut self, delivered: u64, error: Option<String>) {
        let at = now();
        let name = &self.known.settings.name;
        let (was_failing, is_failing) = self.known.see(|seen| {
            let was_failing = seen.failing_since.is_some();
            seen.delivered += delivered;
            match &error {
                Some(why) => {
                    seen.last_error = Some((why.clone(), at));
                    if delivered == 0 {
                        seen.failing_since.get_or_insert(at);
                    }
                }
                None if delivered > 0 => seen.failing_since = None,
                None => {}
            }
            (was_failing, seen.failing_since.is_some())
        });
        if let Some(why) = error {
            let now = Instant::now();
            let is_news = self.told_at.is_none_or(|told| now - told >= TOLD_EVERY);
            if is_news {
                self.told_at = Some(now);
                tracing::warn!(
                    target_name = name,
                    origin = self.known.settings.url.origin,
                    held = self.held.len(),
                    "events for notification target {name} are not accepted, are kept, and will be sent again: {why}"
                );
            }
        } else if was_failing && !is_failing {
            self.told_at = None;
            tracing::info!(
                target_name = name,
                "notification target {name} accepts events again"
            );
        }
    }
}

/// The events of each key behind one another, keys in the order of their first.
fn lanes(batch: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut places = HashMap::new();
    let mut lanes: Vec<Vec<Waiting>> = Vec::new();
    for event in batch {
        let place = *places
            .entry((event.bucket.clone(), event.key.clone()))
            .or_insert_with(|| {
                lanes.push(Vec::new());
                lanes.len() - 1
            });
        lanes[place].push(event);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::Timestamp;

    use super::*;

    #[test]
    fn events_of_one_key_stay_in_their_order() {
        let event = |number, key: &str| Waiting {
            number,
            at: Timestamp::default(),
            bucket: "b".to_owned(),
            key: key.to_owned(),
            message: Vec::new(),
        };
        let batch = vec![event(1, "a"), event(2, "b"), event(3, "a"), event(4, "c")];
        let numbers: Vec<Vec<u64>> = lanes(batch)
            .into_iter()
            .map(|lane| lane.into_iter().map(|event| event.number).collect())
            .collect();
        assert_eq!(numbers, [vec![1, 3], vec![2], vec![4]]);
    }
}
