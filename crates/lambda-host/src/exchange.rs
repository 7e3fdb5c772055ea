//! What a runtime and its host may say to each other, and when: the rules of the Runtime API as one small state machine.
//!
//! A runtime asks for the next invocation, is given one, answers it, and asks again. Everything else is refused in words,
//! and what makes the invocation unbelievable is told to the supervisor, which ends the environment.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::failure::Failure;

/// An invocation as the runtime is given it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) request_id: String,
    pub(crate) deadline_unix_ms: u128,
    pub(crate) trace_id: Option<String>,
    pub(crate) payload: Bytes,
}

/// What came of an invocation.
pub(crate) type Answer = Result<Bytes, Failure>;

/// What a supervisor is told.
#[derive(Debug)]
pub(crate) enum Signal {
    /// The runtime asks for an invocation: it is initialised, or done with the last one.
    Ready,
    /// The runtime says that it cannot start.
    InitFailed(Failure),
    /// An invocation was given, and is to be answered and done with by then.
    Given { until: Instant },
    /// It has become idle.
    Idle,
    /// The environment is to end, for this reason.
    End(Failure),
}

/// Why a call of the Runtime API is refused, with the status and error type that Lambda gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownRequest,
    AlreadyAnswered,
    AlreadyAsked,
    NotAnsweredYet,
    NotStarting,
    Ended,
}

impl Refusal {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Refusal::UnknownRequest => "it answered for a request that it was not given",
            Refusal::AlreadyAnswered => "it answered a request that it had answered before",
            Refusal::AlreadyAsked => "it asked for the next invocation twice at the same time",
            Refusal::NotAnsweredYet => {
                "it asked for the next invocation before it answered the one it had"
            }
            Refusal::NotStarting => "it reported a failed start after it had started",
            Refusal::Ended => "it called after its environment had ended",
        }
    }
}

pub(crate) struct Exchange {
    signals: mpsc::UnboundedSender<Signal>,
    inner: Mutex<Inner>,
}

struct Inner {
    stage: Stage,
    /// The last call that was refused, to explain a failure that follows.
    note: Option<String>,
    last_request_id: Option<String>,
}

enum Stage {
    Starting,
    /// The runtime's call for the next invocation is open.
    Ready(oneshot::Sender<Event>),
    Running {
        request_id: String,
        /// The event, when the call it was to answer had gone.
        undelivered: Option<Event>,
        answer: oneshot::Sender<Answer>,
        /// Its response is coming in.
        is_answering: bool,
    },
    /// Answered; the runtime has not asked for the next one yet.
    Answered,
    Ended(Failure),
}

impl Exchange {
    /// The signals are few: one a stage, and stages only go round with invocations.
    pub(crate) fn new(signals: mpsc::UnboundedSender<Signal>) -> Exchange {
        Exchange {
            signals,
            inner: Mutex::new(Inner {
                stage: Stage::Starting,
                note: None,
                last_request_id: None,
            }),
        }
    }

    /// The runtime asks for the next invocation, which comes through the receiver. None comes when the environment ends.
    pub(crate) fn next(&self) -> Result<oneshot::Receiver<Event>, Refusal> {
        let mut inner = self.lock();
        let (give, given) = oneshot::channel();
        match &mut inner.stage {
            Stage::Starting | Stage::Answered => {
                inner.stage = Stage::Ready(give);
                self.tell(Signal::Ready);
                Ok(given)
            }
            // Its connection broke, and it asks again.
            Stage::Ready(before) if before.is_closed() => {
                *before = give;
                Ok(given)
            }
            Stage::Ready(_) => Err(inner.refuse(Refusal::AlreadyAsked)),
            Stage::Running { undelivered, .. } => {
                if let Some(event) = undelivered.take() {
                    // Its receiver is in our hands.
                    give.send(event).ok();
                    return Ok(given);
                }
                let refusal = inner.refuse(Refusal::NotAnsweredYet);
                self.tell(broken(refusal.words()));
                Err(refusal)
            }
            Stage::Ended(_) => Err(Refusal::Ended),
        }
    }

    /// Gives the runtime an invocation. What comes of it, its failure included, comes through the receiver.
    pub(crate) fn give(
        &self,
        event: Event,
        until: Instant,
    ) -> Result<oneshot::Receiver<Answer>, Failure> {
        let mut inner = self.lock();
        let (answer, answered) = oneshot::channel();
        let request_id = event.request_id.clone();
        let running = |undelivered| Stage::Running {
            request_id,
            undelivered,
            answer,
            is_answering: false,
        };
        match std::mem::replace(&mut inner.stage, Stage::Answered) {
            Stage::Ready(next) => {
                self.tell(Signal::Given { until });
                inner.stage = match next.send(event) {
                    Ok(()) => running(None),
                    Err(event) => running(Some(event)),
                };
                Ok(answered)
            }
            Stage::Ended(why) => {
                inner.stage = Stage::Ended(why.clone());
                Err(why)
            }
            other => {
                inner.stage = other;
                Err(Failure::Protocol {
                    what: "it was given an invocation while it had one".to_owned(),
                })
            }
        }
    }

    /// An answer for this request begins to come in. Only one can: a second is refused though the first is not complete.
    pub(crate) fn begin_answer(&self, request_id: &str) -> Result<(), Refusal> {
        let mut inner = self.lock();
        let is_last = inner.last_request_id.as_deref() == Some(request_id);
        let refusal = match &mut inner.stage {
            Stage::Running {
                request_id: current,
                is_answering,
                undelivered: None,
                ..
            } if *current == request_id => {
                if !*is_answering {
                    *is_answering = true;
                    return Ok(());
                }
                Refusal::AlreadyAnswered
            }
            Stage::Ended(_) => Refusal::Ended,
            _ if is_last => Refusal::AlreadyAnswered,
            _ => Refusal::UnknownRequest,
        };
        Err(inner.refuse(refusal))
    }

    /// The answer that [`begin_answer`](Exchange::begin_answer) let in is complete.
    pub(crate) fn answer(&self, result: Answer) {
        let mut inner = self.lock();
        match std::mem::replace(&mut inner.stage, Stage::Answered) {
            Stage::Running {
                request_id, answer, ..
            } => {
                inner.last_request_id = Some(request_id);
                inner.note = None;
                // Nobody waits for it any more when the caller has gone; the environment is then about to end.
                answer.send(result).ok();
            }
            other => inner.stage = other,
        }
    }

    /// The answer that was let in broke off.
    pub(crate) fn answer_broke_off(&self, what: &str) {
        self.lock().note = Some(what.to_owned());
        self.tell(broken(what));
    }

    /// The runtime reports that it cannot start.
    pub(crate) fn init_failed(&self, why: Failure) -> Result<(), Refusal> {
        let mut inner = self.lock();
        match inner.stage {
            Stage::Starting => {
                inner.stage = Stage::Answered;
                self.tell(Signal::InitFailed(why));
                Ok(())
            }
            Stage::Ended(_) => Err(Refusal::Ended),
            _ => Err(inner.refuse(Refusal::NotStarting)),
        }
    }

    /// From here on every call is refused, and an answer that comes is late. The failure of the invocation that runs is
    /// handed out by [`end`](Exchange::end), when its processes are gone.
    pub(crate) fn close(&self, why: &Failure) -> Option<oneshot::Sender<Answer>> {
        let mut inner = self.lock();
        match std::mem::replace(&mut inner.stage, Stage::Ended(why.clone())) {
            Stage::Running { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// What the runtime last did wrong.
    pub(crate) fn note(&self) -> Option<String> {
        self.lock().note.clone()
    }

    fn tell(&self, signal: Signal) {
        // The supervisor is gone only after the environment has ended.
        self.signals.send(signal).ok();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is made in one piece, so a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        self.note = Some(refusal.words().to_owned());
        refusal
    }
}

fn broken(what: &str) -> Signal {
    Signal::End(Failure::Protocol {
        what: what.to_owned(),
    })
}
