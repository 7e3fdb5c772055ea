//! What a request may do: root everything, a session what the policy of its role and its own allow together.
//!
//! Each request is mapped to the IAM actions it needs ([`needs`]) and to what conditions can ask of it ([`facts`]);
//! all of the actions must be allowed. What is not mapped is denied. This comes before the body is read; what only the
//! body tells, as the keys of a `DeleteObjects`, is asked by the operation through the [`Access`] it is handed.

mod facts;
mod needs;

use std::sync::Arc;

use http::{HeaderMap, Method};
use two_buckets_objects::Timestamp;

use crate::auth::Signed;
use crate::policy::{Context, Decision, Question, Value, decide_all};
use crate::query::Query;
use crate::refusal::Refusal;
pub(crate) use crate::server::Peer;
use crate::sts::{Session, Who};
use crate::target::Target;
pub(crate) use facts::of as context;
pub(crate) use needs::Need;

/// A request whose signature holds.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a Target,
    /// Without what belongs to the signature.
    pub(crate) query: &'a Query,
    /// Those that the URL carried among them.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) signed: &'a Signed,
    pub(crate) peer: Option<Peer>,
    pub(crate) now: Timestamp,
}

/// What somebody may do, for the rest of one request. An operation that finds none in its request must refuse it.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Everything.
    Root,
    /// What the policies of a session allow.
    Session(Arc<SessionAccess>),
}

/// A session, and what its request says to conditions.
#[derive(Debug)]
pub(crate) struct SessionAccess {
    session: Arc<Session>,
    context: Context,
    /// The bucket of the object that the request reads, if the session may not list it. Whoever may not is not told
    /// what is missing (S3 API, `GetObject`, "Permissions").
    hidden: bool,
}

/// Refuses a request that its sender may not make.
pub(crate) fn authorize(who: &Who, asked: &Asked<'_>) -> Result<Access, Refusal> {
    let session = match who {
        Who::Root => return Ok(Access::Root),
        Who::Session(session) => session.clone(),
    };
    let needs = needs::of(asked)
        .map_err(|why| Refusal::access_denied(format!("{} may not do this: {why}", session.arn)))?;
    let mut access = SessionAccess {
        session,
        context: context(asked)?,
        hidden: false,
    };
    for need in &needs.all {
        access.check(need)?;
    }
    if !needs.one_of.is_empty() && !access.may_some(needs.one_of) {
        return Err(access.denied(needs.one_of[0], "*", Decision::NotAllowed));
    }
    if let Some(bucket) = &needs.read_from {
        let list = Need::bucket("s3:ListBucket", bucket);
        access.hidden = access.decide(&list) != Decision::Allowed;
    }
    Ok(Access::Session(Arc::new(access)))
}

impl Access {
    /// Asks once more, for what only the body told.
    pub(crate) fn check(&self, need: &Need) -> Result<(), Refusal> {
        match self {
            Self::Root => Ok(()),
            Self::Session(access) => access.check(need),
        }
    }

    /// Whether the sender is not to know that an object is missing.
    pub(crate) fn hides_missing(&self) -> bool {
        matches!(self, Self::Session(access) if access.hidden)
    }
}

impl SessionAccess {
    fn check(&self, need: &Need) -> Result<(), Refusal> {
        match self.decide(need) {
            Decision::Allowed => Ok(()),
            decision => Err(self.denied(need.action, &need.resource, decision)),
        }
    }

    fn decide(&self, need: &Need) -> Decision {
        let narrowed;
        let context = match &need.version {
            None => &self.context,
            Some(version) => {
                let mut with_version = self.context.clone();
                with_version.set("s3:VersionId", Value::Text(version.clone()));
                narrowed = with_version;
                &narrowed
            }
        };
        self.session.decide(&Question {
            action: need.action,
            resource: &need.resource,
            context,
        })
    }

    fn may_some(&self, actions: &[&str]) -> bool {
        actions.iter().any(|action| {
            self.session
                .policies()
                .all(|policy| policy.may_allow(action))
        })
    }

    fn denied(&self, action: &str, resource: &str, decision: Decision) -> Refusal {
        self.session.denied(action, resource, decision)
    }
}

impl Session {
    /// What role policy and session policy say together.
    pub(crate) fn decide(&self, question: &Question<'_>) -> Decision {
        decide_all(self.policies(), question)
    }

    /// The refusal of an action, in the words of AWS.
    pub(crate) fn denied(&self, action: &str, resource: &str, decision: Decision) -> Refusal {
        let why = match decision {
            Decision::Denied => "with an explicit deny",
            _ => "because not all of its policies allow the action",
        };
        Refusal::access_denied(format!(
            "{} is not authorized to perform {action} on {resource} {why}",
            self.arn
        ))
    }
}
