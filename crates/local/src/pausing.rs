//! Pausing and resuming: the row that outlives the server, and the queue that workers and jobs go by.

use tracing::info;
use two_buckets_pipeline::ledger::Result;
use two_buckets_uploads::Paused;

use crate::{DepotLedger, WakeQueue};

/// Has nothing new begun, which is durable when this returns. What is in work goes on to its end.
///
/// Goes on to its end where the caller goes away.
pub(crate) async fn pause(
    ledger: DepotLedger,
    queue: WakeQueue,
    reason: Option<String>,
) -> Result<Paused> {
    to_its_end(async move {
        let _one_at_a_time = queue.pausing().await;
        // First, so that nothing begins that the row would have forbidden.
        queue.pause();
        let kept = ledger.keep_paused(reason).await;
        match &kept {
            Ok(paused) => {
                info!(since = %paused.since, reason = paused.reason, "processing is paused");
            }
            // Where even this is not to be learnt, nothing goes on until somebody resumes it.
            Err(_) if matches!(ledger.paused().await, Ok(None)) => queue.resume(),
            Err(_) => {}
        }
        kept
    })
    .await
}

/// Has processing go on, which is durable when this returns. Says since when it was paused, if it was.
///
/// Goes on to its end where the caller goes away.
pub(crate) async fn resume(ledger: DepotLedger, queue: WakeQueue) -> Result<Option<Paused>> {
    to_its_end(async move {
        let _one_at_a_time = queue.pausing().await;
        let before = ledger.keep_resumed().await?;
        if queue.is_paused() {
            queue.resume();
            ledger.look_for_jobs();
            info!("processing goes on");
        }
        Ok(before)
    })
    .await
}

/// Row and queue would differ if one of them changed only.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(change).await {
        Ok(changed) => changed,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down does this, and then nobody polls us again.
            Err(_) => std::future::pending().await,
        },
    }
}
