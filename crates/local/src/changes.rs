//! What listeners of the upload API hear: rows as each change leaves them, and versions that wait for their row.

use std::sync::Arc;

use futures::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tracing::warn;
use two_buckets_depot::Created;
use two_buckets_objects::{ListedVersion, ObjectInfo, ObjectStore};
use two_buckets_pipeline::{Ledger, Upload};
use two_buckets_uploads::tracking::{shown, shown_waiting};
use two_buckets_uploads::{Change, Upload as ShownUpload};

use crate::{DepotLedger, DepotStore, WakeQueue};

/// Hears everything from now on. Ends when the ledger's feed is closed.
pub(crate) fn listen(
    ledger: DepotLedger,
    store: DepotStore,
    queue: &WakeQueue,
) -> impl Stream<Item = Change> + Send + 'static + use<> {
    let listener = Listener {
        rows: ledger.listen(),
        arrivals: queue.listen(),
        pauses: queue.listen_for_pauses(),
        ledger,
        store,
    };
    futures::stream::unfold(listener, |mut listener| async move {
        let change = listener.next().await?;
        Some((change, listener))
    })
}

struct Listener {
    rows: Receiver<Arc<Upload>>,
    arrivals: Receiver<Created>,
    pauses: watch::Receiver<bool>,
    ledger: DepotLedger,
    store: DepotStore,
}

impl Listener {
    /// One thing after the other: while an arrival is looked up no row is told of, so that an upload which got its row
    /// meanwhile is not told of as waiting after that.
    async fn next(&mut self) -> Option<Change> {
        loop {
            let told = tokio::select! {
                row = self.rows.recv() => match row {
                    Ok(row) => match shown(&row) {
                        Ok(upload) => Some(upload),
                        Err(error) => {
                            warn!(key = %row.key.key, %error, "a changed upload cannot be told of");
                            None
                        }
                    },
                    Err(RecvError::Closed) => return None,
                    Err(RecvError::Lagged(_)) => return Some(Change::Missed),
                },
                // What changed is no upload: whoever listens asks for the list, which says it.
                Ok(()) = self.pauses.changed() => return Some(Change::Missed),
                Ok(created) = recv_or_lag(&mut self.arrivals) => match created {
                    Some(created) => self.arrival(&created).await,
                    None => return Some(Change::Missed),
                },
            };
            if let Some(upload) = told {
                return Some(Change::Upload(Box::new(upload)));
            }
        }
    }

    /// A version as it waits; none if it has its row, whose changes tell of it, or is gone.
    async fn arrival(&self, created: &Created) -> Option<ShownUpload> {
        let looked = async {
            if self.ledger.find(&created.at).await?.is_some() {
                return Ok(None);
            }
            self.ledger.minted_for(&created.at.object()).await.map(Some)
        };
        let minted = match looked.await {
            Ok(minted) => minted?,
            Err(error) => {
                warn!(key = %created.at.key, %error, "a new upload cannot be told of");
                return None;
            }
        };
        if minted.as_ref().and_then(Upload::version).as_ref() == Some(&created.at) {
            // It got its row between the two looks.
            return None;
        }
        // Gone already: then its row tells of it.
        let version = listed(&self.store.head_version(&created.at).await.ok()?);
        let told = match minted.filter(Upload::is_expected) {
            Some(mut row) => {
                row.arrive(0, &version);
                shown(&row)
            }
            None => shown_waiting(created.at.object(), &version),
        };
        told.inspect_err(
            |error| warn!(key = %created.at.key, %error, "a new upload cannot be told of"),
        )
        .ok()
    }
}

/// What a head says of a version, as a list would say it.
fn listed(source: &ObjectInfo) -> ListedVersion {
    ListedVersion {
        key: source.at.key.clone(),
        version_id: source.at.version_id.clone(),
        is_latest: true,
        is_delete_marker: false,
        last_modified: source.last_modified,
        size_bytes: source.size_bytes,
        etag: Some(source.etag.clone()),
    }
}

/// The next arrival; none if some were missed. An error only when none will come any more.
async fn recv_or_lag(arrivals: &mut Receiver<Created>) -> Result<Option<Created>, RecvError> {
    match arrivals.recv().await {
        Ok(created) => Ok(Some(created)),
        Err(RecvError::Lagged(_)) => Ok(None),
        Err(closed @ RecvError::Closed) => Err(closed),
    }
}
