//! The one layer between async code and the store, which blocks on the disk.

/// Runs what blocks on a thread made for it. Dropping the future does not stop it: it ends, and nobody learns how.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down does this, and then nobody polls us again.
            Err(_) => std::future::pending().await,
        },
    }
}
