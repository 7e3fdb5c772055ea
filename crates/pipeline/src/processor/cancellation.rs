use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;

/// Tells work that a future does not own, such as a thread, that nobody waits for it any more.
#[derive(Clone, Debug)]
pub struct Cancellation(Shared<oneshot::Receiver<()>>);

impl Cancellation {
    /// One that ends when the guard is dropped.
    pub fn new() -> (CancelOnDrop, Self) {
        let (guard, cancelled) = oneshot::channel();
        (CancelOnDrop { _guard: guard }, Self(cancelled.shared()))
    }

    /// Says whether it has ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.clone().now_or_never().is_some()
    }

    /// Ends when it has ended.
    pub async fn cancelled(&self) {
        if self.0.clone().await.is_err() {
            // The sender never sends: an error is how its end shows.
        }
    }
}

/// Ends its [`Cancellation`] when dropped.
#[derive(Debug)]
#[must_use = "dropping it cancels"]
pub struct CancelOnDrop {
    _guard: oneshot::Sender<()>,
}

#[cfg(test)]
mod tests {
    use super::Cancellation;
    use futures::FutureExt;

    #[test]
    fn dropping_the_guard_cancels() {
        let (guard, cancellation) = Cancellation::new();
        assert!(!cancellation.is_cancelled());
        drop(guard);
        assert!(cancellation.is_cancelled());
        assert!(cancellation.cancelled().now_or_never().is_some());
    }
}
