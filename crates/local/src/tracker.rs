use futures::Stream;
use two_buckets_objects::{
    Body, ByteRange, Error as StoreError, ObjectInfo, ObjectRef, ObjectStore,
};
use two_buckets_pipeline::archive::is_reserved;
use two_buckets_pipeline::{
    Expectation, Ledger, NotCancelled, NotRetried, Processor, State, Upload, UploadId, WakeUp,
    WakeUps, Why, ledger,
};
use two_buckets_uploads as uploads;
use uploads::{
    Change, Counts, Cursor, Error, Expected, ListUploads, Minted, Oldest, Paused, Replay,
    ReplaySelection, Replayed, Result, Retried, RetryMany, ServerFacts, Swept, Tracker,
    UploadHistory, UploadKey, UploadPage, UploadState,
};

use crate::oldest::Staging;
use crate::replaying::Buckets;
use crate::shown::{ledger_state, listed, shown, shown_attempt, shown_log};
use crate::upload_id::{self, Named};
use crate::waiting::{self, Waiting};
use crate::{
    DepotLedger, DepotStore, SweepHandle, WakeQueue, changes, pausing, replaying, retrying,
};

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

/// What waits and what has a row, each upload once. A version may get its row between the two looks, under a name that
/// was not its own before: then both are of the same version.
fn each_once(
    mut waiting: Vec<uploads::Upload>,
    rows: Vec<uploads::Upload>,
) -> Vec<uploads::Upload> {
    let is_of = |row: &uploads::Upload, waits: &uploads::Upload| {
        let is_its_version = row.version_id.is_some() && row.version_id == waits.version_id;
        row.id == waits.id || (is_its_version && row.key == waits.key)
    };
    // A row says more, but not one that does not know yet that its version has come.
    waiting.retain(|waits| rows.iter().all(|row| !is_of(row, waits) || row.is_expected));
    let is_shown = |row: &uploads::Upload| waiting.iter().any(|waits| waits.id == row.id);
    let rows: Vec<_> = rows.into_iter().filter(|row| !is_shown(row)).collect();
    waiting.extend(rows);
    waiting
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
        let waiting = self.waiting(&query).await?;
        let oldest_waiting = self.oldest_waiting(query.prefix.as_deref()).await?;
        // At least one row, for the next page begins behind the last one.
        let shown_waiting = waiting.uploads.len().min(query.limit.saturating_sub(1));
        let prefix = query.prefix.clone();
        let page = self
            .ledger
            .list(&ledger::ListUploads {
                state: query.state.map(ledger_state),
                key: query.key.map(|key| key.as_str().to_owned()),
                key_contains: query.search,
                prefix: query.prefix,
                after: query.after.map(|Cursor(id)| cursor(&id)).transpose()?,
                limit: query.limit - shown_waiting,
            })
            .await
            .map_err(failed)?;
        let (mut counts, oldest) = match &prefix {
            None => (
                self.ledger.counts().await.map_err(failed)?,
                self.ledger.oldest_unfinished().await.map_err(failed)?,
            ),
            Some(prefix) => self.ledger.summary_below(prefix).await.map_err(failed)?,
        };
        counts.pending += self.count_waiting(&waiting, counts, prefix.is_some());
        let oldest_unfinished = oldest
            .map(|upload| Oldest {
                key: upload.key.key,
                received_at: upload.received_at,
            })
            .into_iter()
            .chain(oldest_waiting)
            .min_by_key(|oldest| oldest.received_at);
        let rows: Vec<_> = page.uploads.iter().map(shown).collect::<Result<_>>()?;
        let mut uploads = waiting.uploads;
        uploads.truncate(shown_waiting);
        let uploads = each_once(uploads, rows);
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
            paused: self.ledger.paused().await.map_err(failed)?,
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

    async fn logs(&self, id: &uploads::UploadId) -> Result<Vec<uploads::AttemptLog>> {
        let Found::Row(upload) = self.find(id).await? else {
            return Ok(Vec::new());
        };
        let logs = self.ledger.logs(&upload.id).await.map_err(failed)?;
        Ok(logs.into_iter().map(shown_log).collect())
    }

    async fn content(&self, id: &uploads::UploadId, range: Option<ByteRange>) -> Result<Body> {
        let mut before = None;
        loop {
            let places = match self.find(id).await? {
                // Once it is archived its staging version is on its way out.
                Found::Row(upload) => {
                    let archived = upload.archive.as_ref().map(|archive| archive.at.clone());
                    archived.into_iter().chain(upload.version()).collect()
                }
                Found::Waits(source) => vec![source.at],
            };
            for at in &places {
                match self.store.read_version(at, range).await {
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
            // It may have moved between the look and the read; an upload has few places to be in.
            if before.as_ref() == Some(&places) {
                return Err(Error::NotFound {
                    what: "the file's content".into(),
                });
            }
            before = Some(places);
        }
    }

    async fn retry(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        let row = match self.find(id).await? {
            Found::Row(upload) => upload.id,
            Found::Waits(_) => {
                return Err(failed(NotRetried::NotFailed(State::Pending).into()));
            }
        };
        let upload = self.ledger.retry(&row).await.map_err(failed)?;
        self.wake(&upload).await;
        shown(&upload)
    }

    async fn cancel(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        let row = match self.find(id).await? {
            Found::Row(upload) => upload.id,
            // Only who looks at it finds that it is a job's.
            Found::Waits(_) => return Err(failed(NotCancelled::NotAJob.into())),
        };
        let now = self.ledger.now();
        let upload = self.ledger.cancel_job(&row, now).await.map_err(failed)?;
        // Later versions of the key waited for the job.
        self.wake(&upload).await;
        shown(&upload)
    }

    async fn retry_many(&self, retry: RetryMany) -> Result<Retried> {
        retrying::many(&self.ledger, &self.queue, retry)
            .await
            .map_err(failed)
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed> {
        if let ReplaySelection::Version { key, .. } = &replay.selection
            && is_reserved(key)
        {
            return Err(Error::Refused {
                reason: "keys that begin with _results/ or _late/ are the pipeline's own and are not processed; copy the file to its key in staging by hand".into(),
            });
        }
        let buckets = Buckets {
            archive: self.facts.archive.clone(),
            staging: self.facts.staging.clone(),
        };
        let replayed = replaying::replay(self.ledger.clone(), buckets, replay).await;
        replayed.map_err(failed)?.ok_or_else(|| Error::NotFound {
            what: "this version in the archive".into(),
        })
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
        match self.sweeper.sweep().await {
            Ok(swept) => Ok(Swept {
                listed: swept.listed,
                woken: swept.woken,
                finished: swept.finished,
                explained: swept.explained,
                passed_over: swept.passed_over,
            }),
            Err(error) => Err(Error::Unavailable {
                reason: "the sweep ended early".into(),
                source: Some(Box::new(error)),
            }),
        }
    }

    async fn expect(&self, expected: Expected) -> Result<uploads::UploadId> {
        let expectation = Expectation {
            until: expected.until,
            size_bytes: expected.size_bytes,
            media_type: expected.media_type,
            checksum: expected.checksum,
        };
        let key = self.staging(&expected.key);
        // What has come and waits for a worker is not in the ledger yet; what came counts, not what was declared.
        if let Some(row) = self.ledger.minted_for(&key).await.map_err(failed)? {
            let is_noted = !row.is_expected();
            let mut row = self.as_arrived(row).await?;
            if !row.is_expected() {
                row.expect_again(expectation.clone())
                    .map_err(|why| failed(why.into()))?;
                if is_noted {
                    // Until when it is granted is kept: a repeat that comes by it must find the row.
                    let now = self.ledger.now();
                    let kept = self.ledger.mint(&key, &expectation, now).await;
                    kept.map_err(failed)?;
                }
                return upload_id::of_row(&row);
            }
        }
        let row = self
            .ledger
            .mint(&key, &expectation, self.ledger.now())
            .await
            .map_err(failed)?;
        upload_id::of_row(&row)
    }

    async fn minted(&self, key: &UploadKey) -> Result<Option<Minted>> {
        let key = self.staging(key);
        let Some(row) = self.ledger.minted_for(&key).await.map_err(failed)? else {
            return Ok(None);
        };
        let row = self.as_arrived(row).await?;
        Ok(Some(Minted {
            id: upload_id::of_row(&row)?,
            has_arrived: !row.is_expected(),
        }))
    }

    fn changes(&self) -> impl Stream<Item = Change> + Send + 'static {
        changes::listen(self.ledger.clone(), self.store.clone(), &self.queue)
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
                let row = self.as_arrived(row.ok_or_else(not_found)?).await?;
                return Ok(Found::Row(Box::new(row)));
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

    fn staging(&self, key: &UploadKey) -> ObjectRef {
        ObjectRef {
            bucket: self.facts.staging.clone(),
            key: key.as_key().clone(),
        }
    }

    /// A row with its version, though no worker has listed that yet.
    async fn as_arrived(&self, mut row: Upload) -> Result<Upload> {
        if row.is_expected()
            && let Some(version) = waiting::first_of(&self.store, &self.ledger, &row.key).await?
        {
            row.arrive(0, &version);
        }
        Ok(row)
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

    /// How many versions wait for their row: exactly, or where there are too many to look at all of them, as the queue
    /// has it, in which a key counts once; of a part of the keys then only those that were seen.
    fn count_waiting(&self, waiting: &Waiting, rows: ledger::Counts, is_part: bool) -> u64 {
        let seen = waiting.without_row;
        if waiting.is_complete || is_part {
            return seen;
        }
        let queued = self.queue.backlog();
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
    UploadId::new(id)
        .filter(DepotLedger::is_id)
        .ok_or_else(|| Error::Refused {
            reason: "after must be the next of an earlier page".into(),
        })
}

/// What the ledger's failures mean to a caller of the API.
fn failed(error: ledger::Error) -> Error {
    match error {
        ledger::Error::NotFound(id) => Error::NotFound {
            what: format!("upload {id}"),
        },
        ledger::Error::NotRetried(why) => Error::Conflict {
            reason: why.to_string(),
        },
        ledger::Error::NotCancelled(why) => Error::Conflict {
            reason: why.to_string(),
        },
        ledger::Error::DeclaredOtherwise(why) => Error::Conflict {
            reason: why.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::{ETag, ListedVersion, ObjectRef, Timestamp, VersionId};

    #[test]
    fn a_version_that_gets_its_row_between_two_looks_is_one_upload() {
        let key = ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: "a".parse().unwrap(),
        };
        let version = |id: &str| ListedVersion {
            key: key.key.clone(),
            version_id: VersionId::new(id),
            is_latest: true,
            is_delete_marker: false,
            last_modified: Timestamp::from_millis(1),
            size_bytes: 1,
            etag: Some(ETag::new("e")),
        };
        let waits = |id: &str| waiting::shown(key.clone(), &version(id)).unwrap();
        let id = UploadId::new("0000000000000001").unwrap();
        let now = Timestamp::from_millis(1);
        let mut minted = Upload::minted(id, key.clone(), Expectation::until(now), now);
        minted.arrive(1, &version("1"));
        let row = shown(&minted).unwrap();
        assert_ne!(waits("1").id, row.id, "its name is another while it waits");
        let ids = |waiting, rows| -> Vec<_> {
            each_once(waiting, rows)
                .into_iter()
                .map(|upload| upload.id)
                .collect()
        };
        let only = ids(vec![waits("1")], vec![row.clone()]);
        assert_eq!(only, std::slice::from_ref(&row.id));
        let other = waits("2");
        assert_eq!(
            ids(vec![other.clone()], vec![row.clone()]),
            [other.id, row.id]
        );
    }
}
