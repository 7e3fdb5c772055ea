//! Retrying many failed uploads: a bounded number of rows in memory and in each transaction, however many have failed.

use two_buckets_pipeline::ledger::{Ledger as _, ListUploads, Result};
use two_buckets_pipeline::{State, Upload, WakeUp, WakeUps as _, Why};
use two_buckets_uploads::{Retried, RetryMany, RetrySelection};

use crate::{DepotLedger, WakeQueue};

/// How many rows one transaction changes: others' commits wait for no more than that.
const BATCH: usize = 100;

/// Makes what is selected pending again. What is woken waits in the queue, which is bounded, for workers, of which there
/// are as many as ever.
pub(crate) async fn many(
    ledger: &DepotLedger,
    queue: &WakeQueue,
    retry: RetryMany,
) -> Result<Retried> {
    let mut query = ListUploads {
        state: Some(State::Failed),
        limit: BATCH,
        ..ListUploads::default()
    };
    if let RetrySelection::Key(key) = &retry.selection {
        query.key = Some(key.as_str().to_owned());
    }
    let mut done = Retried::default();
    loop {
        let page = ledger.list(&query).await?;
        let chosen = page
            .uploads
            .into_iter()
            .filter(|upload| is_selected(upload, &retry.selection));
        let chosen: Vec<_> = chosen.map(|upload| upload.id).collect();
        done.matched += chosen.len() as u64;
        if !retry.is_dry_run && !chosen.is_empty() {
            for upload in ledger.retry_those(chosen).await? {
                done.retried += 1;
                let wake_up = WakeUp {
                    key: upload.key,
                    why: Why::Event,
                };
                queue.wake(wake_up, None).await;
            }
        }
        match page.next {
            // By number, so that rows which leave the list, or come back to it, shift nothing.
            Some(next) => query.after = Some(next),
            None => return Ok(done),
        }
    }
}

fn is_selected(upload: &Upload, selection: &RetrySelection) -> bool {
    match selection {
        RetrySelection::All => true,
        RetrySelection::Key(key) => upload.key.key == *key,
        RetrySelection::Reason(pattern) => {
            let reason = upload.reason.as_deref();
            reason.is_some_and(|reason| pattern.matches(reason))
        }
    }
}
