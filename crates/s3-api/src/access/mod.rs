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

use crate::auth::{Signed, Way};
use crate::pins::{FUNCTION_ROLE, Invocation, Pins};
use crate::policy::{Context, Decision, Question, Value, decide_all};
use crate::query::Query;
use crate::refusal::Refusal;
pub(crate) use crate::server::Peer;
use crate::sts::{ACCOUNT, Session, Who};
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
    /// What the session works on, if it is one that is bound to pins: as it was when the request came in.
    invocation: Option<Arc<Invocation>>,
    context: Context,
    /// The version id in the query.
    version: Option<String>,
    /// The bucket of the object that the request reads, if the session may not list it. Whoever may not is not told
    /// what is missing (S3 API, `GetObject`, "Permissions").
    hidden: bool,
}

/// Refuses a request that its sender may not make.
pub(crate) fn authorize(
    who: &Who,
    asked: &Asked<'_>,
    pins: Option<&Pins>,
) -> Result<Access, Refusal> {
    let session = match who {
        Who::Root => return Ok(Access::Root),
        Who::Session(session) => session.clone(),
    };
    let invocation = invocation(&session, asked, pins)?;
    let needs = needs::of(asked)
        .map_err(|why| Refusal::access_denied(format!("{} may not do this: {why}", session.arn)))?;
    let mut access = SessionAccess {
        session,
        invocation,
        context: context(asked)?,
        version: asked.query.unique("versionId").map(str::to_owned),
        hidden: false,
    };
    let checked = needs.all.iter().map(|need| access.check(need));
    let are_own: Vec<Option<bool>> = checked.collect::<Result<_, _>>()?;
    if !needs.one_of.is_empty() && !access.may_some(needs.one_of) {
        return Err(access.denied(needs.one_of[0], "*", Decision::NotAllowed));
    }
    // Of its own keys a session may know whether they are there. What is read comes first.
    let reads_own = are_own.first() == Some(&Some(true));
    if let Some(bucket) = needs.read_from.as_ref().filter(|_| !reads_own) {
        let list = Need::bucket("s3:ListBucket", bucket);
        access.hidden = access.decide(&list, None) != Decision::Allowed;
    }
    Ok(Access::Session(Arc::new(access)))
}

/// What the request's session works on, if its role is one whose sessions are bound to pins.
fn invocation(
    session: &Session,
    asked: &Asked<'_>,
    pins: Option<&Pins>,
) -> Result<Option<Arc<Invocation>>, Refusal> {
    if session.role != FUNCTION_ROLE {
        return Ok(None);
    }
    let Some(pins) = pins else {
        return Err(Refusal::access_denied(format!(
            "{}: no functions run here",
            session.arn
        )));
    };
    if asked.signed.way == Way::Form {
        return Err(Refusal::access_denied(format!(
            "{}: a session that works on a file cannot upload by forms",
            session.arn
        )));
    }
    pins.invocation(&session.name).map(Some)
}

impl Access {
    /// Asks once more, for what only the body told.
    pub(crate) fn check(&self, need: &Need) -> Result<(), Refusal> {
        match self {
            Self::Root => Ok(()),
            Self::Session(access) => access.check(need).map(|_| ()),
        }
    }

    /// What the sender works on, if it is a session that is bound to that.
    pub(crate) fn invocation(&self) -> Option<&Arc<Invocation>> {
        match self {
            Self::Root => None,
            Self::Session(access) => access.invocation.as_ref(),
        }
    }

    /// Who it is, as events name them: the account, or a session of one of its roles.
    pub(crate) fn principal(&self) -> String {
        match self {
            Self::Root => ACCOUNT.to_owned(),
            Self::Session(access) => format!("AWS:{}", access.session.assumed_role_id),
        }
    }

    /// Whether the sender is not to know that an object is missing.
    pub(crate) fn hides_missing(&self) -> bool {
        matches!(self, Self::Session(access) if access.hidden)
    }
}

impl SessionAccess {
    /// Says of an allowed action on an object whether that is one of the session's own.
    fn check(&self, need: &Need) -> Result<Option<bool>, Refusal> {
        let is_own = match &self.invocation {
            None => None,
            Some(invocation) => {
                let version = need.version.as_deref().or(self.version.as_deref());
                invocation.check(need, version)?
            }
        };
        match self.decide(need, is_own) {
            Decision::Allowed => Ok(is_own),
            decision => Err(self.denied(need.action, &need.resource, decision)),
        }
    }

    fn decide(&self, need: &Need, is_own: Option<bool>) -> Decision {
        let narrowed;
        let context = if need.version.is_none() && is_own.is_none() {
            &self.context
        } else {
            let mut with_both = self.context.clone();
            with_both.set_text("s3:VersionId", need.version.as_deref());
            if let Some(is_own) = is_own {
                with_both.set("two-buckets:Pinned", Value::Bool(is_own));
            }
            narrowed = with_both;
            &narrowed
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
        let mut refusal = self.session.denied(action, resource, decision);
        if let Some(invocation) = &self.invocation {
            refusal.message = format!(
                "{}; the session works on {}",
                refusal.message,
                invocation.words()
            );
        }
        refusal
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
