//! IAM policies: read strictly, decided purely.
//!
//! A policy says what may be done ([`Policy::decide`]); this module knows the language and nothing of requests, stores
//! or time. What it promises:
//!
//! * **What is not understood is refused when the policy is read**, with a sentence that says what: an element, an
//!   operator, a condition key, a policy variable, an action that does not exist here, a key that stands twice. A
//!   condition that was skipped would open a door, and a Deny that was skipped would too.
//! * **Default deny, and an explicit Deny wins**, in whatever order statements and policies stand (IAM User Guide,
//!   "Policy evaluation logic"). Of several policies all must allow: role ∩ session ("Session policies").
//! * **Time is bounded** by the length of the pattern times that of the text; there are no regular expressions.
//!
//! Where AWS and this differ, this is the stricter: `NotAction`, `NotResource`, `Principal`, `ForAllValues` and
//! `ForAnyValue`, and policy variables other than the escapes `${*}`, `${?}` and `${$}`, are not supported and
//! refused; a policy of version 2008-10-17 has no variables, and one with `${` in it is refused rather than taken by
//! the letter.

mod action;
mod condition;
mod document;
mod json;
mod keys;
mod pattern;
mod resource;
#[cfg(test)]
mod table;

use std::fmt;
use std::str::FromStr;

use condition::Condition;
pub use keys::{Context, Value};
use pattern::Pattern;
use resource::ResourcePattern;
pub use two_buckets_objects::policy::{SESSION_POLICY_CHARS_MAX, literal};

/// The longest policy of a role, in characters (IAM User Guide, "IAM and AWS STS quotas": role policies).
pub const POLICY_CHARS_MAX: usize = 10_240;

/// A policy that was read and understood whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, PartialEq, Debug)]
struct Statement {
    effect: Effect,
    actions: Vec<Pattern>,
    resources: Vec<ResourcePattern>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effect {
    Allow,
    Deny,
}

/// What is asked of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The action, `s3:PutObject`.
    pub action: &'a str,
    /// What it is done to, `arn:aws:s3:::bucket/key`.
    pub resource: &'a str,
    /// What conditions may look at.
    pub context: &'a Context,
}

/// What policies say to a [`Question`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Some statement allows it and none denies it.
    Allowed,
    /// A statement denies it; nothing can allow it any more.
    Denied,
    /// No statement says anything of it, which is a no.
    NotAllowed,
}

/// Why a text is no policy here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MalformedPolicy(pub(crate) String);

impl Policy {
    /// Says whether the policy allows what is asked.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let action = question.action.to_ascii_lowercase();
        let mut decision = Decision::NotAllowed;
        for statement in &self.statements {
            // A Deny ends it, wherever it stands.
            if statement.applies(&action, question) {
                match statement.effect {
                    Effect::Deny => return Decision::Denied,
                    Effect::Allow => decision = Decision::Allowed,
                }
            }
        }
        decision
    }

    /// Whether the policy allows this action on anything, whatever the conditions. A no is certain, a yes is not.
    pub fn may_allow(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.statements.iter().any(|statement| {
            statement.effect == Effect::Allow
                && statement.actions.iter().any(|it| it.matches(&action))
        })
    }
}

/// What several policies say together: each must allow, and any may deny (IAM User Guide, "Session policies").
/// No policy at all allows nothing.
pub fn decide_all<'p>(
    policies: impl IntoIterator<Item = &'p Policy>,
    question: &Question<'_>,
) -> Decision {
    let mut together = None;
    for policy in policies {
        let decision = policy.decide(question);
        match decision {
            Decision::Denied => return Decision::Denied,
            Decision::NotAllowed => together = Some(Decision::NotAllowed),
            Decision::Allowed => {
                together.get_or_insert(Decision::Allowed);
            }
        }
    }
    together.unwrap_or(Decision::NotAllowed)
}

impl Statement {
    fn applies(&self, action: &str, question: &Question<'_>) -> bool {
        self.actions.iter().any(|it| it.matches(action))
            && self
                .resources
                .iter()
                .any(|it| it.matches(question.resource))
            && self.conditions.iter().all(|it| it.holds(question.context))
    }
}

/// Reads a JSON document of at most [`POLICY_CHARS_MAX`] characters.
impl FromStr for Policy {
    type Err = MalformedPolicy;

    fn from_str(text: &str) -> Result<Self, MalformedPolicy> {
        document::parse(text)
    }
}

fn malformed(message: impl fmt::Display) -> MalformedPolicy {
    MalformedPolicy(message.to_string())
}
