//! Keeps the history bounded while the server runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use two_buckets_local::{DepotLedger, History};

use crate::config::Settings;

/// How often it is looked for what is beyond the history. With nothing there it costs a few rows.
const INTERVAL: Duration = Duration::from_mins(1);

/// How much the settings keep.
pub(super) fn history(settings: &Settings) -> History {
    History {
        age_max: Duration::from_hours(24) * settings.history_days.value,
        count_max: settings.history_max.value,
    }
}

/// Forgets what is beyond the history, now and again and again, until told to stop.
pub(super) async fn keep_bounded(
    ledger: DepotLedger,
    history: History,
    stop: impl Future<Output = ()>,
) {
    let is_stopping = Arc::new(AtomicBool::new(false));
    let forgetting = async {
        loop {
            let (ledger, is_stopping) = (ledger.clone(), Arc::clone(&is_stopping));
            let forgotten = tokio::task::spawn_blocking(move || {
                ledger.forget_ended(&history, &|| is_stopping.load(Ordering::Relaxed))
            });
            match forgotten.await {
                Ok(Ok(0)) => {}
                Ok(Ok(forgotten)) => {
                    tracing::info!(forgotten, "forgot uploads that ended long ago");
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the history could not be looked through; soon again");
                }
                Err(error) => tracing::error!(%error, "looking through the history broke"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::select! {
        () = forgetting => {}
        () = stop => is_stopping.store(true, Ordering::Relaxed),
    }
}
