//! Delivering the events of buckets to their targets.
//!
//! What waits is kept by [`two_buckets_s3_api::notifications`], durably, until a target has accepted it: here it is only
//! carried there, and what was accepted is forgotten. A crash between the two brings a message twice. For each target
//! there is one courier, so that a target that is away holds up no other.

mod backoff;
mod courier;
mod held;
mod http;
mod message;
mod sqs;
mod webhook;

use std::sync::{Arc, Mutex, PoisonError};

use two_buckets_depot::Depot;
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::notifications::{Astray, Notifications, Target};
use two_buckets_uploads as uploads;

use crate::clock;
use crate::config::NotificationTarget;
use crate::failure::Failure;
use courier::Courier;

/// All targets, and how it stands with each. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Delivery {
    notifications: Notifications,
    depot: Depot,
    targets: Arc<[Arc<Known>]>,
}

/// A target, and what this run has seen of it.
pub(crate) struct Known {
    pub(crate) settings: NotificationTarget,
    seen: Mutex<Seen>,
}

/// What became of messages since the server started.
#[derive(Clone, Default, Debug)]
pub(crate) struct Seen {
    pub(crate) delivered: u64,
    pub(crate) last_error: Option<(String, Timestamp)>,
    /// Since when nothing was accepted, if the last thing was an error.
    pub(crate) failing_since: Option<Timestamp>,
}

impl Known {
    fn see<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What keeps the events of these targets.
pub(crate) fn keeper(region: &str, targets: &[NotificationTarget]) -> Notifications {
    let targets = targets.iter().map(|target| Target {
        name: target.name.clone(),
        arns: target.arns.clone(),
        waiting_max: target.events_max,
    });
    Notifications::new(region, targets.collect())
}

impl Delivery {
    /// Looks at what waits, and says in the log what goes nowhere.
    pub(crate) fn open(
        notifications: Notifications,
        depot: Depot,
        targets: &[NotificationTarget],
    ) -> Result<Self, Failure> {
        if let Some(missing) = targets.iter().find_map(NotificationTarget::missing) {
            return Err(Failure::usage(missing));
        }
        let astray = notifications.load(&depot).map_err(|error| {
            Failure::failed(format!("the events that wait cannot be looked at: {error}"))
        })?;
        for astray in astray {
            match astray {
                Astray::Rule { bucket, arn } => tracing::warn!(
                    %bucket,
                    arn,
                    "EVENTS ARE NOT KEPT: the notification configuration of bucket {bucket} names {arn}, which is no \
                     target; name it under [notifications.NAME] in the configuration file, or put another configuration"
                ),
                Astray::Unreadable { bucket } => tracing::error!(
                    %bucket,
                    "EVENTS ARE NOT KEPT: the notification configuration of bucket {bucket} cannot be read; put it again"
                ),
                Astray::Events { target } => tracing::warn!(
                    target_name = target,
                    "events wait for notification target {target}, which the configuration file names no more; they are \
                     kept until it does"
                ),
            }
        }
        let targets = targets.iter().map(|settings| {
            Arc::new(Known {
                settings: settings.clone(),
                seen: Mutex::default(),
            })
        });
        Ok(Self {
            notifications,
            depot,
            targets: targets.collect(),
        })
    }

    /// Delivers until told to stop; then what is on its way has a moment to arrive.
    pub(crate) async fn run<S: Future<Output = ()> + Send + 'static>(self, told: impl Fn() -> S) {
        if self.targets.is_empty() {
            return;
        }
        let client = match http::client() {
            Ok(client) => client,
            Err(reason) => {
                tracing::error!("no event can be sent: {reason}");
                return;
            }
        };
        let couriers = self.targets.iter().map(|known| {
            let courier = Courier::new(
                Arc::clone(known),
                self.notifications.clone(),
                self.depot.clone(),
                client.clone(),
            );
            courier.run(told())
        });
        futures::future::join_all(couriers).await;
    }
}

impl uploads::Notifications for Delivery {
    fn targets(&self) -> Result<Vec<uploads::NotificationTarget>, String> {
        let standing = |known: &Arc<Known>| {
            let settings = &known.settings;
            let standing = self
                .notifications
                .standing(&self.depot, &settings.name)
                .map_err(|error| error.to_string())?;
            let seen = known.see(|seen| seen.clone());
            Ok(uploads::NotificationTarget {
                name: settings.name.clone(),
                kind: settings.kind.word(),
                arn: settings.arns[0].clone(),
                undelivered: standing.undelivered,
                oldest_at: standing.oldest_at,
                delivered: seen.delivered,
                is_failing: seen.failing_since.is_some(),
                last_error: seen.last_error,
                lost: standing.lost,
                lost_since: standing.lost_between.map(|(first, _)| first),
            })
        };
        self.targets.iter().map(standing).collect()
    }
}

/// The time, for what is shown.
fn now() -> Timestamp {
    clock::now()
}
