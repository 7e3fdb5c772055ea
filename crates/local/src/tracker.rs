use std::future::Future;
use std::sync::Arc;

use two_buckets_objects::{Body, ByteRange, Error as StoreError, ObjectStore};
use two_buckets_pipeline::{
    AttemptOutcome, Ledger, NotFailed, Processor, State, Upload, UploadId, WakeUp, WakeUps, Why,
    ledger,
};
use two_buckets_uploads as uploads;
use uploads::{
    Counts, Cursor, Error, ListUploads, Oldest, Result, RetrySelection, ServerFacts, Swept,
    Tracker, UploadHistory, UploadPage, UploadState,
};

use crate::SweepHandle;

/// Sweeps on demand.
pub trait SweepNow: Send + Sync + 'static {
    /// Sweeps and returns when the sweep is done.
    fn sweep(&self) -> impl Future<Output = Result<Swept>> + Send;
}

impl<P: Processor> SweepNow for SweepHandle<P> {
    async fn sweep(&self) -> Result<Swept> {
        match Self::sweep(self).await {
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
}

/// The uploads API's view of the pipeline: rows of the ledger, bytes of the store, retries and sweeps.
#[derive(Debug)]
pub struct LedgerTracker<L, S, W, N> {
    /// What this server is.
    pub facts: ServerFacts,
    /// Where the rows are.
    pub ledger: Arc<L>,
    /// Where the bytes are.
    pub store: Arc<S>,
    /// Who is told of uploads that are to be tried again.
    pub wake_ups: Arc<W>,
    /// Who sweeps.
    pub sweeper: N,
}

impl<L: Ledger, S: ObjectStore, W: WakeUps, N: SweepNow> Tracker for LedgerTracker<L, S, W, N> {
    async fn server(&self) -> Result<ServerFacts> {
        Ok(self.facts.clone())
    }

    async fn list(&self, query: ListUploads) -> Result<UploadPage> {
        let page = self
            .ledger
            .list(&ledger::ListUploads {
                state: query.state.map(ledger_state),
                key: query.key.map(|key| key.as_str().to_owned()),
                key_contains: query.search,
                after: query.after.map(|Cursor(id)| row_id(&id)).transpose()?,
                limit: query.limit,
            })
            .await
            .map_err(failed)?;
        let counts = self.ledger.counts().await.map_err(failed)?;
        let oldest = self.ledger.oldest_unfinished().await.map_err(failed)?;
        Ok(UploadPage {
            uploads: page.uploads.iter().map(shown).collect::<Result<_>>()?,
            next: page.next.map(|id| Cursor(id.as_str().to_owned())),
            counts: Counts {
                pending: counts.pending,
                processing: counts.processing,
                archived: counts.archived,
                failed: counts.failed,
                late: counts.late,
                duplicate: counts.duplicate,
            },
            oldest_unfinished: oldest.map(|upload| Oldest {
                key: upload.key.key,
                received_at: upload.received_at,
            }),
        })
    }

    async fn get(&self, id: &uploads::UploadId) -> Result<UploadHistory> {
        let upload = self.row(id).await?;
        Ok(UploadHistory {
            upload: shown(&upload)?,
            attempts_log: upload.log.iter().map(shown_attempt).collect(),
        })
    }

    async fn content(&self, id: &uploads::UploadId, range: Option<ByteRange>) -> Result<Body> {
        let upload = self.row(id).await?;
        let archived = upload.archive.as_ref().map(|archive| archive.at.clone());
        let staged = upload.version();
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
            what: format!("the content of {}", upload.key.key),
        })
    }

    async fn retry(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        let upload = self.ledger.retry(&row_id(id.as_str())?).await;
        let upload = upload.map_err(failed)?;
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
        self.sweeper.sweep().await
    }
}

impl<L: Ledger, S: ObjectStore, W: WakeUps, N: SweepNow> LedgerTracker<L, S, W, N> {
    async fn row(&self, id: &uploads::UploadId) -> Result<Upload> {
        self.ledger
            .get(&row_id(id.as_str())?)
            .await
            .map_err(failed)?
            .ok_or_else(|| Error::NotFound {
                what: format!("upload {id}"),
            })
    }

    async fn wake(&self, upload: &Upload) {
        let wake_up = WakeUp {
            key: upload.key.clone(),
            why: Why::Event,
        };
        self.wake_ups.wake(wake_up, None).await;
    }
}

/// An id as the ledger made it; any other text names no upload.
fn row_id(id: &str) -> Result<UploadId> {
    UploadId::new(id).ok_or_else(|| Error::NotFound {
        what: format!("upload {id}"),
    })
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
    let found: Found = report
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    Ok(uploads::Upload {
        id: upload.id.as_str().parse().map_err(|_| Error::Broken {
            reason: format!("the ledger's id {} cannot be in a URL", upload.id),
            source: None,
        })?,
        bucket: upload.key.bucket.clone(),
        key: upload.key.key.clone(),
        version_id: staged.map(|staged| staged.version_id.clone()),
        state: shown_state(upload.state),
        size_bytes: staged.map_or(0, |staged| staged.size_bytes),
        etag: staged.map_or_else(
            || two_buckets_objects::ETag::new(""),
            |staged| staged.etag.clone(),
        ),
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
struct Found {
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
