//! The ledger on depot's rows, in the same transactions as the objects. Its format is in `docs/format.md`, "Ledger rows".

mod changes;
mod encoding;
mod feed;
mod head;
mod history;
mod log_encoding;
mod observed;
mod pause_row;
mod reading;
mod replays;
mod tables;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use two_buckets_depot::Depot;
use two_buckets_objects::{ListedVersion, ObjectRef, Timestamp, VersionRef};
use two_buckets_pipeline::ledger::{
    Capabilities, Claim, ClaimKey, Counts, Error, KeptLog, Ledger, ListUploads, MoveUpload,
    MovedInOne, Noted, PAGE_MAX, Release, Result, Said, SourceFacts, StartUpload, Started,
    UploadPage,
};
use two_buckets_pipeline::{
    ArchiveRecord, Begin, BootId, End, Expectation, Lease, Report, Upload, UploadId,
};

use crate::StoreCalls;
use crate::unnoted::Unnoted;
use changes::Failed;
use feed::Feed;
use head::Head;
pub use history::History;
pub use observed::LedgerFigures;
use observed::{Observation, Observed};
use tables::Rows;

/// The ledger of an embedded store.
///
/// Opening it begins a new boot, which voids the workers' leases of the one before: their holders were threads of a
/// process that is gone. A job's lease lives on.
#[derive(Clone)]
pub struct DepotLedger {
    depot: Depot,
    calls: StoreCalls,
    boot: BootId,
    feed: Feed,
    jobs_changed: Arc<Notify>,
    /// Who is told of versions that have got their row.
    unnoted: Arc<OnceLock<Unnoted>>,
    observed: Arc<Observed>,
    /// Where the unfinished uploads begin.
    unfinished: Arc<Head>,
}

impl DepotLedger {
    /// Opens the ledger in a store. Blocks on the disk.
    pub fn open(depot: Depot) -> Result<Self> {
        let boot = depot
            .transaction(|tx| Rows::new(tx).next(tables::BOOT).map_err(Failed))
            .map_err(|Failed(error)| error)?;
        let observed = Observed::default();
        let mut after = None;
        loop {
            let jobs = reading::jobs(&depot, after.as_ref(), PAGE_MAX)?;
            for job in &jobs {
                observed.count(&Observation::of_found(job));
            }
            match jobs.last() {
                Some(last) => after = Some(last.id.clone()),
                None => break,
            }
        }
        Ok(Self {
            depot,
            calls: StoreCalls::default(),
            boot: BootId(boot),
            feed: Feed::default(),
            jobs_changed: Arc::default(),
            unnoted: Arc::default(),
            observed: Arc::new(observed),
            unfinished: Arc::default(),
        })
    }

    /// Makes its calls on the store so.
    #[must_use]
    pub fn with_calls(self, calls: StoreCalls) -> Self {
        Self { calls, ..self }
    }

    /// Uploads as each durable change leaves them, from now on and in the order of the changes.
    /// A listener that is too slow is told that it missed some. Ends with [`Self::close_feed`].
    pub(crate) fn listen(&self) -> tokio::sync::broadcast::Receiver<Arc<Upload>> {
        self.feed.listen()
    }

    /// Ends what listeners hear; changes go on.
    pub(crate) fn close_feed(&self) {
        self.feed.close();
    }

    /// Tells these of versions that have got their row, from now on. The first who are named are told.
    pub(crate) fn tell_of_noted(&self, unnoted: Unnoted) {
        self.unnoted.get_or_init(|| unnoted);
    }

    /// What became of uploads since the ledger was opened.
    pub fn figures(&self) -> LedgerFigures {
        self.observed.figures()
    }

    /// Ends when an upload was left to a job or its job was cancelled since it last ended. For one listener.
    pub(crate) async fn jobs_changed(&self) {
        self.jobs_changed.notified().await;
    }

    /// Has jobs looked for that may begin now.
    pub(crate) fn look_for_jobs(&self) {
        self.jobs_changed.notify_one();
    }

    /// The store's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.depot.now()
    }

    /// How many uploads below a prefix are in each state, and the unfinished one among them that was received first.
    /// Looks at every row, for only the counts of all of them are kept.
    pub(crate) async fn summary_below(&self, prefix: &str) -> Result<(Counts, Option<Upload>)> {
        let prefix = prefix.to_owned();
        let head = Arc::clone(&self.unfinished);
        self.read(move |depot| reading::summary_below(depot, &head, &prefix))
            .await
    }

    /// Whether this ledger could have made this id.
    pub(crate) fn is_id(id: &UploadId) -> bool {
        tables::number_of(id).is_some()
    }

    /// The boot this opening began.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Changes rows in one transaction; ends when it is durable and all are told who listen.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Rows<'_, '_>) -> Result<T> + Send,
    ) -> Result<T> {
        let changed = self.calls.begin(&self.depot, |depot| {
            depot.transaction(|tx| {
                let mut rows = Rows::new(tx);
                let value = change(&mut rows).map_err(Failed)?;
                let (changed, noted, observed, unfinished) =
                    (rows.changed, rows.noted, rows.observed, rows.unfinished);
                if changed.is_empty() {
                    return Ok(value);
                }
                // Transactions run one after the other, so places are given in the order of their commits.
                let place = self.feed.place(changed);
                let (head, counts) = (Arc::clone(&self.unfinished), Arc::clone(&self.observed));
                let unnoted = Arc::clone(&self.unnoted);
                tx.when_durable(move || {
                    for key in &unfinished {
                        head.added(key);
                    }
                    if let Some(place) = place {
                        place.publish();
                    }
                    if let Some(unnoted) = unnoted.get()
                        && !noted.is_empty()
                    {
                        unnoted.noted(&noted);
                    }
                    for observation in &observed {
                        counts.count(observation);
                    }
                });
                Ok(value)
            })
        });
        changed.await.map_err(|Failed(error)| error)
    }

    /// Reads rows, however many. A look at one or two is made where it is asked for.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Depot) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let depot = self.depot.clone();
        self.calls.run(move || read(&depot)).await
    }
}

impl Ledger for DepotLedger {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            starts_in_one: true,
            moves_in_one: true,
        }
    }

    async fn claim(&self, claim: &ClaimKey) -> Result<Claim> {
        self.change(|rows| rows.claim(claim, self.boot)).await
    }

    async fn renew(&self, lease: &Lease, expires_at: Timestamp) -> Result<Lease> {
        self.change(|rows| {
            let mut held = rows.fenced(lease)?;
            held.expires_at = expires_at;
            rows.set_lease(&held);
            Ok(held)
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<Release> {
        self.change(|rows| {
            let mut held = rows.fenced(lease)?;
            if held.dirty {
                held.dirty = false;
                rows.set_lease(&held);
                Ok(Release::LookAgain)
            } else {
                rows.remove_lease(&held.key);
                Ok(Release::Released)
            }
        })
        .await
    }

    async fn live_lease(&self, key: &ObjectRef, now: Timestamp) -> Result<Option<Lease>> {
        let lease = reading::lease(&self.depot, key)?;
        Ok(lease.filter(|lease| lease.is_live(now, self.boot)))
    }

    async fn note(&self, lease: &Lease, versions: &[ListedVersion]) -> Result<Noted> {
        self.change(|rows| {
            rows.fenced(lease)?;
            rows.note(&lease.key, versions)
        })
        .await
    }

    async fn begin_attempt(
        &self,
        lease: &Lease,
        id: &UploadId,
        facts: &SourceFacts,
        attempts_max: u32,
        now: Timestamp,
    ) -> Result<Begin> {
        self.change(|rows| {
            rows.fenced(lease)?;
            let upload = rows.upload(id)?;
            rows.begin_attempt(upload, facts.clone(), attempts_max, now)
        })
        .await
    }

    async fn end(&self, lease: &Lease, id: &UploadId, end: &End, now: Timestamp) -> Result<Upload> {
        self.change(|rows| {
            rows.fenced(lease)?;
            rows.update(id, |upload| upload.end(end.clone(), now))
        })
        .await
    }

    async fn record_archived(
        &self,
        lease: &Lease,
        id: &UploadId,
        record: &ArchiveRecord,
        is_late: bool,
        report: Option<&Report>,
        now: Timestamp,
    ) -> Result<Upload> {
        self.change(|rows| {
            rows.fenced(lease)?;
            rows.update(id, |upload| {
                upload.record_archived(record.clone(), is_late, report.cloned(), now);
            })
        })
        .await
    }

    async fn keep_said(&self, id: &UploadId, attempt: u32, said: &Said) -> Result<()> {
        self.change(|rows| rows.keep_said(id, attempt, said.clone()))
            .await
    }

    async fn logs(&self, id: &UploadId) -> Result<Vec<KeptLog>> {
        let id = id.clone();
        self.read(move |depot| reading::logs(depot, &id)).await
    }

    async fn close(&self, lease: &Lease, id: &UploadId) -> Result<()> {
        self.change(|rows| {
            rows.fenced(lease)?;
            rows.update(id, Upload::close).map(drop)
        })
        .await
    }

    async fn queue_job(&self, lease: &Lease, id: &UploadId, now: Timestamp) -> Result<Upload> {
        let queued = self
            .change(|rows| {
                rows.fenced(lease)?;
                rows.update(id, |upload| upload.queue_job(now))
            })
            .await;
        self.jobs_changed.notify_one();
        queued
    }

    async fn jobs(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>> {
        let after = after.cloned();
        self.read(move |depot| reading::jobs(depot, after.as_ref(), limit))
            .await
    }

    async fn job_lease(&self, id: &UploadId) -> Result<Option<Lease>> {
        let Some(upload) = reading::get(&self.depot, id)? else {
            return Ok(None);
        };
        let lease = reading::lease(&self.depot, &upload.key)?;
        Ok(lease.filter(|lease| lease.job.as_ref() == Some(id)))
    }

    async fn cancel_job(&self, id: &UploadId, now: Timestamp) -> Result<Upload> {
        let cancelled = self.change(|rows| rows.cancel_job(id, now)).await;
        self.jobs_changed.notify_one();
        cancelled
    }

    async fn start(&self, start: &StartUpload) -> Result<Started> {
        self.change(|rows| rows.start(start, self.boot)).await
    }

    async fn move_in_one(&self, lease: &Lease, upload: &MoveUpload) -> Result<MovedInOne> {
        self.change(|rows| {
            rows.fenced(lease)?;
            rows.move_in_one(lease, upload.clone())
        })
        .await
    }

    async fn mint(
        &self,
        key: &ObjectRef,
        expectation: &Expectation,
        now: Timestamp,
    ) -> Result<Upload> {
        self.change(|rows| rows.mint(key.clone(), expectation.clone(), now))
            .await
    }

    async fn minted_for(&self, key: &ObjectRef) -> Result<Option<Upload>> {
        reading::minted_for(&self.depot, key)
    }

    async fn overdue(
        &self,
        now: Timestamp,
        after: Option<&UploadId>,
        limit: usize,
    ) -> Result<Vec<Upload>> {
        let after = after.cloned();
        self.read(move |depot| reading::overdue(depot, now, after.as_ref(), limit))
            .await
    }

    async fn expire(&self, id: &UploadId, now: Timestamp) -> Result<Upload> {
        self.change(|rows| rows.update(id, |upload| upload.expire(now)))
            .await
    }

    async fn get(&self, id: &UploadId) -> Result<Option<Upload>> {
        reading::get(&self.depot, id)
    }

    async fn find(&self, version: &VersionRef) -> Result<Option<Upload>> {
        reading::find(&self.depot, version)
    }

    async fn unfinished_of(&self, key: &ObjectRef) -> Result<Vec<Upload>> {
        let key = key.clone();
        self.read(move |depot| reading::unfinished_of(depot, &key))
            .await
    }

    async fn unfinished(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>> {
        let after = after.cloned();
        let head = Arc::clone(&self.unfinished);
        self.read(move |depot| reading::unfinished(depot, &head, after.as_ref(), limit))
            .await
    }

    async fn oldest_unfinished(&self) -> Result<Option<Upload>> {
        Ok(reading::unfinished(&self.depot, &self.unfinished, None, 1)?.pop())
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Upload>> {
        self.read(move |depot| reading::due(depot, now, limit))
            .await
    }

    async fn list(&self, options: &ListUploads) -> Result<UploadPage> {
        let options = options.clone();
        self.read(move |depot| reading::list(depot, &options)).await
    }

    async fn counts(&self) -> Result<Counts> {
        self.read(reading::counts).await
    }

    async fn retry(&self, id: &UploadId) -> Result<Upload> {
        self.change(|rows| rows.retry(id)).await
    }

    /// In one change.
    async fn retry_each(&self, ids: &[UploadId]) -> Result<Vec<Upload>> {
        self.change(|rows| {
            let mut retried = Vec::new();
            for id in ids {
                match rows.retry(id) {
                    Ok(upload) => retried.push(upload),
                    // Somebody else retried it, or it is gone: nothing is left to do for it.
                    Err(Error::NotRetried(_) | Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(retried)
        })
        .await
    }
}

fn expires_at(now: Timestamp, life: Duration) -> Timestamp {
    now.after(life)
}

fn corrupt(what: &str) -> Error {
    Error::Unreadable {
        reason: format!("a row is not as it was written: {what}"),
    }
}

/// The one place where the store's failures become the ledger's: in all of them the caller stops and looks again later.
fn unavailable(error: two_buckets_depot::Error) -> Error {
    Error::Unavailable {
        reason: error.to_string(),
        source: Some(Box::new(error)),
    }
}
