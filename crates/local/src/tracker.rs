use futures::Stream;
use two_buckets_objects::{
    Body, ByteRange, Error as StoreError, ListedVersion, ObjectInfo, ObjectStore,
};
use two_buckets_pipeline::{
    AttemptOutcome, Ledger, NotFailed, Processor, State, Upload, UploadId, WakeUp, WakeUps, Why,
    ledger,
};
use two_buckets_uploads as uploads;
use uploads::{
    Change, Counts, Cursor, Error, Expected, ListUploads, Minted, Oldest, Result, RetrySelection,
    ServerFacts, Swept, Tracker, UploadHistory, UploadKey, UploadPage, UploadState,
};

use crate::upload_id::{self, Named};
use crate::waiting::{self, Waiting};
use crate::{DepotLedger, DepotStore, SweepHandle, WakeQueue};

/// The uploads API's view of the pipeline: rows of the ledger, versions that wait for their row, bytes of the store,
/// retries and sweeps.
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
        Ok(self.facts.clone())
    }

    async fn list(&self, query: ListUploads) -> Result<UploadPage> {
        if query.prefix.is_some() {
            return Err(Error::Refused {
                reason: "the ledger cannot list below a prefix yet".into(),
            });
        }
        // Staging first: a version that gets its row meanwhile is then seen twice and not never.
        let waiting = self.waiting(&query).await?;
        // At least one row, for the next page begins behind the last one.
        let shown_waiting = waiting.uploads.len().min(query.limit.saturating_sub(1));
        let page = self
            .ledger
            .list(&ledger::ListUploads {
                state: query.state.map(ledger_state),
                key: query.key.map(|key| key.as_str().to_owned()),
                key_contains: query.search,
                after: query.after.map(|Cursor(id)| cursor(&id)).transpose()?,
                limit: query.limit - shown_waiting,
            })
            .await
            .map_err(failed)?;
        let mut counts = self.ledger.counts().await.map_err(failed)?;
        counts.pending += self.count_waiting(&waiting, counts);
        let oldest = self.ledger.oldest_unfinished().await.map_err(failed)?;
        let oldest_unfinished = oldest
            .map(|upload| Oldest {
                key: upload.key.key,
                received_at: upload.received_at,
            })
            .into_iter()
            .chain(waiting.uploads.last().map(|upload| Oldest {
                key: upload.key.clone(),
                received_at: upload.received_at,
            }))
            .min_by_key(|oldest| oldest.received_at);
        let rows: Vec<_> = page.uploads.iter().map(shown).collect::<Result<_>>()?;
        let mut uploads = waiting.uploads;
        uploads.truncate(shown_waiting);
        uploads.retain(|waits| rows.iter().all(|row| row.id != waits.id));
        uploads.extend(rows);
        Ok(UploadPage {
            uploads,
            next: page.next.map(|id| Cursor(id.as_str().to_owned())),
            counts: Counts {
                pending: counts.pending,
                processing: counts.processing,
                archived: counts.archived,
                failed: counts.failed,
                late: counts.late,
                duplicate: counts.duplicate,
            },
            oldest_unfinished,
        })
    }

    async fn get(&self, id: &uploads::UploadId) -> Result<UploadHistory> {
        match self.find(id).await? {
            Found::Row(upload) => Ok(UploadHistory {
                upload: shown(&upload)?,
                attempts_log: upload.log.iter().map(shown_attempt).collect(),
            }),
            Found::Waits(source) => Ok(UploadHistory {
                upload: waiting::shown(source.at.object(), &listed(&source))?,
                attempts_log: Vec::new(),
            }),
        }
    }

    async fn content(&self, id: &uploads::UploadId, range: Option<ByteRange>) -> Result<Body> {
        let (archived, staged) = match self.find(id).await? {
            Found::Row(upload) => (
                upload.archive.as_ref().map(|archive| archive.at.clone()),
                upload.version(),
            ),
            Found::Waits(source) => (None, Some(source.at)),
        };
        // Once it is archived its staging version is on its way out.
        for at in archived.into_iter().chain(staged) {
            match self.store.read_version(&at, range).await {
                Ok(body) => return Ok(body),
                Err(StoreError::NotFound { .. }) => {}
                Err(StoreError::Refused { reason }) => return Err(Error::Refused { reason }),
                Err(error) => {
                    return Err(Error::Unavailable {
                        reason: "the bytes cannot be read".into(),
                        source: Some(Box::new(error)),
                    });
                }
            }
        }
        Err(Error::NotFound {
            what: "the file's content".into(),
        })
    }

    async fn retry(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        let row = match self.find(id).await? {
            Found::Row(upload) => upload.id,
            Found::Waits(_) => return Err(failed(NotFailed(State::Pending).into())),
        };
        let upload = self.ledger.retry(&row).await.map_err(failed)?;
        self.wake(&upload).await;
        shown(&upload)
    }

    async fn retry_many(&self, selection: RetrySelection) -> Result<u64> {
        let (key, reason) = match selection {
            RetrySelection::All => (None, None),
            RetrySelection::Key(key) => (Some(key.as_str().to_owned()), None),
            RetrySelection::Reason(reason) => (None, Some(reason)),
        };
        let mut query = ledger::ListUploads {
            state: Some(State::Failed),
            key,
            ..ledger::ListUploads::default()
        };
        let mut retried = 0;
        loop {
            let page = self.ledger.list(&query).await.map_err(failed)?;
            for failed_upload in &page.uploads {
                let is_selected = reason.as_deref().is_none_or(|wanted| {
                    failed_upload
                        .reason
                        .as_deref()
                        .is_some_and(|reason| reason.contains(wanted))
                });
                if !is_selected {
                    continue;
                }
                match self.ledger.retry(&failed_upload.id).await {
                    Ok(upload) => {
                        self.wake(&upload).await;
                        retried += 1;
                    }
                    // Somebody else retried it, or it is gone: nothing is left to do for it.
                    Err(ledger::Error::NotFailed(_) | ledger::Error::NotFound(_)) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(retried),
            }
        }
    }

    async fn sweep(&self) -> Result<Swept> {
        match self.sweeper.sweep().await {
            Ok(swept) => Ok(Swept {
                listed: swept.listed,
                woken: swept.woken,
                finished: swept.finished,
                explained: swept.explained,
            }),
            Err(error) => Err(Error::Unavailable {
                reason: "the sweep ended early".into(),
                source: Some(Box::new(error)),
            }),
        }
    }

    async fn expect(&self, _expected: Expected) -> Result<uploads::UploadId> {
        Err(not_recorded())
    }

    async fn minted(&self, _key: &UploadKey) -> Result<Option<Minted>> {
        Err(not_recorded())
    }

    fn changes(&self) -> impl Stream<Item = Change> + Send + 'static {
        futures::stream::empty()
    }
}

/// Until the ledger has rows of uploads that are expected.
fn not_recorded() -> Error {
    Error::Unavailable {
        reason: "the ledger does not record expected uploads yet".into(),
        source: None,
    }
}

/// What an id stands for.
enum Found {
    /// A row of the ledger.
    Row(Box<Upload>),
    /// A version in staging that has no row yet.
    Waits(Box<ObjectInfo>),
}

impl<P: Processor> LedgerTracker<P> {
    async fn find(&self, id: &uploads::UploadId) -> Result<Found> {
        let not_found = || Error::NotFound {
            what: "the upload".into(),
        };
        let at = match upload_id::read(id, &self.facts.staging).ok_or_else(not_found)? {
            Named::Version(at) => at,
            Named::Row(id) => {
                let row = self.ledger.get(&id).await.map_err(failed)?;
                return row.map(Box::new).map(Found::Row).ok_or_else(not_found);
            }
        };
        // Staging first, as in a list.
        let staged = self.store.head_version(&at).await;
        if let Some(row) = self.ledger.find(&at).await.map_err(failed)? {
            return Ok(Found::Row(Box::new(row)));
        }
        match staged {
            Ok(source) => Ok(Found::Waits(Box::new(source))),
            Err(StoreError::NotFound { .. }) => Err(not_found()),
            Err(error) => Err(Error::Unavailable {
                reason: "staging cannot be read".into(),
                source: Some(Box::new(error)),
            }),
        }
    }

    /// The versions that wait for their row and belong on top of this page.
    async fn waiting(&self, query: &ListUploads) -> Result<Waiting> {
        let belongs_here =
            query.after.is_none() && matches!(query.state, None | Some(UploadState::Pending));
        // With nothing in the queue every version in staging has its row: failed, or due later.
        if !belongs_here || self.queue.backlog() == 0 {
            return Ok(Waiting::default());
        }
        waiting::find(&self.store, &self.ledger, &self.facts.staging, query).await
    }

    /// How many versions wait for their row: exactly, or where there are too many to look at all of them, as the queue
    /// has it, in which a key counts once.
    fn count_waiting(&self, waiting: &Waiting, rows: ledger::Counts) -> u64 {
        let seen = waiting.uploads.len() as u64;
        if waiting.is_complete {
            return seen;
        }
        let queued = self.queue.backlog() as u64;
        seen.max(queued.saturating_sub(rows.processing + rows.pending))
    }

    async fn wake(&self, upload: &Upload) {
        let wake_up = WakeUp {
            key: upload.key.clone(),
            why: Why::Event,
        };
        self.queue.wake(wake_up, None).await;
    }
}

/// A cursor as a list gave it.
fn cursor(id: &str) -> Result<UploadId> {
    UploadId::new(id).ok_or_else(|| Error::Refused {
        reason: "after must be the next of an earlier page".into(),
    })
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

fn ledger_state(state: UploadState) -> State {
    match state {
        UploadState::Pending => State::Pending,
        UploadState::Processing => State::Processing,
        UploadState::Archived => State::Archived,
        UploadState::Failed => State::Failed,
        UploadState::Late => State::Late,
        UploadState::Duplicate => State::Duplicate,
    }
}

fn shown_state(state: State) -> UploadState {
    match state {
        State::Pending => UploadState::Pending,
        State::Processing => UploadState::Processing,
        State::Archived => UploadState::Archived,
        State::Failed => UploadState::Failed,
        State::Late => UploadState::Late,
        State::Duplicate => UploadState::Duplicate,
    }
}

fn shown(upload: &Upload) -> Result<uploads::Upload> {
    let staged = upload.staged.as_ref();
    let report = upload
        .report
        .as_ref()
        .map(two_buckets_pipeline::Report::as_str)
        .filter(|text| !text.is_empty());
    let found: Findings = report
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    Ok(uploads::Upload {
        id: upload_id::of_row(upload)?,
        bucket: upload.key.bucket.clone(),
        key: upload.key.key.clone(),
        version_id: staged.map(|staged| staged.version_id.clone()),
        state: shown_state(upload.state),
        is_expected: false,
        size_bytes: staged.map_or(0, |staged| staged.size_bytes),
        etag: staged.map_or_else(
            || two_buckets_objects::ETag::new(""),
            |staged| staged.etag.clone(),
        ),
        checksum: upload
            .archive
            .as_ref()
            .and_then(|archive| archive.checksum.clone()),
        received_at: upload.received_at,
        started_at: upload.started_at,
        finished_at: upload.finished_at,
        attempts: upload.attempts_ever,
        next_attempt_at: upload.next_attempt_at,
        reason: upload.reason.clone(),
        archive: upload.archive.as_ref().map(|archive| archive.at.clone()),
        media_type: found.media_type.or_else(|| upload.media_type.clone()),
        sha256: found.sha256,
        report: report.map(str::to_owned),
    })
}

/// What reports say under these names is shown with the upload; the rest of a report is its function's own.
#[derive(serde::Deserialize, Default)]
struct Findings {
    media_type: Option<String>,
    sha256: Option<String>,
}

fn shown_attempt(attempt: &two_buckets_pipeline::Attempt) -> uploads::Attempt {
    uploads::Attempt {
        number: attempt.number,
        started_at: attempt.started_at,
        ended_at: attempt.ended.map(|(at, _)| at),
        outcome: attempt.ended.map(|(_, outcome)| match outcome {
            AttemptOutcome::Succeeded => uploads::AttemptOutcome::Succeeded,
            AttemptOutcome::Transient => uploads::AttemptOutcome::Transient,
            AttemptOutcome::Permanent => uploads::AttemptOutcome::Permanent,
            AttemptOutcome::Crashed => uploads::AttemptOutcome::Crashed,
        }),
        reason: attempt.reason.clone(),
    }
}

/// What the ledger's failures mean to a caller of the API.
fn failed(error: ledger::Error) -> Error {
    match error {
        ledger::Error::NotFound(id) => Error::NotFound {
            what: format!("upload {id}"),
        },
        ledger::Error::NotFailed(NotFailed(state)) => Error::Conflict {
            reason: format!("only failed uploads can be retried, this one is {state}"),
        },
        ledger::Error::Unavailable { .. } | ledger::Error::FencedOff => Error::Unavailable {
            reason: "the ledger does not answer".into(),
            source: Some(Box::new(error)),
        },
        error => Error::Broken {
            reason: "the ledger cannot do this".into(),
            source: Some(Box::new(error)),
        },
    }
}
