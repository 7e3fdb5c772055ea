//! The one layer between async code and the store, which blocks on the disk.

use two_buckets_depot::Depot;

/// Where calls on the store are made, which block until the disk has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StoreCalls {
    /// On threads made for it, so that nobody else waits; short ones on the thread that polls, which does not wait for what
    /// they write. Dropping the future does not stop the call: it ends, and nobody learns how.
    #[default]
    OnThreads,
    /// On the thread that polls, one call after the other, so that the same calls end in the same order each time: for a
    /// store whose disk is in memory, as in the simulator. Everything else on that thread waits meanwhile.
    Here,
}

impl StoreCalls {
    /// Makes calls that are short but for the disk, for which nobody's thread waits: what they write is durable when this
    /// ends. See [`Depot::begin`].
    pub(crate) async fn begin<T, E: From<two_buckets_depot::Error>>(
        self,
        depot: &Depot,
        calls: impl FnOnce(&Depot) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::OnThreads => depot.begin(calls).await,
            Self::Here => calls(depot),
        }
    }

    /// Runs what blocks.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if self == Self::Here {
            return work();
        }
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only a runtime that is shutting down does this, and then nobody polls us again.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Runs what blocks on a thread made for it, see [`StoreCalls::OnThreads`].
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    StoreCalls::OnThreads.run(work).await
}
