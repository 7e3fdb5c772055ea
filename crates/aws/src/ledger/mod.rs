//! The ledger on `DynamoDB`: one table, no secondary index. What a turn rests on is written on a condition only; logs and
//! the pause, which nobody decides by another's, are written over.
//! Why it is laid out so, and what each call costs: `docs/decisions/0006-dynamodb-ledger.md`.
//!
//! # Permissions
//!
//! On the table: `dynamodb:GetItem`, `BatchGetItem`, `Query`, `PutItem`, `UpdateItem`, `DeleteItem` and
//! `ConditionCheckItem`, which are those of transactions too.
//!
//! # Key layout
//!
//! | partition key | sort key | what |
//! |---|---|---|
//! | `expected#`, `open#`, `waiting#`, `job#`, `failed#` or `done#`, and the shard in two digits | the upload's id | an upload's row, in the one of them that it belongs to now |
//! | `key#{key}` | `{bucket}#lease` | the key's lease, its last token, and the number of its version noted last |
//! | `key#{key}` | `{bucket}#version#{version id}` | the id of this version's upload |
//! | `key#{key}` | `{bucket}#mint` | the id of the upload the key was minted for |
//! | `log#{id}` | the attempt's number in ten digits | the log of an attempt |
//! | `ended#`, and the shard | a number in two digits | part of the counts of rows in `done#` |
//! | `replay#{prefix}` | `replay` | how far the replay of a prefix is, until it has come to its end |
//! | `pause` | `pause` | since when processing is paused and why, while it is |
//! | `table` | `table` | how many shards there are |

mod below;
mod id;
mod item;
mod leases;
mod lists;
mod many;
mod noting;
mod pause;
mod random;
#[cfg(feature = "api")]
mod replays;
mod rows;
mod said;
mod schema;
mod seen;
mod table;
mod walk;
mod writing;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use two_buckets_objects::{ListedVersion, ObjectRef, Timestamp, VersionRef};
use two_buckets_pipeline::ledger::{
    Claim, ClaimKey, Counts, Error, KeptLog, Ledger, ListUploads, Noted, Release, Result, Said,
    SourceFacts, UploadPage,
};
use two_buckets_pipeline::{
    ArchiveRecord, Begin, BootId, End, Expectation, Lease, Report, Upload, UploadId,
};

pub use below::Below;
use item::{Reader, Writer, corrupt};
use leases::{mint_at, version_at};
pub use pause::Pause;
#[cfg(feature = "api")]
pub(crate) use replays::Taken;
use rows::Home;
pub use schema::{SCHEMA, TableSchema, create_table};
use table::{At, Table};

/// The ledger in a table of `DynamoDB` that is made as [`SCHEMA`] says.
///
/// Cheap to clone. The client's own retries are used as they are configured; adaptive ones are meant for throttling.
#[derive(Clone)]
pub struct DynamoLedger {
    table: Table,
    shards_if_new: u8,
    shards: Arc<OnceLock<u8>>,
    history: Duration,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    noted: Arc<id::Noted>,
    seen: Arc<seen::Seen>,
}

impl fmt::Debug for DynamoLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoLedger")
            .field("table", &self.table.name)
            .finish_non_exhaustive()
    }
}

impl DynamoLedger {
    /// How many shards a new table has unless it is told otherwise. Each takes some 120 uploads a second, see the
    /// decision; each is asked for every page of a list.
    pub const SHARDS_DEFAULT: u8 = 8;
    /// How long rows that have ended well are kept unless configured otherwise.
    pub const HISTORY_DEFAULT: Duration = Duration::from_hours(90 * 24);

    /// The ledger in this table. Nothing is asked of the service yet.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            table: Table {
                client,
                name: table.into(),
            },
            shards_if_new: Self::SHARDS_DEFAULT,
            shards: Arc::default(),
            history: Self::HISTORY_DEFAULT,
            now: Arc::new(wall_clock),
            noted: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// Has a table that nobody used yet have so many shards; one that was used keeps what it has. At least 1.
    #[must_use]
    pub fn with_shards_if_new(self, shards: u8) -> Self {
        Self {
            shards_if_new: shards.max(1),
            ..self
        }
    }

    /// Keeps rows of uploads that ended well so long after their end, and logs of attempts so long after they were
    /// written.
    #[must_use]
    pub fn with_history(self, history: Duration) -> Self {
        Self { history, ..self }
    }

    /// Whether this ledger could have made this id.
    pub fn is_id(id: &UploadId) -> bool {
        id::parts(id).is_some()
    }

    /// How many shards the table has: what its first user said.
    async fn shards(&self) -> Result<u8> {
        if let Some(shards) = self.shards.get() {
            return Ok(*shards);
        }
        // Several may ask at first, and all are told the same. Were they to wait for one of them, everybody would wait
        // for a future that nobody looks at for a while, such as that of a listener whose client reads slowly.
        let shards = self.read_shards().await?;
        Ok(*self.shards.get_or_init(|| shards))
    }

    async fn read_shards(&self) -> Result<u8> {
        let at = At {
            pk: "table".into(),
            sk: "table".into(),
        };
        if let Some(item) = self.table.get(&at).await? {
            return shards_in(&item);
        }
        let mut item = Writer::item(&at);
        item.number("shards", self.shards_if_new);
        let sent = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item.done()))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", SCHEMA.partition_key)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(self.shards_if_new),
            // Somebody else was first.
            Err(error) => {
                table::refused(error, |error| match error {
                    PutItemError::ConditionalCheckFailedException(_) => Some(table::Refused(None)),
                    _ => None,
                })?;
                let item = self.table.get(&at).await?;
                shards_in(&item.ok_or_else(|| corrupt("the table's own item"))?)
            }
        }
    }
}

fn shards_in(item: &item::Item) -> Result<u8> {
    let shards = Reader::item(item)?.number("shards")?;
    if shards == 0 {
        return Err(corrupt("shards"));
    }
    Ok(shards)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the calls that note versions bring no time; it orders what lists show and says when history is forgotten"
)]
fn wall_clock() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(0).after(since_1970.unwrap_or_default())
}

impl Ledger for DynamoLedger {
    async fn claim(&self, claim: &ClaimKey) -> Result<Claim> {
        self.claim_key(claim).await
    }

    async fn renew(&self, lease: &Lease, expires_at: Timestamp) -> Result<Lease> {
        self.renew_lease(lease, expires_at).await
    }

    async fn release(&self, lease: &Lease) -> Result<Release> {
        self.release_lease(lease).await
    }

    async fn live_lease(&self, key: &ObjectRef, now: Timestamp) -> Result<Option<Lease>> {
        let row = self.lease_row(key).await?;
        Ok(row
            .and_then(|row| row.held)
            .filter(|lease| lease.is_live(now, BootId::NONE)))
    }

    async fn note(&self, lease: &Lease, versions: &[ListedVersion]) -> Result<Noted> {
        self.note_versions(lease, versions).await
    }

    async fn begin_attempt(
        &self,
        lease: &Lease,
        id: &UploadId,
        facts: &SourceFacts,
        attempts_max: u32,
        now: Timestamp,
    ) -> Result<Begin> {
        let mut found = None;
        let upload = self
            .change(id, Some(lease), |upload| {
                let mut begin = upload.clone().begin_attempt(attempts_max, now);
                if let Begin::Begun(begun) = &mut begin {
                    begun.checksum.clone_from(&facts.checksum);
                    begun.media_type.clone_from(&facts.media_type);
                    begun.replay.clone_from(&facts.replay);
                    upload.clone_from(begun);
                }
                found = Some(begin);
                Ok(())
            })
            .await?;
        Ok(match found {
            // What is in the table counts, also where it was there before.
            Some(Begin::Exhausted(_)) => Begin::Exhausted(upload),
            Some(Begin::NotDue(_)) => Begin::NotDue(upload),
            Some(Begin::Begun(_)) | None => Begin::Begun(upload),
        })
    }

    async fn end(&self, lease: &Lease, id: &UploadId, end: &End, now: Timestamp) -> Result<Upload> {
        self.change(id, Some(lease), |upload| {
            upload.end(end.clone(), now);
            Ok(())
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
        self.change(id, Some(lease), |upload| {
            upload.record_archived(record.clone(), is_late, report.cloned(), now);
            Ok(())
        })
        .await
    }

    async fn keep_said(&self, id: &UploadId, attempt: u32, said: &Said) -> Result<()> {
        self.keep(id, attempt, said).await
    }

    async fn logs(&self, id: &UploadId) -> Result<Vec<KeptLog>> {
        self.logs_of(id).await
    }

    async fn close(&self, lease: &Lease, id: &UploadId) -> Result<()> {
        self.change(id, Some(lease), |upload| {
            upload.close();
            Ok(())
        })
        .await
        .map(drop)
    }

    async fn queue_job(&self, lease: &Lease, id: &UploadId, now: Timestamp) -> Result<Upload> {
        self.change(id, Some(lease), |upload| {
            upload.queue_job(now);
            Ok(())
        })
        .await
    }

    async fn jobs(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>> {
        self.some(&[Home::Job], after, limit, |_| true).await
    }

    async fn job_lease(&self, id: &UploadId) -> Result<Option<Lease>> {
        let Some(row) = self.kept(id).await? else {
            return Ok(None);
        };
        let lease = self.lease_row(&row.upload.key).await?;
        Ok(lease
            .and_then(|row| row.held)
            .filter(|lease| lease.job.as_ref() == Some(id)))
    }

    async fn cancel_job(&self, id: &UploadId, now: Timestamp) -> Result<Upload> {
        self.cancel(id, now).await
    }

    async fn mint(
        &self,
        key: &ObjectRef,
        expectation: &Expectation,
        now: Timestamp,
    ) -> Result<Upload> {
        self.mint_key(key, expectation, now).await
    }

    async fn minted_for(&self, key: &ObjectRef) -> Result<Option<Upload>> {
        self.found(&mint_at(key), key).await
    }

    async fn overdue(
        &self,
        now: Timestamp,
        after: Option<&UploadId>,
        limit: usize,
    ) -> Result<Vec<Upload>> {
        self.overdue_before(now, after, limit).await
    }

    async fn expire(&self, id: &UploadId, now: Timestamp) -> Result<Upload> {
        self.change(id, None, |upload| {
            upload.expire(now);
            Ok(())
        })
        .await
    }

    async fn get(&self, id: &UploadId) -> Result<Option<Upload>> {
        Ok(self.kept(id).await?.map(|row| row.upload))
    }

    async fn find(&self, version: &VersionRef) -> Result<Option<Upload>> {
        let key = version.object();
        self.found(&version_at(&key, &version.version_id), &key)
            .await
    }

    async fn find_each(&self, versions: &[VersionRef]) -> Result<Vec<Option<Upload>>> {
        self.find_all(versions).await
    }

    async fn minted_for_each(&self, keys: &[ObjectRef]) -> Result<Vec<Option<Upload>>> {
        self.minted_for_all(keys).await
    }

    async fn unfinished_of(&self, key: &ObjectRef) -> Result<Vec<Upload>> {
        self.unfinished_of_key(key).await
    }

    async fn unfinished(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>> {
        self.some(&Home::UNFINISHED, after, limit, |_| true).await
    }

    async fn oldest_unfinished(&self) -> Result<Option<Upload>> {
        self.oldest().await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Upload>> {
        let is_due = |row: &Upload| row.next_attempt_at.is_some_and(|at| at <= now);
        self.some(&[Home::Waiting, Home::Job], None, limit, is_due)
            .await
    }

    async fn list(&self, options: &ListUploads) -> Result<UploadPage> {
        self.list_uploads(options).await
    }

    async fn counts(&self) -> Result<Counts> {
        self.count_all().await
    }

    async fn retry(&self, id: &UploadId) -> Result<Upload> {
        self.change(id, None, |upload| upload.retry().map_err(Error::from))
            .await
    }

    async fn retry_each(&self, ids: &[UploadId]) -> Result<Vec<Upload>> {
        self.retry_all(ids).await
    }
}
