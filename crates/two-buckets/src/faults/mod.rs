//! Faults on demand: rules by which S3 and its events misbehave here as they do on AWS.
//!
//! The rules, their matching and their counters; what a fault looks like is the affair of those it is asked for by,
//! [`two_buckets_s3_api::faults`] and [`two_buckets_local::EventFault`]. Nothing is kept: faults are gone when the server
//! ends. While they are off each call costs one look at a flag.

mod file;
mod kind;
mod read;
mod rule;
#[cfg(test)]
mod tests;
mod when;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;
use two_buckets_local::{EventFault, FindEventFault};
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::faults::Call;
use two_buckets_s3_api::{FindFault, Struck};
use two_buckets_uploads::{FaultRule, Faults};

pub(crate) use file::read as read_file;
use kind::EventKind;
use rule::{Facts, Rule};

/// The rules that are on, shared by all who ask.
#[derive(Clone, Default, Debug)]
pub(crate) struct Switch(Arc<State>);

#[derive(Default, Debug)]
struct State {
    is_on: AtomicBool,
    rules: RwLock<Vec<Rule>>,
}

impl Switch {
    /// What S3 asks.
    pub(crate) fn for_calls(&self) -> FindFault {
        let switch = self.clone();
        Arc::new(move |call| switch.on_call(call))
    }

    /// What is asked for the event of each new version in this bucket.
    pub(crate) fn for_events(
        &self,
        bucket: BucketName,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> FindEventFault {
        let switch = self.clone();
        Arc::new(move |key| {
            let (rule, kind) = switch.find(|rule| rule.on_event(bucket.as_str(), key.as_str()))?;
            tracing::warn!(
                rule = &*rule,
                fault = ?kind,
                key = key.as_str(),
                "a fault strikes an event, as was asked for"
            );
            let at = |after: Duration| now().after(after);
            Some(match kind {
                EventKind::Lost => EventFault::Lost,
                EventKind::Doubled { after } => EventFault::Doubled {
                    again_at: at(after),
                },
                EventKind::Delayed { by } => EventFault::Delayed { until: at(by) },
                EventKind::Reordered { at_most } => EventFault::Reordered { until: at(at_most) },
            })
        })
    }

    fn on_call(&self, call: &Call<'_>) -> Option<Struck> {
        if !self.0.is_on.load(Ordering::Relaxed) {
            return None;
        }
        let facts = Facts {
            operation: call.operation()?.name,
            bucket: call.bucket(),
            key: call.key(),
            is_conditional: call.is_conditional(),
        };
        let (rule, fault) = self.find(|rule| rule.on_call(&facts))?;
        Some(Struck { rule, fault })
    }

    /// The first rule that strikes, in their order, and what it says. Those behind it are not asked.
    fn find<T>(&self, strike: impl Fn(&Rule) -> Option<T>) -> Option<(Arc<str>, T)> {
        if !self.0.is_on.load(Ordering::Relaxed) {
            return None;
        }
        let rules = self.0.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules
            .iter()
            .find_map(|rule| Some((rule.name.clone(), strike(rule)?)))
    }

    fn put(&self, rules: Vec<Rule>) {
        let is_on = !rules.is_empty();
        let mut current = self.0.rules.write().unwrap_or_else(PoisonError::into_inner);
        *current = rules;
        // While the rules are ours, so that two who switch at the same time leave both as one of them has it.
        self.0.is_on.store(is_on, Ordering::Relaxed);
    }
}

impl Faults for Switch {
    fn rules(&self) -> Vec<FaultRule> {
        let rules = self.0.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.iter().map(Rule::shown).collect()
    }

    fn set(&self, rules: &Value) -> Result<(), String> {
        let rules = read::rules(rules, random)?;
        for rule in &rules {
            tracing::warn!(rule = &*rule.name, "FAULTS ARE ON: {}", rule.words());
        }
        self.put(rules);
        Ok(())
    }

    fn clear(&self) {
        for rule in Faults::rules(self) {
            tracing::warn!(
                rule = rule.name,
                matched = rule.matched,
                struck = rule.struck,
                "this fault is switched off"
            );
        }
        self.put(Vec::new());
    }
}

/// A seed short enough to be typed again.
fn random() -> u64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).expect("the system gave randomness when the server started");
    u32::from_le_bytes(bytes).into()
}
