//! Where each upload is, and steering it: [`Tracker`] on the ledger in `DynamoDB`, buckets on S3 and a queue of SQS.
//!
//! What is the same on every host is [`tracking`]. Here is what only this one knows.
//!
//! # What a look costs
//!
//! | call | requests |
//! |---|---|
//! | `get`, `minted` | two or three to the ledger; of what has no row yet a `ListObjectVersions` more |
//! | `list`, each page | one `ListObjectVersions` of staging (two with a key, none behind the first page but for the counts), two `BatchGetItem` for each 100 versions there, and a `Query` of each shard of each home three times: the page, the counts, the oldest; 125 with 8 shards. Of one key two instead of 48 for the page |
//! | `list` below a prefix | as many, but the counts read all that is unfinished or failed, and up to 20,000 rows of what has ended |
//! | `list` by many at once | one of these for the page each; the rest once for all who ask meanwhile |
//! | `changes` | every 5 s 96 `Query` and a `GetItem`, while somebody listens |
//! | `replay` | for each file `HeadObject` of the archive and of the version, `CopyObject`, a `GetItem` and a `BatchGetItem`; for each 100 a `PutItem` |
//!
//! # What is known of versions without a row
//!
//! A version that no worker has noted is known to staging only, and staging is listed in the order of its keys. A list
//! looks at the first 1,000 versions there: with more, counts and the oldest unfinished are of those and of all rows. The
//! sweep, which looks at all, says the exact age for the alarm.
//!
//! # Permissions
//!
//! Of the ledger (see [`ledger`](crate::ledger)), `sqs:SendMessage`, and with a store: `s3:ListBucketVersions` and
//! `s3:GetObjectVersion` on both buckets, `s3:ListBucket` on both, so that what is not there is not taken for
//! forbidden; for replays `s3:GetObject` and `s3:GetObjectVersionTagging` on the archive, `s3:PutObject`,
//! `s3:PutObjectTagging` and `s3:AbortMultipartUpload` on staging; for sweeps what those need.

mod changes;
mod replaying;
mod together;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tracing::{info, warn};
use two_buckets_objects::{Body, ByteRange, LIST_PAGE_MAX};
use two_buckets_pipeline::{self as pipeline, Clock, Ledger as _};
use two_buckets_uploads as uploads;
use uploads::tracking::{self, Tracking, Waiting, counted, failed, oldest_of, shown};
use uploads::{
    Change, Error, Expected, ListUploads, Minted, Oldest, Paused, Replay, Replayed, Result,
    Retried, RetryMany, ServerFacts, Swept, Tracker, UploadHistory, UploadKey, UploadPage,
};

use crate::S3Store;
use crate::ledger::DynamoLedger;
use crate::wake::SqsWakeUps;
use crate::worker::{DeploymentJobs, SweepFailed};
use replaying::S3Replays;
use together::Together;

/// A sweep that is under way.
pub type Sweeping =
    Pin<Box<dyn Future<Output = Result<pipeline::Swept, SweepFailed>> + Send + 'static>>;

/// The uploads API's view of a deployment on AWS. Cheap to clone; clones look together.
#[derive(Clone)]
pub struct AwsTracker<C> {
    parts: Parts<C>,
    looks: Arc<Together<Arc<Look>>>,
}

/// What a tracker is made of.
#[derive(Clone)]
pub struct Parts<C> {
    /// What this is.
    pub facts: ServerFacts,
    /// Where the rows are.
    pub ledger: DynamoLedger,
    /// Where keys are woken.
    pub wake_ups: SqsWakeUps<C>,
    /// The time.
    pub clock: Arc<C>,
    /// What it may do beyond reading and changing the ledger. None for a service that strangers speak to, whose role may
    /// only put into staging: uploads are seen there from when a worker has noted them, and content, replays and sweeps
    /// are refused with words that say who may.
    pub buckets: Option<Buckets>,
    /// Who ends the container of a job that is cancelled.
    pub jobs: DeploymentJobs,
}

/// The buckets, for who may look into them and move files.
#[derive(Clone)]
pub struct Buckets {
    /// Both.
    pub store: S3Store,
    /// Sweeps once. What the sweep wakes workers do, so whoever composes this decides whether it takes turns itself.
    pub sweep: Arc<dyn Fn() -> Sweeping + Send + Sync>,
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for AwsTracker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsTracker")
            .field("facts", &self.parts.facts)
            .field("ledger", &self.parts.ledger)
            .field("buckets", &self.parts.buckets)
            .finish_non_exhaustive()
    }
}

impl<C> AwsTracker<C> {
    /// A tracker of these parts. Calls nobody.
    pub fn new(parts: Parts<C>) -> Self {
        Self {
            parts,
            looks: Arc::default(),
        }
    }
}

impl<C: Clock> Tracker for AwsTracker<C> {
    async fn server(&self) -> Result<ServerFacts> {
        Ok(ServerFacts {
            paused: self
                .parts
                .ledger
                .paused()
                .await
                .map_err(failed)?
                .map(Into::into),
            ..self.parts.facts.clone()
        })
    }

    async fn list(&self, query: ListUploads) -> Result<UploadPage> {
        // Staging first: a version that gets its row meanwhile is then seen twice and not never.
        let look = match &query.prefix {
            // Whoever waits for many files asks for each of them, and all of that is the same for each.
            None => self.looks.look(Box::pin(self.look(None))).await?,
            Some(prefix) => Box::pin(self.look(Some(prefix))).await?,
        };
        let on_top = self.on_top(&query, &look.waiting).await?;
        let (uploads, next) = self
            .tracking()
            .list(query, on_top, DynamoLedger::is_id)
            .await?;
        let summary = &look.summary;
        Ok(UploadPage {
            uploads,
            next,
            counts: counted(summary.counts, look.waiting.without_row),
            oldest_unfinished: oldest_of(summary.oldest.clone(), look.waiting.oldest()),
            paused: look.paused.clone(),
            counts_are_least: summary.are_least,
        })
    }

    async fn get(&self, id: &uploads::UploadId) -> Result<UploadHistory> {
        self.tracking().get(id).await
    }

    async fn logs(&self, id: &uploads::UploadId) -> Result<Vec<uploads::AttemptLog>> {
        self.tracking().logs(id).await
    }

    async fn content(&self, id: &uploads::UploadId, range: Option<ByteRange>) -> Result<Body> {
        self.buckets_for("files cannot be downloaded here")?;
        self.tracking().content(id, range).await
    }

    async fn retry(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        self.tracking().retry(id).await
    }

    async fn retry_many(&self, retry: RetryMany) -> Result<Retried> {
        self.tracking().retry_many(retry).await
    }

    async fn cancel(&self, id: &uploads::UploadId) -> Result<uploads::Upload> {
        let row = self
            .tracking()
            .cancelled(id, self.parts.clock.now())
            .await?;
        self.parts.jobs.terminate(&row).await;
        shown(&row)
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed> {
        let buckets = self.buckets_for("nothing can be replayed here")?;
        let replays = S3Replays::new(
            buckets.store.clone(),
            self.parts.ledger.clone(),
            &self.parts.facts,
            self.parts.clock.now(),
        );
        tracking::replay(replays, &self.parts.facts.archive, replay).await
    }

    async fn pause(&self, reason: Option<String>) -> Result<Paused> {
        let kept = self.parts.ledger.keep_paused(reason.as_deref()).await;
        let paused = Paused::from(kept.map_err(failed)?);
        info!(since = %paused.since, reason = paused.reason, "processing is paused");
        Ok(paused)
    }

    /// Sweeps as well, where it may, because workers took no turn on what they were woken for meanwhile; elsewhere the
    /// scheduled sweep wakes it.
    async fn resume(&self) -> Result<Option<Paused>> {
        let before = self.parts.ledger.keep_resumed().await.map_err(failed)?;
        info!("processing goes on");
        if let Some(buckets) = &self.parts.buckets
            && let Err(error) = (buckets.sweep)().await
        {
            warn!(%error, "processing goes on, and the next sweep wakes what waits");
        }
        Ok(before.map(Into::into))
    }

    async fn sweep(&self) -> Result<Swept> {
        let buckets = self.buckets_for("nothing can be swept here by hand")?;
        tracking::swept((buckets.sweep)().await)
    }

    async fn expect(&self, expected: Expected) -> Result<uploads::UploadId> {
        self.tracking()
            .expect(expected, self.parts.clock.now())
            .await
    }

    async fn minted(&self, key: &UploadKey) -> Result<Option<Minted>> {
        self.tracking().minted(key).await
    }

    fn changes(&self) -> impl Stream<Item = Change> + Send + 'static {
        changes::polled(self.parts.ledger.clone(), Arc::clone(&self.parts.clock))
    }
}

/// What there is, whatever of it is asked for.
struct Look {
    waiting: Waiting,
    summary: Summary,
    paused: Option<Paused>,
}

/// What is counted of rows.
struct Summary {
    counts: pipeline::ledger::Counts,
    are_least: bool,
    oldest: Option<Oldest>,
}

impl<C: Clock> AwsTracker<C> {
    fn tracking(&self) -> Tracking<'_, S3Store, DynamoLedger, SqsWakeUps<C>> {
        Tracking {
            ledger: &self.parts.ledger,
            store: self.parts.buckets.as_ref().map(|buckets| &buckets.store),
            wake_ups: &self.parts.wake_ups,
            staging: &self.parts.facts.staging,
        }
    }

    fn buckets_for(&self, what: &str) -> Result<&Buckets> {
        self.parts.buckets.as_ref().ok_or_else(|| Error::Refused {
            reason: format!(
                "{what}: this service may only put into staging; \
                 \"two-buckets --stack NAME\" does it with credentials of your own"
            ),
        })
    }

    /// Looks at the first versions in staging, and at what rows there are.
    async fn look(&self, prefix: Option<&str>) -> Result<Arc<Look>> {
        let all = ListUploads {
            prefix: prefix.map(Into::into),
            ..ListUploads::default()
        };
        let waiting = self.tracking().waiting(&all, LIST_PAGE_MAX).await?;
        let (summary, paused) = futures::join!(self.summary(prefix), self.parts.ledger.paused());
        Ok(Arc::new(Look {
            waiting,
            summary: summary?,
            paused: paused.map_err(failed)?.map(Into::into),
        }))
    }

    /// Those of them that belong on top of a page. Of one key they are looked for where not all of staging was seen.
    async fn on_top(&self, query: &ListUploads, all: &Waiting) -> Result<Vec<uploads::Upload>> {
        if !Waiting::belongs_to(query) {
            return Ok(Vec::new());
        }
        if query.key.is_some() && !all.is_complete {
            let of_key = self.tracking().waiting(query, LIST_PAGE_MAX).await?;
            return Ok(of_key.uploads);
        }
        let is_meant = |upload: &&uploads::Upload| {
            let key = upload.key.as_str();
            query.key.as_ref().is_none_or(|it| *it == upload.key)
                && query
                    .search
                    .as_ref()
                    .is_none_or(|it| key.contains(it.as_str()))
        };
        Ok(all.uploads.iter().filter(is_meant).cloned().collect())
    }

    async fn summary(&self, prefix: Option<&str>) -> Result<Summary> {
        if let Some(prefix) = prefix {
            let below = self.parts.ledger.below(prefix).await.map_err(failed)?;
            let oldest = below
                .oldest
                .map(|(key, received_at)| Oldest { key, received_at });
            return Ok(Summary {
                counts: below.counts,
                are_least: below.are_least,
                oldest,
            });
        }
        let (counts, oldest) = futures::join!(
            self.parts.ledger.counts(),
            self.parts.ledger.oldest_unfinished()
        );
        let oldest = oldest.map_err(failed)?.map(|upload| Oldest {
            key: upload.key.key,
            received_at: upload.received_at,
        });
        Ok(Summary {
            counts: counts.map_err(failed)?,
            are_least: false,
            oldest,
        })
    }
}
