//! Waiting for a transaction: by a thread, by a task, or by nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};

use super::commit::Refusal;
use crate::{Error, Result};

/// What became of a transaction, and who is to be told.
pub(super) struct Waiter(Mutex<State>);

enum State {
    Waiting(Option<Told>),
    Ended(Result<(), Refusal>),
}

/// Who is told.
enum Told {
    Thread(Thread),
    Task(Waker),
    /// Nobody waits any more; the commit thread does what was to be done then.
    Call(Box<dyn FnOnce(Result<()>) + Send>),
}

impl Waiter {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Waiting(None))))
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(*self.state(), State::Ended(_))
    }

    /// Ends the waiting. The first outcome counts: a second could only be that of a commit thread that panicked after
    /// giving one.
    pub(super) fn wake(&self, outcome: Result<(), Refusal>) {
        let mut state = self.state();
        let State::Waiting(told) = &mut *state else {
            return;
        };
        let told = told.take();
        *state = State::Ended(outcome);
        drop(state);
        match told {
            None => {}
            Some(Told::Thread(thread)) => thread.unpark(),
            Some(Told::Task(task)) => task.wake(),
            Some(Told::Call(call)) => call(outcome.map_err(Error::from)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction on its way to the disk.
#[must_use = "what a transaction did may not be told before it is durable"]
pub(crate) struct Commit(Option<Arc<Waiter>>);

impl Commit {
    /// Of a transaction that needs not be waited for.
    pub(super) const NONE: Self = Self(None);

    pub(super) fn of(waiter: Arc<Waiter>) -> Self {
        Self(Some(waiter))
    }

    /// Blocks until it is durable, or failed.
    pub(crate) fn wait(self) -> Result<()> {
        let Some(waiter) = self.0 else {
            return Ok(());
        };
        loop {
            match &mut *waiter.state() {
                State::Ended(outcome) => return outcome.map_err(Error::from),
                State::Waiting(told) => *told = Some(Told::Thread(thread::current())),
            }
            thread::park();
        }
    }

    /// Whether it is durable, or failed; if neither, the task is woken then.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(waiter) = &self.0 else {
            return Poll::Ready(Ok(()));
        };
        match &mut *waiter.state() {
            State::Ended(outcome) => Poll::Ready(outcome.map_err(Error::from)),
            State::Waiting(Some(Told::Task(task))) if task.will_wake(context.waker()) => {
                Poll::Pending
            }
            State::Waiting(told) => {
                *told = Some(Told::Task(context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Has this done when it is durable, or failed: now, if it is, or else on the commit thread, which must not wait and
    /// must not be the last to hold the engine.
    pub(crate) fn when_ended(self, call: impl FnOnce(Result<()>) + Send + 'static) {
        let Some(waiter) = self.0 else {
            return call(Ok(()));
        };
        let mut state = waiter.state();
        match &mut *state {
            State::Waiting(told) => *told = Some(Told::Call(Box::new(call))),
            State::Ended(outcome) => {
                let outcome = outcome.map_err(Error::from);
                drop(state);
                call(outcome);
            }
        }
    }
}
