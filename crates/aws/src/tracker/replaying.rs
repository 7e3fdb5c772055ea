//! Replays on S3: each file a `CopyObject`, some at a time, and how far the replay is behind each portion in the ledger.
//!
//! The two are not one change. A portion that was cut off in its middle is done again, and so the keys of one portion
//! may be copied twice; a key whose copy still waits in staging, or was archived since the replay began, is passed over.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use tracing::error;
use two_buckets_objects::{
    BucketName, CopyOptions, Error as StoreError, Key, ListVersions, ObjectInfo, ObjectRef,
    ObjectStore as _, Timestamp, VersionMarker, VersionRef, WriteCondition,
};
use two_buckets_pipeline::Ledger as _;
use two_buckets_pipeline::archive::{Mark, REPLAY_OF, Replay};
use two_buckets_uploads::tracking::{
    Archived, ArchivedPage, Batch, Before, Portion, Replays, Run, failed,
};
use two_buckets_uploads::{Error, Result, ServerFacts};

use crate::S3Store;
use crate::ledger::{DynamoLedger, Taken};

/// How many versions of the archive a page has: as many keys at most are copied twice when a replay is cut off.
const PAGE: usize = 100;
/// How many are copied at the same time.
const COPIES_AT_ONCE: usize = 16;
/// A call's portion: at some hundred copies a second, and within a region some GB a second, a few seconds.
const PORTION: Portion = Portion {
    files: 1_000,
    bytes: 64 << 30,
    pages: 200,
};

/// One call's replay.
pub(super) struct S3Replays {
    store: S3Store,
    ledger: DynamoLedger,
    archive: BucketName,
    staging: BucketName,
    now: Timestamp,
    taken: Option<Taken>,
    /// Whether the next portion may have been begun by somebody before.
    may_be_begun: bool,
}

impl S3Replays {
    pub(super) fn new(
        store: S3Store,
        ledger: DynamoLedger,
        facts: &ServerFacts,
        now: Timestamp,
    ) -> Self {
        Self {
            store,
            ledger,
            archive: facts.archive.clone(),
            staging: facts.staging.clone(),
            now,
            taken: None,
            may_be_begun: false,
        }
    }

    /// Copies the current version of a key; nothing if there is none, or if that was done by a portion that was cut off.
    async fn copy_current(&self, key: &Key, run: &Run) -> Result<Batch> {
        let at = ObjectRef {
            bucket: self.archive.clone(),
            key: key.clone(),
        };
        let archived = match self.store.head(&at).await {
            Ok(archived) => archived,
            Err(StoreError::NotFound { .. }) => return Ok(Batch::default()),
            Err(error) => return Err(broken(error)),
        };
        let pairs = self.pairs(&archived).await?;
        if self.may_be_begun && self.is_done(&archived, &pairs, run).await? {
            return Ok(Batch::default());
        }
        match self.copy_archived(&archived, pairs).await {
            Ok(copied) => Ok(copied.unwrap_or_default()),
            // One that cannot be copied holds up nobody else's: it is matched and not replayed.
            Err(Error::Refused { reason }) => {
                error!(bucket = %archived.at.bucket, key = %archived.at.key, reason, "an archived file is left out of its replay");
                Ok(Batch::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Copies an archived version; none if it is gone meanwhile.
    async fn copy_archived(
        &self,
        archived: &ObjectInfo,
        pairs: Vec<(String, String)>,
    ) -> Result<Option<Batch>> {
        let options = CopyOptions {
            // Beside whatever waits there: each is a version of its own.
            condition: WriteCondition::None,
            add_user_metadata: pairs,
        };
        let to = self.staged(&archived.at.key);
        match self.store.copy_version(&archived.at, &to, options).await {
            Ok(_) => Ok(Some(Batch {
                copied: 1,
                size_bytes: archived.size_bytes,
            })),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(broken(error)),
        }
    }

    /// What the copy says of where it comes from.
    async fn pairs(&self, archived: &ObjectInfo) -> Result<Vec<(String, String)>> {
        let upload = match Mark::of(&archived.metadata) {
            Some(mark) => {
                let staged = self.staged(&archived.at.key);
                let version = VersionRef {
                    bucket: staged.bucket,
                    key: staged.key,
                    version_id: mark.source_version,
                };
                self.ledger.find(&version).await.map_err(failed)?
            }
            None => None,
        };
        let replay = Replay::from_archived(archived, upload.map(|upload| upload.id));
        Ok(replay.pairs(&archived.metadata))
    }

    /// Whether this replay has copied this version before: the copy waits, or it is what is archived by now.
    async fn is_done(
        &self,
        archived: &ObjectInfo,
        pairs: &[(String, String)],
        run: &Run,
    ) -> Result<bool> {
        let replayed_of = archived.metadata.user.get(REPLAY_OF);
        if replayed_of.is_some() && archived.last_modified >= run.began_at {
            return Ok(true);
        }
        let staged = self.staged(&archived.at.key);
        let options = ListVersions {
            prefix: staged.key.as_str().to_owned(),
            ..ListVersions::default()
        };
        let page = self.store.list_versions(&staged.bucket, options).await;
        let of_key = page.map_err(broken)?.versions.into_iter();
        for version in of_key.filter(|it| it.key == staged.key && !it.is_delete_marker) {
            let at = VersionRef {
                bucket: staged.bucket.clone(),
                key: version.key,
                version_id: version.version_id,
            };
            match self.store.head_version(&at).await {
                Ok(waits) => {
                    let is_copy = |(name, value): &(String, String)| {
                        waits.metadata.user.get(name) == Some(value)
                    };
                    if pairs.iter().all(is_copy) {
                        return Ok(true);
                    }
                }
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(false)
    }

    fn staged(&self, key: &Key) -> ObjectRef {
        ObjectRef {
            bucket: self.staging.clone(),
            key: key.clone(),
        }
    }
}

impl Replays for S3Replays {
    fn portion(&self) -> Portion {
        PORTION
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    async fn unfinished(&mut self, prefix: &str) -> Result<Option<Run>> {
        self.ledger.replay_run(prefix).await.map_err(failed)
    }

    /// What is current, out of a list of all versions, whose order is the same.
    async fn list(&mut self, run: &Run) -> Result<ArchivedPage> {
        let after = run.after.as_deref().map(str::parse::<Key>).transpose();
        let after = after.map_err(|error| Error::Broken {
            reason: "how far the replay is".into(),
            source: Some(Box::new(error)),
        })?;
        let options = ListVersions {
            prefix: run.prefix.clone(),
            after: after.map(|key| VersionMarker {
                key,
                version_id: None,
            }),
            limit: PAGE,
        };
        let page = self.store.list_versions(&self.archive, options).await;
        let page = page.map_err(broken)?;
        let current = page
            .versions
            .into_iter()
            .filter(|version| version.is_latest && !version.is_delete_marker);
        Ok(ArchivedPage {
            current: current
                .map(|version| Archived {
                    key: version.key,
                    last_modified: version.last_modified,
                    size_bytes: version.size_bytes,
                })
                .collect(),
            // The current version of a key is its first, so that the rest of its versions is passed over.
            next: page.next.map(|next| next.key.as_str().to_owned()),
        })
    }

    async fn copy(
        &mut self,
        keys: Vec<Key>,
        before: &Before,
        run: &Run,
        is_last: bool,
    ) -> Result<Option<Batch>> {
        if self.taken.is_none() {
            // As it was before this portion.
            let found = match before {
                Before::At(found) => found.clone(),
                Before::Whatever | Before::Nothing => Run {
                    after: None,
                    ..run.clone()
                },
            };
            self.may_be_begun = matches!(before, Before::At(_));
            let taken = self.ledger.take_replay(before, &found).await;
            self.taken = taken.map_err(failed)?;
        }
        if self.taken.is_none() {
            return Ok(None);
        }
        let (this, has_failed) = (&*self, &AtomicBool::new(false));
        let copied: Vec<Result<Batch>> = futures::stream::iter(keys)
            .map(|key| async move {
                if has_failed.load(Ordering::Relaxed) {
                    return Ok(Batch::default());
                }
                let copied = this.copy_current(&key, run).await;
                has_failed.fetch_or(copied.is_err(), Ordering::Relaxed);
                copied
            })
            .buffer_unordered(COPIES_AT_ONCE)
            // What is under way when one fails is ended, so that nothing of it lands behind whoever goes on.
            .collect()
            .await;
        let copied = copied.into_iter().collect::<Result<Vec<_>>>()?;
        self.may_be_begun = false;
        let is_ours = match &self.taken {
            Some(taken) if is_last => self.ledger.end_replay(taken, run).await,
            Some(taken) => self.ledger.advance_replay(taken, run).await,
            None => Ok(false),
        };
        Ok(is_ours.map_err(failed)?.then(|| Batch {
            copied: copied.iter().map(|batch| batch.copied).sum(),
            size_bytes: copied.iter().map(|batch| batch.size_bytes).sum(),
        }))
    }

    async fn copy_version(&mut self, at: &VersionRef) -> Result<Option<Batch>> {
        let archived = match self.store.head_version(at).await {
            Ok(archived) => archived,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(broken(error)),
        };
        let pairs = self.pairs(&archived).await?;
        self.copy_archived(&archived, pairs).await
    }

    async fn size_of(&mut self, at: &VersionRef) -> Result<Option<u64>> {
        match self.store.head_version(at).await {
            Ok(archived) => Ok(Some(archived.size_bytes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(broken(error)),
        }
    }
}

/// What a bucket's failures mean to who asked for a replay, which may be asked for again.
fn broken(error: StoreError) -> Error {
    match error {
        StoreError::Refused { reason } => Error::Refused { reason },
        error => Error::Unavailable {
            reason: "files cannot be copied from the archive to staging; asked for again, the replay goes on".into(),
            source: Some(Box::new(error)),
        },
    }
}
