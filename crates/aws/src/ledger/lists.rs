//! What is listed, counted and found. Each row is read as the last change left it; a list of rows is not one moment's
//! view: one that moves from one part of the table to another meanwhile may be passed over by a walk, and is in the next.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt as _, TryStreamExt as _};
use two_buckets_objects::{ObjectRef, Timestamp};
use two_buckets_pipeline::ledger::{Counts, ListUploads, PAGE_MAX, Result, UploadPage};
use two_buckets_pipeline::{State, Upload, UploadId};

use super::item::{Item, Reader, corrupt};
use super::leases::{key_partition, versions_of};
use super::rows::{Home, Kept};
use super::schema::SCHEMA;
use super::table::unavailable;
use super::writing::{UPLOAD, counters, found_in};
use super::{DynamoLedger, id};

/// How many rows one search looks at before it gives an unfinished page back.
const SCAN_MAX: usize = 5_000;
/// How many rows are expected where few are.
const FEW: usize = 16;
/// How many partitions are counted at the same time.
const AT_ONCE: usize = 16;

impl DynamoLedger {
    pub(super) async fn list_uploads(&self, options: &ListUploads) -> Result<UploadPage> {
        let limit = match options.limit {
            0 => PAGE_MAX,
            limit => limit.min(PAGE_MAX),
        };
        if options
            .after
            .as_ref()
            .is_some_and(|after| id::parts(after).is_none())
        {
            return Ok(UploadPage::default());
        }
        match &options.key {
            Some(key) => self.list_of_key(key, options, limit).await,
            None => self.list_of_all(options, limit).await,
        }
    }

    async fn list_of_all(&self, options: &ListUploads, limit: usize) -> Result<UploadPage> {
        let homes = options.state.map_or(&Home::ALL[..], Home::of_state);
        let mut walk = self
            .walk(homes, options.after.as_ref(), true, limit)
            .await?;
        let mut page = UploadPage::default();
        let mut looked_at = 0;
        while let Some(Kept { upload, .. }) = walk.next().await? {
            let id = upload.id.clone();
            looked_at += 1;
            if options.means(&upload) {
                page.uploads.push(upload);
            }
            if page.uploads.len() == limit || looked_at == SCAN_MAX {
                page.next = Some(id);
                break;
            }
        }
        Ok(page)
    }

    async fn list_of_key(
        &self,
        key: &str,
        options: &ListUploads,
        limit: usize,
    ) -> Result<UploadPage> {
        if key.is_empty() || key.len() > two_buckets_objects::Key::LENGTH_BYTES_MAX {
            return Ok(UploadPage::default());
        }
        let items = self.table.all(&key_partition(key), None).await?;
        let mut ids = ids_in(&items)?;
        ids.retain(|id| options.after.as_ref().is_none_or(|after| id < after));
        ids.reverse();
        let mut page = UploadPage::default();
        for chunk in ids.chunks(limit.clamp(FEW, SCAN_MAX)) {
            let mut rows = self.kept_each(chunk).await?;
            rows.sort_by(|one, other| other.upload.id.cmp(&one.upload.id));
            for Kept { upload, .. } in rows {
                let id = upload.id.clone();
                if options.means(&upload) {
                    page.uploads.push(upload);
                }
                if page.uploads.len() == limit {
                    page.next = Some(id);
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    pub(super) async fn unfinished_of_key(&self, key: &ObjectRef) -> Result<Vec<Upload>> {
        let versions = versions_of(key.bucket.as_str());
        let items = self
            .table
            .all(&key_partition(key.key.as_str()), Some(&versions))
            .await?;
        // What finds a row that has ended will be forgotten with it, and says so.
        let open: Vec<Item> = items
            .into_iter()
            .filter(|item| !item.contains_key(SCHEMA.time_to_live))
            .collect();
        let mut uploads = Vec::new();
        for chunk in ids_in(&open)?.chunks(PAGE_MAX) {
            let rows = self.kept_each(chunk).await?.into_iter();
            uploads.extend(rows.map(|row| row.upload).filter(Upload::is_unfinished));
        }
        uploads.sort_by_key(|upload| id::parts(&upload.id).map(|parts| parts.noted));
        uploads.truncate(PAGE_MAX);
        Ok(uploads)
    }

    /// Rows of these homes that are wanted, in the order of their ids, at most `limit`.
    pub(super) async fn some(
        &self,
        homes: &[Home],
        after: Option<&UploadId>,
        limit: usize,
        is_wanted: impl Fn(&Upload) -> bool,
    ) -> Result<Vec<Upload>> {
        let limit = limit.min(PAGE_MAX);
        let mut uploads = Vec::new();
        if limit == 0 {
            return Ok(uploads);
        }
        let mut walk = self.walk(homes, after, false, limit).await?;
        while let Some(Kept { upload, .. }) = walk.next().await? {
            if is_wanted(&upload) {
                uploads.push(upload);
            }
            if uploads.len() == limit {
                break;
            }
        }
        Ok(uploads)
    }

    pub(super) async fn oldest(&self) -> Result<Option<Upload>> {
        let mut walk = self.walk(&Home::UNFINISHED, None, false, FEW).await?;
        let mut oldest: Option<Upload> = None;
        while let Some(Kept { upload, .. }) = walk.next().await? {
            // The id says when an upload was received, or when its key was minted, which is no later.
            let moment = id::parts(&upload.id).map(|parts| parts.moment);
            if let Some(oldest) = &oldest
                && moment.is_some_and(|moment| moment >= oldest.received_at)
            {
                break;
            }
            if oldest
                .as_ref()
                .is_none_or(|oldest| upload.received_at < oldest.received_at)
            {
                oldest = Some(upload);
            }
        }
        Ok(oldest)
    }

    pub(super) async fn count_all(&self) -> Result<Counts> {
        let shards = self.shards().await?;
        let living = [
            Home::Expected,
            Home::Open,
            Home::Waiting,
            Home::Job,
            Home::Failed,
        ];
        let parts: Vec<(String, Option<State>)> = living
            .into_iter()
            .flat_map(|home| {
                let only = match home {
                    Home::Expected | Home::Waiting => Some(State::Pending),
                    Home::Failed => Some(State::Failed),
                    Home::Open | Home::Job | Home::Done => None,
                };
                (0..shards).map(move |shard| (home.partition(shard), only))
            })
            .collect();
        let counted = futures::stream::iter(parts)
            .map(|(pk, only)| self.count_rows(pk, only))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>();
        let ended = futures::stream::iter(0..shards)
            .map(|shard| self.count_ended(shard))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>();
        let mut all = Counts::default();
        for (state, count) in counted.await?.into_iter().chain(ended.await?).flatten() {
            *all.of(state) += count;
        }
        Ok(all)
    }

    /// How many rows of a partition are in each state; all are in one, if that is given.
    async fn count_rows(&self, pk: String, only: Option<State>) -> Result<Vec<(State, u64)>> {
        let mut counts: Vec<(State, u64)> = Vec::new();
        let mut start = None;
        loop {
            let request = self
                .table
                .client
                .query()
                .table_name(&self.table.name)
                .consistent_read(true)
                .key_condition_expression("#pk = :pk")
                .expression_attribute_names("#pk", SCHEMA.partition_key)
                .expression_attribute_values(":pk", AttributeValue::S(pk.clone()))
                .set_exclusive_start_key(start.take());
            let request = match only {
                Some(_) => request.select(aws_sdk_dynamodb::types::Select::Count),
                None => request
                    .projection_expression("#state")
                    .expression_attribute_names("#state", "state"),
            };
            let page = request.send().await.map_err(unavailable)?;
            match only {
                Some(state) => counts.push((state, u64::try_from(page.count).unwrap_or(0))),
                None => {
                    for item in page.items.unwrap_or_default() {
                        let state = item.get("state").and_then(|state| state.as_s().ok());
                        let state = state.and_then(|state| state.parse().ok());
                        counts.push((state.ok_or_else(|| corrupt("state"))?, 1));
                    }
                }
            }
            match page.last_evaluated_key {
                Some(key) if !key.is_empty() => start = Some(key),
                _ => return Ok(counts),
            }
        }
    }

    async fn count_ended(&self, shard: u8) -> Result<Vec<(State, u64)>> {
        let mut counts = Vec::new();
        for item in self.table.all(&counters(shard), None).await? {
            let counter = Reader::item(&item)?;
            for state in [State::Archived, State::Late, State::Duplicate] {
                let count = counter.number_if(state.name())?.unwrap_or(0);
                counts.push((state, count));
            }
        }
        Ok(counts)
    }

    pub(super) async fn overdue_before(
        &self,
        now: Timestamp,
        after: Option<&UploadId>,
        limit: usize,
    ) -> Result<Vec<Upload>> {
        let is_overdue = |row: &Upload| {
            row.state == State::Pending && row.expected_until().is_some_and(|until| until < now)
        };
        self.some(&[Home::Expected], after, limit, is_overdue).await
    }
}

/// The ids in those of a key's items that find uploads, each once, ascending.
fn ids_in(items: &[Item]) -> Result<Vec<UploadId>> {
    let finders = items.iter().filter(|item| item.contains_key(UPLOAD));
    let mut ids = finders
        .map(|item| found_in(&Reader::item(item)?))
        .collect::<Result<Vec<_>>>()?;
    ids.sort();
    // A minted upload that has arrived is found by its version and by its key.
    ids.dedup();
    Ok(ids)
}
