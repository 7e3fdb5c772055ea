//! Faults on demand: the service misbehaves as S3 does, where somebody else says so.
//!
//! What strikes which call is decided by [`Config::faults`](crate::Config::faults), which is asked once for each call
//! whose signature holds and whose sender may make it. What that looks like on the wire is decided here. An answer that
//! a fault makes has S3's own status, code, words and request id, so that clients do what they do on S3; the log says
//! which rule made it, and whether the operation took effect all the same.

mod bodies;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Response, header};
use s3s::{S3Error, S3ErrorCode};

use crate::operation::Operation;
use crate::query::Query;
use crate::service::{AnswerBody, error_answer, xml_text};
use crate::target::Target;

/// Says which fault strikes a call, if one does. Must not block; asked for each call, so it should be quick to say none.
pub type FindFault = Arc<dyn Fn(&Call<'_>) -> Option<Struck> + Send + Sync>;

/// A fault, and the rule it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Struck {
    /// What the rule is called, for the log.
    pub rule: Arc<str>,
    /// What happens.
    pub fault: Fault,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is answered with this error, and nothing was done.
    Refused(Code),
    /// It is done, and answered with 500 `InternalError`. One that fails by itself keeps its own error.
    AnswerLost,
    /// Its answer begins as a 200 and turns out to be an `InternalError`; nothing was done.
    ErrorInside200,
    /// The connection ends before the answer.
    Cut {
        /// Whether it is done first.
        took_effect: bool,
    },
    /// The connection ends within the request's body, and nothing was done.
    CutRequest {
        /// How much of the body is read; half of it if not said.
        after_bytes: Option<u64>,
    },
    /// The connection ends within the answer's body.
    CutAnswer {
        /// How much of the body is sent; half of it if not said.
        after_bytes: Option<u64>,
    },
    /// The answer is late.
    Delayed {
        /// How late.
        by: Duration,
        /// Whether it is done at once and only the answer waits.
        took_effect: bool,
    },
    /// The request's body is read no faster than this.
    SlowRequest {
        /// Bytes a second.
        bytes_per_s: NonZeroU64,
    },
    /// The answer's body is sent no faster than this.
    SlowAnswer {
        /// Bytes a second.
        bytes_per_s: NonZeroU64,
    },
}

/// An error that S3 answers though nothing is wrong with the request (S3 API Reference, "Error responses").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// 503: too many requests for the prefix.
    SlowDown,
    /// 500: something is broken on the other side.
    InternalError,
    /// 412: the condition does not hold.
    PreconditionFailed,
    /// 409: another write to the key was under way while the condition was looked at.
    ConditionalRequestConflict,
    /// 409: another operation on the same resource is under way.
    OperationAborted,
}

/// A call that a fault may strike. It is looked into only as far as it is asked.
pub struct Call<'a>(Kind<'a>);

enum Kind<'a> {
    Request {
        method: &'a Method,
        target: &'a Target,
        query: &'a Query,
        headers: &'a HeaderMap,
    },
    Form {
        bucket: &'a str,
        key: &'a str,
    },
}

impl<'a> Call<'a> {
    pub(crate) fn request(
        method: &'a Method,
        target: &'a Target,
        query: &'a Query,
        headers: &'a HeaderMap,
    ) -> Self {
        Self(Kind::Request {
            method,
            target,
            query,
            headers,
        })
    }

    pub(crate) fn form(bucket: &'a str, key: &'a str) -> Self {
        Self(Kind::Form { bucket, key })
    }

    /// The operation; none for one that is not served.
    pub fn operation(&self) -> Option<Operation> {
        match &self.0 {
            Kind::Request {
                method,
                target,
                query,
                headers,
            } => Operation::of(method, target, query, headers),
            Kind::Form { .. } => Some(Operation::post_object()),
        }
    }

    /// The bucket; of a copy, where it goes.
    pub fn bucket(&self) -> Option<&str> {
        match &self.0 {
            Kind::Request { target, .. } => target.bucket.as_deref(),
            Kind::Form { bucket, .. } => Some(bucket),
        }
    }

    /// The key in the request's address, or in the form; of a copy, where it goes.
    pub fn key(&self) -> Option<&str> {
        match &self.0 {
            Kind::Request { target, .. } => target.key.as_deref(),
            Kind::Form { key, .. } => Some(key),
        }
    }

    /// Whether it carries a condition that can fail with 412.
    pub fn is_conditional(&self) -> bool {
        match &self.0 {
            Kind::Request { headers, .. } => self
                .operation()
                .is_some_and(|operation| operation.is_conditional(headers)),
            Kind::Form { .. } => false,
        }
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation().map(|it| it.name))
            .field("bucket", &self.bucket())
            .field("key", &self.key())
            .finish()
    }
}

/// What is still to be done to an answer when it is complete: in its extensions until then.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pending {
    Cut,
    CutWithin { after_bytes: Option<u64> },
    Slow { bytes_per_s: NonZeroU64 },
    ErrorInside200,
}

/// Marks an answer that is not to be sent: the connection ends instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsent;

impl Fault {
    /// Whether the operation is carried out all the same, sooner or later, as far as nothing else is wrong with it.
    pub fn took_effect(&self) -> bool {
        match self {
            Self::AnswerLost
            | Self::CutAnswer { .. }
            | Self::Delayed { .. }
            | Self::SlowRequest { .. }
            | Self::SlowAnswer { .. } => true,
            Self::Cut { took_effect } => *took_effect,
            Self::Refused(_) | Self::ErrorInside200 | Self::CutRequest { .. } => false,
        }
    }

    /// The request's body as the operation gets it.
    pub(crate) fn on_request(&self, body: s3s::Body, size_bytes: Option<u64>) -> s3s::Body {
        match *self {
            Self::SlowRequest { bytes_per_s } => bodies::slow(body, bytes_per_s),
            Self::CutRequest { after_bytes } => {
                let half = size_bytes.map_or(0, |size| size / 2);
                bodies::cut(body, after_bytes.unwrap_or(half))
            }
            _ => body,
        }
    }

    /// What comes before the operation, once it is time for that.
    pub(crate) async fn before(&self) -> Before {
        match *self {
            Self::Refused(code) => Before::Refuse(code.error()),
            Self::ErrorInside200 => Before::Answer(marked(Pending::ErrorInside200)),
            Self::Cut { took_effect: false } => Before::Answer(marked(Pending::Cut)),
            Self::Delayed {
                by,
                took_effect: false,
            } => {
                tokio::time::sleep(by).await;
                Before::Perform
            }
            _ => Before::Perform,
        }
    }

    /// What becomes of the operation's answer. What can only be done to a complete answer is in its extensions.
    pub(crate) async fn after(&self, mut answer: Response<AnswerBody>) -> Response<AnswerBody> {
        let pending = match *self {
            Self::AnswerLost if is_done(&answer) => {
                return error_answer(Code::InternalError.error());
            }
            Self::Delayed {
                by,
                took_effect: true,
            } => {
                tokio::time::sleep(by).await;
                return answer;
            }
            Self::Cut { .. } | Self::CutRequest { .. } => Pending::Cut,
            Self::CutAnswer { after_bytes } => Pending::CutWithin { after_bytes },
            Self::SlowAnswer { bytes_per_s } => Pending::Slow { bytes_per_s },
            _ => return answer,
        };
        answer.extensions_mut().insert(pending);
        answer
    }
}

/// Whether an operation was carried out, as its answer has it; the answer to a form may lead elsewhere.
pub(crate) fn is_done(answer: &Response<AnswerBody>) -> bool {
    !answer.status().is_client_error() && !answer.status().is_server_error()
}

/// Whether an operation is carried out under a fault.
pub(crate) enum Before {
    Perform,
    /// This is said instead, to a client that may still be sending.
    Refuse(S3Error),
    /// This is the answer instead.
    Answer(Response<AnswerBody>),
}

fn marked(pending: Pending) -> Response<AnswerBody> {
    let mut answer = Response::default();
    answer.extensions_mut().insert(pending);
    answer
}

/// Does to a complete answer what a fault left to be done.
pub(crate) fn finish(answer: &mut Response<AnswerBody>, resource: &str, request_id: &str) {
    let Some(pending) = answer.extensions_mut().remove::<Pending>() else {
        return;
    };
    match pending {
        Pending::Cut => {
            answer.extensions_mut().insert(Unsent);
        }
        Pending::CutWithin { after_bytes } => {
            let length = length(answer).unwrap_or_default();
            let Some(less) = length.checked_sub(1) else {
                // There is nothing to cut it within.
                answer.extensions_mut().insert(Unsent);
                return;
            };
            keep_length(answer);
            let body = std::mem::take(answer.body_mut());
            let after_bytes = after_bytes.unwrap_or(length / 2).min(less);
            *answer.body_mut() = bodies::cut(body, after_bytes);
        }
        Pending::Slow { bytes_per_s } => {
            keep_length(answer);
            let body = std::mem::take(answer.body_mut());
            *answer.body_mut() = bodies::slow(body, bytes_per_s);
        }
        Pending::ErrorInside200 => {
            answer.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/xml"),
            );
            let code = Code::InternalError;
            *answer.body_mut() = bodies::after_whitespace(format!(
                "<Error><Code>{}</Code><Message>{}</Message><Resource>{}</Resource><RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>",
                code.s3().as_str(),
                code.words(),
                xml_text(resource),
            ));
        }
    }
}

fn length(answer: &Response<AnswerBody>) -> Option<u64> {
    let said = answer.headers().get(header::CONTENT_LENGTH);
    said.and_then(|length| length.to_str().ok()?.parse().ok())
        .or_else(|| http_body::Body::size_hint(answer.body()).exact())
}

/// A body that was wrapped does not know its length any more, and the client was to be told.
fn keep_length(answer: &mut Response<AnswerBody>) {
    if let Some(length) = length(answer) {
        answer
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

impl Code {
    fn s3(self) -> S3ErrorCode {
        match self {
            Self::SlowDown => S3ErrorCode::SlowDown,
            Self::InternalError => S3ErrorCode::InternalError,
            Self::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            Self::ConditionalRequestConflict => S3ErrorCode::ConditionalRequestConflict,
            Self::OperationAborted => S3ErrorCode::OperationAborted,
        }
    }

    /// S3's own words.
    fn words(self) -> &'static str {
        match self {
            Self::SlowDown => "Please reduce your request rate.",
            Self::InternalError => "We encountered an internal error. Please try again.",
            Self::PreconditionFailed => {
                "At least one of the pre-conditions you specified did not hold"
            }
            Self::ConditionalRequestConflict => {
                "The conditional request cannot succeed due to a conflicting operation against this resource."
            }
            Self::OperationAborted => {
                "A conflicting conditional operation is currently in progress against this resource. Please try again."
            }
        }
    }

    fn error(self) -> S3Error {
        S3Error::with_message(self.s3(), self.words())
    }
}
