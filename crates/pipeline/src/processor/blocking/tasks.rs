use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use futures::channel::{mpsc, oneshot};
use futures::executor::block_on;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use super::super::Cancellation;
use super::failures::not_wanted;
use crate::ProcessError;

type Task = BoxFuture<'static, ()>;

/// Takes what a thread wants done by the store to the future that waits for the thread. So the store's futures run where
/// the processor's does, on whatever runtime that is, and end with it.
#[derive(Clone)]
pub(super) struct Tasks(mpsc::UnboundedSender<Task>);

/// The other end of [`Tasks`].
pub(super) struct Running {
    /// Not bounded by itself: each is one reader or writer, or one call that its thread waits for.
    begun: mpsc::UnboundedReceiver<Task>,
}

impl Tasks {
    pub(super) fn new() -> (Self, Running) {
        let (sender, begun) = mpsc::unbounded();
        (Self(sender), Running { begun })
    }

    /// Has it done meanwhile. Once all is over it is dropped, and with it what it holds.
    pub(super) fn begin(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.0.unbounded_send(task.boxed()).is_err() {
            // Whoever waits for it sees its end of a channel gone.
        }
    }

    /// Has it done and waits for it; fails once nobody waits for the thread.
    pub(super) fn wait_for<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ProcessError> {
        let (tell, done) = oneshot::channel();
        self.begin(task.map(|done| _ = tell.send(done)));
        block_on(done).map_err(|oneshot::Canceled| not_wanted())
    }

    /// Says whether nobody waits for the thread any more.
    pub(super) fn are_over(&self) -> bool {
        self.0.is_closed()
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tasks")
    }
}

impl Running {
    /// Does the tasks until the thread is done, and gives what it says; nothing once that is not wanted any more.
    /// Tasks that are not done then are dropped.
    pub(super) async fn until<T>(
        mut self,
        done: oneshot::Receiver<T>,
        cancellation: Cancellation,
    ) -> Option<T> {
        let mut tasks = FuturesUnordered::new();
        let mut done = pin!(done);
        let mut cancelled = pin!(cancellation.cancelled());
        poll_fn(|cx| {
            if let Poll::Ready(done) = done.as_mut().poll(cx) {
                return Poll::Ready(done.ok());
            }
            if cancelled.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            while let Poll::Ready(Some(task)) = self.begun.poll_next_unpin(cx) {
                tasks.push(task);
            }
            while let Poll::Ready(Some(())) = tasks.poll_next_unpin(cx) {}
            Poll::Pending
        })
        .await
    }
}
