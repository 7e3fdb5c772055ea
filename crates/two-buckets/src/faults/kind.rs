//! What can go wrong, by the words of the rules, and with which operations each can.

use std::time::Duration;

use two_buckets_s3_api::faults::Code;
use two_buckets_s3_api::{Conditions, Fault, Operation};

/// What a rule makes happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// To calls of S3.
    OfCall(Fault),
    /// To events.
    OfEvent(EventKind),
}

/// What a rule makes of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    Lost,
    Doubled { after: Duration },
    Delayed { by: Duration },
    Reordered { at_most: Duration },
}

/// The words for faults of calls.
pub(crate) const OF_CALLS: [&str; 12] = [
    "SlowDown",
    "InternalError",
    "PreconditionFailed",
    "ConditionalRequestConflict",
    "OperationAborted",
    "error-in-200",
    "cut",
    "cut-request",
    "cut-answer",
    "slow-request",
    "slow-answer",
    "delay",
];
/// The words for faults of events.
pub(crate) const OF_EVENTS: [&str; 4] = ["lost", "doubled", "delayed", "reordered"];

/// Why a fault cannot strike an operation, if it cannot.
pub(crate) fn why_not(fault: &Fault, operation: &Operation) -> Option<&'static str> {
    let Operation {
        writes,
        streams_in,
        answers_body,
        answers_early,
        conditions,
        ..
    } = *operation;
    let unless = |holds: bool, why| (!holds).then_some(why);
    let changes_nothing =
        "it changes nothing, so nothing of it takes effect; leave took_effect out";
    match fault {
        Fault::Refused(Code::SlowDown | Code::InternalError) => None,
        Fault::Refused(Code::PreconditionFailed) => unless(
            conditions != Conditions::None,
            "it takes no condition that could fail",
        ),
        Fault::Refused(Code::ConditionalRequestConflict) => unless(
            matches!(conditions, Conditions::OfWrite | Conditions::OfCopy),
            "it is no write with a condition",
        ),
        Fault::Refused(Code::OperationAborted) => unless(
            writes,
            "it changes nothing, so nothing can be in conflict with it",
        ),
        Fault::AnswerLost => unless(writes, changes_nothing),
        Fault::Cut { took_effect } | Fault::Delayed { took_effect, .. } => {
            unless(writes || !took_effect, changes_nothing)
        }
        Fault::ErrorInside200 => unless(
            answers_early,
            "S3 begins a 200 before the end only for CopyObject, UploadPartCopy and CompleteMultipartUpload",
        ),
        Fault::CutRequest { .. } | Fault::SlowRequest { .. } => unless(
            streams_in,
            "its request carries no file; PutObject and UploadPart do",
        ),
        Fault::CutAnswer { .. } | Fault::SlowAnswer { .. } => {
            unless(answers_body, "its answer has no body")
        }
    }
}

/// Whether only calls with a condition are struck: others could not be answered so.
pub(crate) fn needs_condition(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Refused(Code::PreconditionFailed | Code::ConditionalRequestConflict)
    )
}

impl Kind {
    /// Whether what is struck is carried out, or comes, all the same.
    pub(crate) fn took_effect(&self) -> bool {
        match self {
            Self::OfCall(fault) => fault.took_effect(),
            Self::OfEvent(event) => *event != EventKind::Lost,
        }
    }

    /// What happens, in words, to be followed by what it happens to.
    pub(crate) fn words(&self) -> String {
        let after = |took_effect: bool| {
            if took_effect {
                "after it took effect"
            } else {
                "before it took effect"
            }
        };
        let of_body = |bytes: Option<u64>| {
            bytes.map_or("half of it".to_owned(), |bytes| format!("{bytes} bytes"))
        };
        match self {
            Self::OfCall(fault) => match fault {
                Fault::Refused(Code::SlowDown) => "503 SlowDown".to_owned(),
                Fault::Refused(Code::InternalError) => {
                    format!("500 InternalError {}", after(false))
                }
                Fault::Refused(Code::PreconditionFailed) => "412 PreconditionFailed".to_owned(),
                Fault::Refused(Code::ConditionalRequestConflict) => {
                    "409 ConditionalRequestConflict".to_owned()
                }
                Fault::Refused(Code::OperationAborted) => "409 OperationAborted".to_owned(),
                Fault::AnswerLost => format!("500 InternalError {}", after(true)),
                Fault::ErrorInside200 => "an InternalError inside a 200".to_owned(),
                Fault::Cut { took_effect } => {
                    format!("connection cut {}", after(*took_effect))
                }
                Fault::CutRequest { after_bytes } => {
                    format!(
                        "connection cut within the request, after {}",
                        of_body(*after_bytes)
                    )
                }
                Fault::CutAnswer { after_bytes } => {
                    format!(
                        "connection cut within the answer, after {}",
                        of_body(*after_bytes)
                    )
                }
                Fault::Delayed { by, took_effect } => {
                    format!("{} ms of delay {}", by.as_millis(), after(*took_effect))
                }
                Fault::SlowRequest { bytes_per_s } => {
                    format!("request read at {bytes_per_s} bytes a second")
                }
                Fault::SlowAnswer { bytes_per_s } => {
                    format!("answer sent at {bytes_per_s} bytes a second")
                }
            },
            Self::OfEvent(event) => match event {
                EventKind::Lost => "lost".to_owned(),
                EventKind::Doubled { after } => {
                    format!("come again after {} ms", after.as_millis())
                }
                EventKind::Delayed { by } => format!("come {} ms late", by.as_millis()),
                EventKind::Reordered { at_most } => format!(
                    "come behind the next one, or {} ms late",
                    at_most.as_millis()
                ),
            },
        }
    }
}
