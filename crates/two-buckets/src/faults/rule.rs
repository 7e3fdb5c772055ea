//! One rule: what it strikes, and how often it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use two_buckets_s3_api::Fault;
use two_buckets_uploads::FaultRule;

use super::kind::{EventKind, Kind, needs_condition};
use super::when::When;
use crate::route::rule::KeyPattern;

/// What a rule is about when it is about events.
pub(crate) const EVENT: &str = "event";

/// A rule that can be.
#[derive(Debug)]
pub(crate) struct Rule {
    /// What it is called.
    pub(crate) name: Arc<str>,
    /// The word for what it makes happen.
    pub(crate) word: String,
    /// What it makes happen.
    pub(crate) kind: Kind,
    /// S3's names of the operations it strikes; of events, none.
    pub(crate) operations: Vec<&'static str>,
    /// Whether all operations were meant that can be struck.
    pub(crate) is_about_all: bool,
    /// One of which the bucket must match; any if there is none.
    pub(crate) buckets: Vec<KeyPattern>,
    /// One of which the key must match; any, and none at all, if there is none.
    pub(crate) keys: Vec<KeyPattern>,
    /// Which of those it strikes.
    pub(crate) when: When,
    /// How many calls or events it was about.
    pub(crate) matched: AtomicU64,
    /// How many of them it struck.
    pub(crate) struck: AtomicU64,
}

/// What rules look at in a call of S3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// S3's name of the operation.
    pub(crate) operation: &'static str,
    /// The bucket; of a copy, where it goes.
    pub(crate) bucket: Option<&'a str>,
    /// The key, where the address names one; of a copy, where it goes.
    pub(crate) key: Option<&'a str>,
    /// Whether it carries a condition that can fail.
    pub(crate) is_conditional: bool,
}

impl Rule {
    /// What happens to a call, if this rule strikes it.
    pub(crate) fn on_call(&self, call: &Facts<'_>) -> Option<Fault> {
        let Kind::OfCall(fault) = self.kind else {
            return None;
        };
        let is_about = self.operations.contains(&call.operation)
            && matches(&self.buckets, call.bucket)
            && matches(&self.keys, call.key)
            && (!needs_condition(&fault) || call.is_conditional);
        (is_about && self.strikes()).then_some(fault)
    }

    /// What happens to an event, if this rule strikes it.
    pub(crate) fn on_event(&self, bucket: &str, key: &str) -> Option<EventKind> {
        let Kind::OfEvent(kind) = self.kind else {
            return None;
        };
        let is_about = matches(&self.buckets, Some(bucket)) && matches(&self.keys, Some(key));
        (is_about && self.strikes()).then_some(kind)
    }

    fn strikes(&self) -> bool {
        // The number is what decides, so each call gets one of its own.
        let number = self.matched.fetch_add(1, Ordering::Relaxed) + 1;
        let strikes = self.when.strikes(number);
        if strikes {
            self.struck.fetch_add(1, Ordering::Relaxed);
        }
        strikes
    }

    /// The rule in a sentence: `503 SlowDown to PutObject in archive, keys photos/**, every 3rd time`.
    pub(crate) fn words(&self) -> String {
        let listed = |patterns: &[KeyPattern]| {
            let texts: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            texts.join(" or ")
        };
        let what = match self.kind {
            Kind::OfCall(_) if self.is_about_all => {
                format!("{} to every operation", self.kind.words())
            }
            Kind::OfCall(_) => format!("{} to {}", self.kind.words(), self.operations.join(", ")),
            Kind::OfEvent(_) => format!("events {}", self.kind.words()),
        };
        let bucket = match &*self.buckets {
            [] => String::new(),
            some => format!(" in {}", listed(some)),
        };
        let keys = match &*self.keys {
            [] => String::new(),
            some => format!(", keys {}", listed(some)),
        };
        format!("{what}{bucket}{keys}, {}", self.when)
    }

    /// The rule as the API shows it.
    pub(crate) fn shown(&self) -> FaultRule {
        let operations = match self.kind {
            Kind::OfCall(_) => self.operations.iter().map(ToString::to_string).collect(),
            Kind::OfEvent(_) => vec![EVENT.to_owned()],
        };
        // In this order: a rule is not shown to have struck more often than it matched.
        let struck = self.struck.load(Ordering::Acquire);
        FaultRule {
            name: self.name.to_string(),
            fault: self.word.clone(),
            took_effect: self.kind.took_effect(),
            operations,
            words: self.words(),
            matched: self.matched.load(Ordering::Acquire),
            struck,
        }
    }
}

fn matches(patterns: &[KeyPattern], text: Option<&str>) -> bool {
    patterns.is_empty()
        || text.is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(text)))
}
