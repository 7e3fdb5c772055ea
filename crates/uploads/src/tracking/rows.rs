//! One upload: what an id stands for, its bytes, and what may be done about it.

use two_buckets_objects::{
    Body, ByteRange, Error as StoreError, ListVersions, ListedVersion, ObjectRef, ObjectStore,
    Timestamp, VersionRef,
};
use two_buckets_pipeline::{
    Expectation, Ledger, NotCancelled, NotRetried, State, Upload, WakeUp, WakeUps, Why,
};

use super::ids::{self, Named};
use super::shown::{shown, shown_attempt, shown_log};
use super::{Tracking, failed, unavailable, waiting};
use crate::{
    self as uploads, Error, Expected, Minted, Result, Retried, RetryMany, UploadHistory, UploadKey,
};

/// What an id stands for.
enum Found {
    /// A row of the ledger.
    Row(Box<Upload>),
    /// A version in staging that has no row yet.
    Waits(VersionRef, Box<ListedVersion>),
}

impl<S: ObjectStore, L: Ledger, W: WakeUps> Tracking<'_, S, L, W> {
    /// See [`Tracker::get`](crate::Tracker::get).
    pub async fn get(&self, id: &uploads::UploadId) -> Result<UploadHistory> {
        match self.find(id).await? {
            Found::Row(upload) => Ok(UploadHistory {
                upload: shown(&upload)?,
                attempts_log: upload.log.iter().map(shown_attempt).collect(),
            }),
            Found::Waits(at, version) => Ok(UploadHistory {
                upload: waiting::shown(at.object(), &version)?,
                attempts_log: Vec::new(),
            }),
        }
    }

    /// See [`Tracker::logs`](crate::Tracker::logs).
    pub async fn logs(&self, id: &uploads::UploadId) -> Result<Vec<uploads::AttemptLog>> {
        let Found::Row(upload) = self.find(id).await? else {
            return Ok(Vec::new());
        };
        let logs = self.ledger.logs(&upload.id).await.map_err(failed)?;
        Ok(logs.into_iter().map(shown_log).collect())
    }

    /// See [`Tracker::content`](crate::Tracker::content).
    pub async fn content(&self, id: &uploads::UploadId, range: Option<ByteRange>) -> Result<Body> {
        let Some(store) = self.store else {
            return Err(Error::Refused {
                reason: "this service may not read the buckets; ask with credentials that may"
                    .into(),
            });
        };
        let mut before = None;
        loop {
            let places = match self.find(id).await? {
                // Once it is archived its staging version is on its way out.
                Found::Row(upload) => {
                    let archived = upload.archive.as_ref().map(|archive| archive.at.clone());
                    archived.into_iter().chain(upload.version()).collect()
                }
                Found::Waits(at, _) => vec![at],
            };
            for at in &places {
                match store.read_version(at, range).await {
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

    /// See [`Tracker::retry`](crate::Tracker::retry).
    pub async fn retry(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        let row = match self.find(id).await? {
            Found::Row(upload) => upload.id,
            Found::Waits(..) => {
                return Err(failed(NotRetried::NotFailed(State::Pending).into()));
            }
        };
        let upload = self.ledger.retry(&row).await.map_err(failed)?;
        self.wake(upload.key.clone()).await;
        shown(&upload)
    }

    /// See [`Tracker::retry_many`](crate::Tracker::retry_many).
    pub async fn retry_many(&self, retry: RetryMany) -> Result<Retried> {
        super::retrying::many(self, retry).await.map_err(failed)
    }

    /// See [`Tracker::cancel`](crate::Tracker::cancel).
    pub async fn cancel(&self, id: &uploads::UploadId, now: Timestamp) -> Result<uploads::Upload> {
        shown(&self.cancelled(id, now).await?)
    }

    /// As [`Self::cancel`]; gives the row, for those who have a process of the job's to end.
    pub async fn cancelled(&self, id: &uploads::UploadId, now: Timestamp) -> Result<Upload> {
        let row = match self.find(id).await? {
            Found::Row(upload) => upload.id,
            // Only who looks at it finds that it is a job's.
            Found::Waits(..) => return Err(failed(NotCancelled::NotAJob.into())),
        };
        let upload = self.ledger.cancel_job(&row, now).await.map_err(failed)?;
        // Later versions of the key waited for the job.
        self.wake(upload.key.clone()).await;
        Ok(upload)
    }

    /// See [`Tracker::expect`](crate::Tracker::expect).
    pub async fn expect(&self, expected: Expected, now: Timestamp) -> Result<uploads::UploadId> {
        let expectation = Expectation {
            until: expected.until,
            size_bytes: expected.size_bytes,
            media_type: expected.media_type,
            checksum: expected.checksum,
        };
        let key = self.key_of(&expected.key);
        // What has come and waits for a worker is not in the ledger yet; what came counts, not what was declared.
        if let Some(row) = self.ledger.minted_for(&key).await.map_err(failed)? {
            let is_noted = !row.is_expected();
            let mut row = self.as_arrived(row).await?;
            if !row.is_expected() {
                row.expect_again(expectation.clone())
                    .map_err(|why| failed(why.into()))?;
                if is_noted {
                    // Until when it is granted is kept: a repeat that comes by it must find the row.
                    let kept = self.ledger.mint(&key, &expectation, now).await;
                    kept.map_err(failed)?;
                }
                return ids::of_row(&row);
            }
        }
        let minted = self.ledger.mint(&key, &expectation, now).await;
        ids::of_row(&minted.map_err(failed)?)
    }

    /// See [`Tracker::minted`](crate::Tracker::minted).
    pub async fn minted(&self, key: &UploadKey) -> Result<Option<Minted>> {
        let key = self.key_of(key);
        let Some(row) = self.ledger.minted_for(&key).await.map_err(failed)? else {
            return Ok(None);
        };
        let row = self.as_arrived(row).await?;
        Ok(Some(Minted {
            id: ids::of_row(&row)?,
            has_arrived: !row.is_expected(),
        }))
    }

    /// Has a worker look at a key.
    pub(super) async fn wake(&self, key: ObjectRef) {
        let wake_up = WakeUp {
            key,
            why: Why::Event,
        };
        self.wake_ups.wake(wake_up, None).await;
    }

    async fn find(&self, id: &uploads::UploadId) -> Result<Found> {
        let not_found = || Error::NotFound {
            what: "the upload".into(),
        };
        let at = match ids::read(id, self.staging).ok_or_else(not_found)? {
            Named::Version(at) => at,
            Named::Row(id) => {
                let row = self.ledger.get(&id).await.map_err(failed)?;
                let row = self.as_arrived(row.ok_or_else(not_found)?).await?;
                return Ok(Found::Row(Box::new(row)));
            }
        };
        if let Some(row) = self.ledger.find(&at).await.map_err(failed)? {
            return Ok(Found::Row(Box::new(row)));
        }
        if let Some(version) = self.staged(&at).await? {
            return Ok(Found::Waits(at, Box::new(version)));
        }
        // It may have got its row and left staging between the two looks.
        let row = self.ledger.find(&at).await.map_err(failed)?;
        Ok(Found::Row(Box::new(row.ok_or_else(not_found)?)))
    }

    /// What staging says of a version. By a list of its key, because stores differ in what they say to who asks for a
    /// version by an id that is none.
    async fn staged(&self, at: &VersionRef) -> Result<Option<ListedVersion>> {
        let Some(store) = self.store else {
            return Ok(None);
        };
        let mut options = ListVersions {
            prefix: at.key.as_str().to_owned(),
            ..ListVersions::default()
        };
        loop {
            let page = store.list_versions(&at.bucket, options.clone()).await;
            let page = page.map_err(|error| unavailable("staging", error))?;
            for version in page.versions {
                // The key itself comes before all keys it is a prefix of.
                if version.key != at.key {
                    return Ok(None);
                }
                if version.version_id == at.version_id && !version.is_delete_marker {
                    return Ok(Some(version));
                }
            }
            match page.next {
                Some(next) => options.after = Some(next),
                None => return Ok(None),
            }
        }
    }

    fn key_of(&self, key: &UploadKey) -> ObjectRef {
        ObjectRef {
            bucket: self.staging.clone(),
            key: key.as_key().clone(),
        }
    }

    /// A row with its version, though no worker has listed that yet.
    async fn as_arrived(&self, mut row: Upload) -> Result<Upload> {
        if row.is_expected()
            && let Some(version) = self.first_without_row(&row.key).await?
        {
            row.arrive(0, &version);
        }
        Ok(row)
    }
}
