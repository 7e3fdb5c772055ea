//! Retrying many failed uploads: a bounded number of rows in memory and in each change, however many have failed.

use two_buckets_objects::ObjectStore;
use two_buckets_pipeline::ledger::{Ledger, ListUploads, Result};
use two_buckets_pipeline::{State, WakeUps};

use super::Tracking;
use crate::{Retried, RetryMany, RetrySelection};

/// How many rows are changed together: others' changes wait for no more than that.
const BATCH: usize = 100;

/// Makes what is selected pending again. What is woken waits where wake-ups go, which is bounded, for workers, of which
/// there are as many as ever.
pub(super) async fn many<S: ObjectStore, L: Ledger, W: WakeUps>(
    tracking: &Tracking<'_, S, L, W>,
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
        let page = tracking.ledger.list(&query).await?;
        let chosen = page.uploads.into_iter().filter(|upload| {
            let reason = upload.reason.as_deref();
            retry.selection.means(&upload.key.key, reason)
        });
        let chosen: Vec<_> = chosen.map(|upload| upload.id).collect();
        done.matched += chosen.len() as u64;
        if !retry.is_dry_run && !chosen.is_empty() {
            for upload in tracking.ledger.retry_each(&chosen).await? {
                done.retried += 1;
                tracking.wake(upload.key).await;
            }
        }
        match page.next {
            // By number, so that rows which leave the list, or come back to it, shift nothing.
            Some(next) => query.after = Some(next),
            None => return Ok(done),
        }
    }
}
