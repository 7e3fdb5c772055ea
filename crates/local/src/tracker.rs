use futures::Stream;
use two_buckets_objects::{Body, ByteRange};
use two_buckets_pipeline::{Ledger, Processor, ledger};
use two_buckets_uploads as uploads;
use uploads::tracking::{self, Tracking, Waiting, counted, failed, oldest_of};
use uploads::{
    Change, Expected, ListUploads, Minted, Oldest, Paused, Replay, Replayed, Result, Retried,
    RetryMany, ServerFacts, Swept, Tracker, UploadHistory, UploadKey, UploadPage,
};

use crate::oldest::Staging;
use crate::replaying::DepotReplays;
use crate::{DepotLedger, DepotStore, SweepHandle, WakeQueue, changes, pausing};

/// How many versions beyond the page's own size are looked at: some have a row, because they failed or are in work.
const LOOK_FURTHER: usize = 100;

/// The uploads API's view of the pipeline: rows of the ledger, versions that wait for their row, bytes of the store,
/// retries, cancelled jobs and sweeps.
pub struct LedgerTracker<P> {
    /// What this server is.
    pub facts: ServerFacts,
    /// Where the rows are.
    pub ledger: DepotLedger,
    /// Where the bytes are.
    pub store: DepotStore,
    /// Where keys wait, and who is told of uploads that are to be tried again.
    pub queue: WakeQueue,
    /// Who sweeps.
    pub sweeper: SweepHandle<P>,
}

impl<P: Processor> Tracker for LedgerTracker<P> {
    async fn server(&self) -> Result<ServerFacts> {
        Ok(ServerFacts {
            paused: self.ledger.paused().await.map_err(failed)?,
            ..self.facts.clone()
        })
    }

    async fn list(&self, query: ListUploads) -> Result<UploadPage> {
        // Staging first: a version that gets its row meanwhile is then seen twice and not never.
        let Waiting {
            uploads: waiting,
            without_row,
            is_complete,
        } = self.waiting(&query).await?;
        let oldest_waiting = self.oldest_waiting(query.prefix.as_deref()).await?;
        let prefix = query.prefix.clone();
        let (uploads, next) = self
            .tracking()
            .list(query, waiting, DepotLedger::is_id)
            .await?;
        let (counts, oldest) = match &prefix {
            None => (
                self.ledger.counts().await.map_err(failed)?,
                self.ledger.oldest_unfinished().await.map_err(failed)?,
            ),
            Some(prefix) => self.ledger.summary_below(prefix).await.map_err(failed)?,
        };
        let oldest = oldest.map(|upload| Oldest {
            key: upload.key.key,
            received_at: upload.received_at,
        });
        // Of a part of the keys only those that were seen are known.
        let waiting = if is_complete || prefix.is_some() {
            without_row
        } else {
            self.at_least_waiting(without_row, counts)
        };
        Ok(UploadPage {
            uploads,
            next,
            counts: counted(counts, waiting),
            oldest_unfinished: oldest_of(oldest, oldest_waiting),
            paused: self.ledger.paused().await.map_err(failed)?,
            counts_are_least: false,
        })
    }

    async fn get(&self, id: &uploads::UploadId) -> Result<UploadHistory> {
        self.tracking().get(id).await
    }

    async fn logs(&self, id: &uploads::UploadId) -> Result<Vec<uploads::AttemptLog>> {
        self.tracking().logs(id).await
    }

    async fn content(&self, id: &uploads::UploadId, range: Option<ByteRange>) -> Result<Body> {
        self.tracking().content(id, range).await
    }

    async fn retry(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        self.tracking().retry(id).await
    }

    async fn cancel(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        self.tracking().cancel(id, self.ledger.now()).await
    }

    async fn retry_many(&self, retry: RetryMany) -> Result<Retried> {
        self.tracking().retry_many(retry).await
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed> {
        let replays = DepotReplays {
            ledger: self.ledger.clone(),
            archive: self.facts.archive.clone(),
            staging: self.facts.staging.clone(),
        };
        tracking::replay(replays, &self.facts.archive, replay).await
    }

    async fn pause(&self, reason: Option<String>) -> Result<Paused> {
        pausing::pause(self.ledger.clone(), self.queue.clone(), reason)
            .await
            .map_err(failed)
    }

    async fn resume(&self) -> Result<Option<Paused>> {
        pausing::resume(self.ledger.clone(), self.queue.clone())
            .await
            .map_err(failed)
    }

    async fn sweep(&self) -> Result<Swept> {
        tracking::swept(self.sweeper.sweep().await)
    }

    async fn expect(&self, expected: Expected) -> Result<uploads::UploadId> {
        self.tracking().expect(expected, self.ledger.now()).await
    }

    async fn minted(&self, key: &UploadKey) -> Result<Option<Minted>> {
        self.tracking().minted(key).await
    }

    fn changes(&self) -> impl Stream<Item = Change> + Send + 'static {
        changes::listen(self.ledger.clone(), self.store.clone(), &self.queue)
    }
}

impl<P: Processor> LedgerTracker<P> {
    fn tracking(&self) -> Tracking<'_, DepotStore, DepotLedger, WakeQueue> {
        Tracking {
            ledger: &self.ledger,
            store: Some(&self.store),
            wake_ups: &self.queue,
            staging: &self.facts.staging,
        }
    }

    /// The versions that wait for their row and belong on top of this page.
    async fn waiting(&self, query: &ListUploads) -> Result<Waiting> {
        // With nothing in the queue every version in staging has its row: failed, or due later.
        if !Waiting::belongs_to(query) || self.queue.backlog() == 0 {
            return Ok(Waiting::default());
        }
        self.tracking()
            .waiting(query, query.limit + LOOK_FURTHER)
            .await
    }

    /// The version that came first of all that wait for their row, however many they are.
    async fn oldest_waiting(&self, prefix: Option<&str>) -> Result<Option<Oldest>> {
        let staging = Staging {
            store: &self.store,
            ledger: &self.ledger,
            bucket: &self.facts.staging,
            unnoted: self.queue.unnoted(),
        };
        let first = staging.first_without_row(prefix).await?;
        Ok(first.map(|waits| Oldest {
            key: waits.key,
            received_at: waits.received_at,
        }))
    }

    /// How many versions wait for their row where there are too many to look at all of them: as the queue has it, in which
    /// a key counts once.
    fn at_least_waiting(&self, seen: u64, rows: ledger::Counts) -> u64 {
        let queued = self.queue.backlog();
        seen.max(queued.saturating_sub(rows.processing + rows.pending))
    }
}
