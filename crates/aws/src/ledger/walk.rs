//! Walks over rows in the order of their ids, across homes and shards, reading no more than is asked for.

use std::collections::VecDeque;

use futures::{StreamExt as _, TryStreamExt as _};
use tracing::error;
use two_buckets_pipeline::UploadId;
use two_buckets_pipeline::ledger::{Error, Result};

use super::DynamoLedger;
use super::item::sort_key_of;
use super::rows::{Home, Kept, upload_from};
use super::table::{Range, Table};

/// How many partitions are asked at the same time.
const AT_ONCE: usize = 16;
/// How many rows of a partition are read at a time.
const ROWS_MIN: usize = 4;
const ROWS_MAX: usize = 100;
/// How many rows that cannot be read a walk passes over. More of them are no damage but another program's, and the walk
/// fails.
const UNREADABLE_MAX: usize = 100;

/// A walk.
pub(super) struct Walk<'a> {
    table: &'a Table,
    parts: Vec<Part>,
    descending: bool,
    rows_each: usize,
    last: Option<UploadId>,
    unreadable: usize,
}

/// A partition that is walked.
struct Part {
    pk: String,
    read: VecDeque<Kept>,
    behind: Option<String>,
    is_done: bool,
}

impl DynamoLedger {
    /// Over the rows of these homes, behind an id in the direction of the walk, of which some `wanted` are expected to
    /// be looked at.
    pub(super) async fn walk(
        &self,
        homes: &[Home],
        behind: Option<&UploadId>,
        descending: bool,
        wanted: usize,
    ) -> Result<Walk<'_>> {
        let shards = self.shards().await?;
        let parts: Vec<Part> = homes
            .iter()
            .flat_map(|home| (0..shards).map(|shard| home.partition(shard)))
            .map(|pk| Part {
                pk,
                read: VecDeque::new(),
                behind: behind.map(|id| id.as_str().to_owned()),
                is_done: false,
            })
            .collect();
        // They are spread over the shards, but not over the homes.
        let rows_each = (2 * wanted / usize::from(shards)).clamp(ROWS_MIN, ROWS_MAX);
        Ok(Walk {
            table: &self.table,
            parts,
            descending,
            rows_each,
            last: None,
            unreadable: 0,
        })
    }
}

impl Walk<'_> {
    /// The next row; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Kept>> {
        let descending = self.descending;
        loop {
            self.read().await?;
            let mut next: Option<&mut Part> = None;
            for part in &mut self.parts {
                let is_before = match (part.head(), next.as_ref().and_then(|next| next.head())) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(head), Some(best)) if descending => head > best,
                    (Some(head), Some(best)) => head < best,
                };
                if is_before {
                    next = Some(part);
                }
            }
            let Some(row) = next.and_then(|part| part.read.pop_front()) else {
                return Ok(None);
            };
            // One that moved meanwhile may be seen in both places.
            if self.last.as_ref() != Some(&row.upload.id) {
                self.last = Some(row.upload.id.clone());
                return Ok(Some(row));
            }
        }
    }

    /// Has something read of each partition that has something.
    async fn read(&mut self) -> Result<()> {
        let (table, descending, limit) = (self.table, self.descending, self.rows_each);
        let mut pages = Vec::new();
        for part in &mut self.parts {
            if part.read.is_empty() && !part.is_done {
                pages.push(part.read(table, descending, limit));
            }
        }
        let passed_over: Vec<usize> = futures::stream::iter(pages)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        self.unreadable += passed_over.into_iter().sum::<usize>();
        if self.unreadable > UNREADABLE_MAX {
            return Err(too_many());
        }
        Ok(())
    }
}

fn too_many() -> Error {
    Error::Unreadable {
        reason: format!(
            "more than {UNREADABLE_MAX} uploads are not as this program writes them: if a newer one did, use that"
        ),
    }
}

impl Part {
    /// The id of the next row that was read.
    fn head(&self) -> Option<&UploadId> {
        self.read.front().map(|row| &row.upload.id)
    }

    /// Reads on until there is something; gives how many rows it passed over.
    async fn read(&mut self, table: &Table, descending: bool, limit: usize) -> Result<usize> {
        let mut unreadable = 0;
        while self.read.is_empty() && !self.is_done {
            let range = Range {
                pk: &self.pk,
                begins_with: None,
                behind: self.behind.as_deref(),
                descending,
                limit: Some(limit),
            };
            let (items, has_more) = table.page(&range).await?;
            for item in &items {
                match upload_from(item) {
                    Ok(row) => self.read.push_back(row),
                    // All others would wait for it. A sweep finds its version in staging, if it has one there.
                    Err(error) => {
                        unreadable += 1;
                        error!(partition = %self.pk, id = ?sort_key_of(item).ok(), %error,
                            "a walk passes over an upload");
                    }
                }
            }
            if unreadable > UNREADABLE_MAX {
                return Err(too_many());
            }
            if let Some(last) = items.last() {
                self.behind = Some(sort_key_of(last)?);
            }
            // A page may be empty and have a next where it filters; this one filters nothing.
            self.is_done = !has_more;
        }
        Ok(unreadable)
    }
}
