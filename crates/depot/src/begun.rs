//! Calls that do not wait on their thread for their transactions to become durable.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use two_buckets_objects::ObjectRef;

use crate::changes::WhenDurable;
use crate::engine::Commit;
use crate::just_moved::JustMoved;
use crate::objects::Created;
use crate::open::{Inner, OnCreated};
use crate::{Depot, Error, Result};

/// Whom to tell of a transaction once it has ended. It does not hold the store, for it may be dropped by the thread that
/// closing the store waits for.
pub(crate) struct Told {
    /// The versions it made.
    pub(crate) created: Vec<Created>,
    /// What its caller wanted called.
    pub(crate) when_durable: Vec<WhenDurable>,
    /// Where it moved versions from.
    pub(crate) moved: Vec<ObjectRef>,
    on_created: Option<OnCreated>,
    just_moved: Arc<JustMoved>,
}

impl Told {
    pub(crate) fn new(inner: &Inner) -> Self {
        Self {
            created: Vec::new(),
            when_durable: Vec::new(),
            moved: Vec::new(),
            on_created: inner.options.on_created.clone(),
            just_moved: Arc::clone(&inner.state.just_moved),
        }
    }

    pub(crate) fn tell(self, is_durable: bool) {
        if !is_durable {
            for from in &self.moved {
                self.just_moved.forget(from);
            }
            return;
        }
        for call in self.when_durable {
            call();
        }
        if let Some(on_created) = &self.on_created {
            for created in &self.created {
                on_created(created);
            }
        }
    }
}

/// The transactions of calls that are under way and do not wait; none once the calls are over.
#[derive(Clone)]
pub(crate) struct Unawaited(Arc<Mutex<Option<VecDeque<Ending>>>>);

/// A transaction that has not ended.
struct Ending {
    commit: Commit,
    told: Told,
    /// Whether its caller went on as if it had done what it should.
    is_done: bool,
}

impl Unawaited {
    /// Takes a transaction that then need not be waited for; gives it back if the calls are over.
    pub(crate) fn take(
        &self,
        commit: Commit,
        told: Told,
        is_done: bool,
    ) -> Result<(), (Commit, Told)> {
        let mut endings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *endings {
            None => Err((commit, told)),
            Some(endings) => {
                endings.push_back(Ending {
                    commit,
                    told,
                    is_done,
                });
                Ok(())
            }
        }
    }

    fn end(&self) -> VecDeque<Ending> {
        let mut endings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        endings.take().unwrap_or_default()
    }
}

impl Depot {
    /// Makes calls that do not wait for the disk to have what they write; the future ends once it has, with what they
    /// gave, or with the first error of a transaction. A transaction sees what those before it did; a read sees what is
    /// durable.
    ///
    /// The calls themselves are made at once, on this thread, which they block for as long as a look into the index takes.
    /// Dropping the future undoes nothing: whoever is told of changes is told by the store's own thread then.
    pub fn begin<T, E: From<Error>>(
        &self,
        calls: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Begun<T, E> {
        let unawaited = Unawaited(Arc::new(Mutex::new(Some(VecDeque::new()))));
        let depot = Self {
            begun: Some(unawaited.clone()),
            ..self.clone()
        };
        let outcome = calls(&depot);
        Begun {
            outcome: Some(outcome),
            endings: unawaited.end(),
        }
    }
}

/// Calls that were made and whose transactions are waited for; see [`Depot::begin`].
#[must_use = "what was done may not be told before it is durable"]
pub struct Begun<T, E> {
    outcome: Option<Result<T, E>>,
    endings: VecDeque<Ending>,
}

// Nothing of it is pinned.
impl<T, E> Unpin for Begun<T, E> {}

impl<T, E: From<Error>> Future for Begun<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let begun = &mut *self;
        while let Some(first) = begun.endings.front() {
            let Poll::Ready(ended) = first.commit.poll(context) else {
                return Poll::Pending;
            };
            if let Some(Ending { told, is_done, .. }) = begun.endings.pop_front() {
                told.tell(ended.is_ok() && is_done);
            }
            if let Err(error) = ended {
                // Those behind it have failed with it, or will.
                begun.outcome = Some(Err(error.into()));
            }
        }
        let outcome = begun.outcome.take();
        Poll::Ready(outcome.expect("a future is not polled after it ended"))
    }
}

impl<T, E> Drop for Begun<T, E> {
    fn drop(&mut self) {
        for Ending {
            commit,
            told,
            is_done,
        } in self.endings.drain(..)
        {
            commit.when_ended(move |ended| told.tell(ended.is_ok() && is_done));
        }
    }
}

#[cfg(test)]
mod tests;
