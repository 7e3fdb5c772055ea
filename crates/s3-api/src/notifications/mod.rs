//! Bucket notifications: what a bucket's configuration asks to be told is written down with the change itself, and kept
//! until its target has accepted it (S3 User Guide, "Amazon S3 Event Notifications").
//!
//! The rules, the messages and the outbox are here; how a message gets to its target is the user's affair, who takes
//! it from [`Notifications::waiting`] and says so by [`Notifications::accepted`]. A target is known by its ARN. What an
//! S3 caller can choose is which of the targets, never where that is.
//!
//! A change that no rule asks for costs one look into a map.

mod check;
mod outbox;
mod rules;
mod undelivered;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;
use two_buckets_depot::{
    ConfigKind, Depot, Error, ObjectChange, RecordChange, Result, Transaction,
};
use two_buckets_events::Record;
use two_buckets_objects::{BucketName, Timestamp};

use crate::cause::RequestCause;
use crate::sts::ACCOUNT;
pub(crate) use check::{check, fill_ids};
use outbox::Losses;
pub use outbox::Waiting;
use rules::{EventName, Rule};
use undelivered::Undelivered;

/// The most bytes of a target's name.
pub const TARGET_NAME_BYTES_MAX: usize = 64;
/// Who did what nobody asked for by S3: the server itself, which moves files to the archive.
const OWN_PRINCIPAL: &str = "two-buckets";

/// Where events can go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// What it is called: letters, digits, `-` and `_`, at most [`TARGET_NAME_BYTES_MAX`] of them.
    pub name: String,
    /// The ARNs that mean it.
    pub arns: Vec<String>,
    /// How many events are kept for it at most, about; what comes beyond is counted and lost.
    pub waiting_max: u64,
}

/// How it stands with a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// How many events wait for it.
    pub undelivered: u64,
    /// When the oldest of them happened.
    pub oldest_at: Option<Timestamp>,
    /// How many were lost because too many waited, since the data folder was made.
    pub lost: u64,
    /// When the first and when the last of these was.
    pub lost_between: Option<(Timestamp, Timestamp)>,
}

/// What goes nowhere though somebody asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Astray {
    /// A bucket's configuration names no target that there is; nothing of what it asks for is kept.
    Rule {
        /// The bucket.
        bucket: BucketName,
        /// What it names.
        arn: String,
    },
    /// A bucket's configuration cannot be read.
    Unreadable {
        /// The bucket.
        bucket: BucketName,
    },
    /// Events are kept for a target that is there no more.
    Events {
        /// Its name.
        target: String,
    },
}

/// The rules of all buckets and the events that wait. Cheap to clone.
#[derive(Clone)]
pub struct Notifications {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    targets: Vec<Slot>,
    rules: RwLock<HashMap<BucketName, Vec<Rule>>>,
}

struct Slot {
    target: Target,
    undelivered: Undelivered,
    arrived: Notify,
}

impl Notifications {
    /// Knows these targets, and no rules yet.
    pub fn new(region: &str, targets: Vec<Target>) -> Self {
        let slots = targets.into_iter().map(|target| Slot {
            target,
            undelivered: Undelivered::default(),
            arrived: Notify::new(),
        });
        Self {
            inner: Arc::new(Inner {
                region: region.to_owned(),
                targets: slots.collect(),
                rules: RwLock::default(),
            }),
        }
    }

    /// What the store is to call for each change. It writes what a rule asks for down in the change's own transaction,
    /// and fails it only where the disk does.
    pub fn recorder(&self) -> RecordChange {
        let notifications = self.clone();
        Arc::new(move |tx: &mut Transaction<'_>, change: &ObjectChange<'_>| {
            notifications.record(tx, change)
        })
    }

    /// Reads the rules of all buckets and counts what waits; to be called once, before anybody writes. Gives what goes
    /// nowhere.
    pub fn load(&self, depot: &Depot) -> Result<Vec<Astray>> {
        let mut astray = Vec::new();
        for bucket in depot.buckets()? {
            astray.extend(self.refresh(depot, &bucket.name)?);
        }
        for slot in &self.inner.targets {
            let waiting = outbox::count(depot, &slot.target.name)?;
            slot.undelivered.set(waiting);
        }
        for target in outbox::targets(depot)? {
            if self.slot(&target).is_none() {
                astray.push(Astray::Events { target });
            }
        }
        Ok(astray)
    }

    /// The targets, in the order they were given.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.inner.targets.iter().map(|slot| &slot.target)
    }

    /// How it stands with a target. Blocks on the disk.
    pub fn standing(&self, depot: &Depot, target: &str) -> Result<Standing> {
        let undelivered = self.slot(target).map_or(0, |slot| slot.undelivered.count());
        let oldest = outbox::waiting(depot, target, None, 1)?;
        let losses = outbox::losses(depot, target)?;
        Ok(Standing {
            undelivered,
            oldest_at: oldest.first().map(|event| event.at),
            lost: losses.map_or(0, |losses| losses.count),
            lost_between: losses.map(|losses| (losses.first_at, losses.last_at)),
        })
    }

    /// At most `limit` events that wait for a target, in the order they happened, behind the one of this number. Blocks
    /// on the disk.
    pub fn waiting(
        &self,
        depot: &Depot,
        target: &str,
        behind: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Waiting>> {
        outbox::waiting(depot, target, behind, limit)
    }

    /// Forgets events that their target has accepted; returns once that is durable. Blocks on the disk.
    pub fn accepted(&self, depot: &Depot, target: &str, numbers: &[u64]) -> Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        let gone = outbox::forget(depot, target, numbers)?;
        if let Some(slot) = self.slot(target) {
            slot.undelivered.forgotten(gone);
        }
        Ok(())
    }

    /// Ends when something new may wait for a target; for good if there is no such target.
    pub async fn arrived(&self, target: &str) {
        match self.slot(target) {
            Some(slot) => slot.arrived.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The target that an ARN means.
    fn target_of(&self, arn: &str) -> Option<usize> {
        let mut slots = self.inner.targets.iter();
        slots.position(|slot| slot.target.arns.iter().any(|known| known == arn))
    }

    /// Whether an ARN means a target.
    pub(crate) fn has(&self, arn: &str) -> bool {
        self.target_of(arn).is_some()
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        let mut slots = self.inner.targets.iter();
        slots.find(|slot| slot.target.name == name)
    }

    /// Goes by a bucket's configuration as it is on the disk now, or by none if there is no such bucket.
    pub(crate) fn refresh(&self, depot: &Depot, bucket: &BucketName) -> Result<Vec<Astray>> {
        // Read under the lock, so that of two who change it at once the last to look sees the last that was written.
        let mut all = self
            .inner
            .rules
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let document = match depot.bucket_config(bucket, ConfigKind::Notification) {
            Ok(document) => document,
            Err(Error::NoSuchBucket(_)) => None,
            Err(error) => return Err(error),
        };
        let mut astray = Vec::new();
        let rules = match document.as_deref().map(rules::of_document) {
            None => Vec::new(),
            Some(Ok(rules)) => rules,
            Some(Err(rules::Unreadable)) => {
                let bucket = bucket.clone();
                astray.push(Astray::Unreadable { bucket });
                Vec::new()
            }
        };
        for rule in rules.iter().filter(|rule| !self.has(&rule.arn)) {
            astray.push(Astray::Rule {
                bucket: bucket.clone(),
                arn: rule.arn.clone(),
            });
        }
        if rules.is_empty() {
            all.remove(bucket);
        } else {
            all.insert(bucket.clone(), rules);
        }
        Ok(astray)
    }

    /// Tells the targets of these ARNs that a bucket's events come to them from now on, as S3 does.
    pub(crate) fn test(&self, depot: &Depot, bucket: &BucketName, arns: &[String]) -> Result<()> {
        depot.transaction(|tx| {
            for index in arns.iter().filter_map(|arn| self.target_of(arn)) {
                let number = tx.next_number();
                let cause = RequestCause::of(tx);
                let request_id = request_id(number, cause.as_deref());
                let message = two_buckets_events::test_message(
                    bucket,
                    tx.now(),
                    &request_id,
                    &sequencer(number),
                );
                self.keep(tx, index, number, bucket, "", &message)?;
            }
            Ok(())
        })
    }

    fn record(&self, tx: &mut Transaction<'_>, change: &ObjectChange<'_>) -> Result<()> {
        let found = {
            let rules = self
                .inner
                .rules
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let Some(rules) = rules.get(&change.at.bucket) else {
                return Ok(());
            };
            let cause = RequestCause::of(tx);
            let name = EventName::of(change.kind, cause.as_deref().is_some_and(|it| it.is_form));
            let rule = rules
                .iter()
                .find(|rule| rule.asks_for(name, change.at.key.as_str()));
            let Some((rule, index)) = rule.and_then(|it| Some((it, self.target_of(&it.arn)?)))
            else {
                return Ok(());
            };
            (name, rule.id.clone(), index, cause)
        };
        let (name, configuration, index, cause) = found;
        let number = tx.next_number();
        let message = two_buckets_events::message(&Record {
            region: &self.inner.region,
            at: tx.now(),
            name: name.text(),
            principal: cause.as_ref().map_or(OWN_PRINCIPAL, |it| &it.principal),
            source_address: cause.as_ref().and_then(|it| it.address),
            request_id: &request_id(number, cause.as_deref()),
            host_id: &sequencer(number),
            configuration_id: &configuration,
            bucket: &change.at.bucket,
            owner: ACCOUNT,
            key: change.at.key.as_str(),
            size_bytes: change.size_bytes,
            etag: change.etag.map(two_buckets_objects::ETag::as_str),
            version_id: Some(&change.version_id).filter(|id| !id.is_null()),
            sequencer: &sequencer(number),
        });
        let (bucket, key) = (&change.at.bucket, change.at.key.as_str());
        self.keep(tx, index, number, bucket, key, &message)
    }

    /// Writes an event down, or that it was lost.
    fn keep(
        &self,
        tx: &mut Transaction<'_>,
        index: usize,
        number: u64,
        bucket: &BucketName,
        key: &str,
        message: &[u8],
    ) -> Result<()> {
        let slot = &self.inner.targets[index];
        let target = &slot.target;
        if slot.undelivered.count() >= target.waiting_max {
            let losses = Losses::one_more(outbox::losses_in(tx, &target.name)?, tx.now());
            outbox::set_losses(tx, &target.name, losses);
            let name = target.name.clone();
            if losses.is_to_be_told() {
                tx.when_durable(move || {
                    tracing::error!(
                        target_name = name,
                        lost = losses.count,
                        "EVENTS ARE LOST: as many wait for notification target {name} as are kept for it; {} are lost \
                         since {}",
                        losses.count,
                        losses.first_at
                    );
                });
            }
            return Ok(());
        }
        outbox::keep(tx, &target.name, number, bucket, key, message);
        let notifications = self.clone();
        tx.when_durable(move || {
            let slot = &notifications.inner.targets[index];
            slot.undelivered.one_more();
            slot.arrived.notify_one();
        });
        Ok(())
    }
}

/// The request's id; what the server does by itself gets one of the same form.
fn request_id(number: u64, cause: Option<&RequestCause>) -> String {
    cause.map_or_else(|| sequencer(number), |cause| cause.request_id.clone())
}

/// Numbers grow for good, so do these: always 16 digits, so that plain text comparison is right too.
fn sequencer(number: u64) -> String {
    format!("{number:016X}")
}
