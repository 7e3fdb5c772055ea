//! What there is below a prefix, for callers who see no more than that.
//!
//! Rows lie by state and age, not by key, and a prefix may be any: so rows are read and those of other keys are left
//! out by the service, which charges for reading them. What is unfinished or has failed is read to its end, as it is when
//! all of it is counted; of what has ended, which grows for ever, a bounded part.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt as _, TryStreamExt as _};
use tracing::debug;
use two_buckets_objects::{Key, Timestamp};
use two_buckets_pipeline::State;
use two_buckets_pipeline::ledger::{Counts, Result, is_below};

use super::DynamoLedger;
use super::item::{Item, Reader};
use super::rows::Home;
use super::schema::SCHEMA;
use super::table::unavailable;

/// How many rows of what has ended are looked at, in all shards: some 20 MB, 5,000 read units.
const ENDED_MAX: i64 = 20_000;
/// How many partitions are read at the same time.
const AT_ONCE: usize = 16;

/// What there is below a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Below {
    /// How many rows in each state.
    pub counts: Counts,
    /// Whether there are more rows of what has ended than were looked at.
    pub are_least: bool,
    /// Of the unfinished ones the key and the moment of the one that was received first.
    pub oldest: Option<(Key, Timestamp)>,
}

impl Below {
    fn add(&mut self, other: Self) {
        for state in State::ALL {
            let mut counts = other.counts;
            *self.counts.of(state) += *counts.of(state);
        }
        self.are_least |= other.are_least;
        self.see(other.oldest);
    }

    fn see(&mut self, seen: Option<(Key, Timestamp)>) {
        let both = self.oldest.take().into_iter().chain(seen);
        self.oldest = both.min_by_key(|(_, at)| *at);
    }
}

impl DynamoLedger {
    /// What there is below a prefix. Not of one moment: a row that moves meanwhile may be counted twice or not.
    pub async fn below(&self, prefix: &str) -> Result<Below> {
        let shards = self.shards().await?;
        let parts: Vec<(Home, u8)> = Home::ALL
            .into_iter()
            .flat_map(|home| (0..shards).map(move |shard| (home, shard)))
            .collect();
        let ended_max = ENDED_MAX / i64::from(shards);
        let all = futures::stream::iter(parts)
            .map(|(home, shard)| self.below_in(home, shard, prefix, ended_max))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let mut below = Below::default();
        for part in all {
            below.add(part);
        }
        Ok(below)
    }

    async fn below_in(&self, home: Home, shard: u8, prefix: &str, ended_max: i64) -> Result<Below> {
        let mut below = Below::default();
        let mut left = (home == Home::Done).then_some(ended_max);
        let mut start = None;
        loop {
            let page = self
                .table
                .client
                .query()
                .table_name(&self.table.name)
                .consistent_read(true)
                // Of what has ended the latest.
                .scan_index_forward(false)
                .key_condition_expression("#pk = :pk")
                .filter_expression("begins_with(#key, :prefix)")
                .projection_expression("#key, #state, #received_at, #format")
                .expression_attribute_names("#pk", SCHEMA.partition_key)
                .expression_attribute_names("#key", "key")
                .expression_attribute_names("#state", "state")
                .expression_attribute_names("#received_at", "received_at")
                .expression_attribute_names("#format", "format")
                .expression_attribute_values(":pk", AttributeValue::S(home.partition(shard)))
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
                .set_limit(left.and_then(|left| i32::try_from(left).ok()))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(unavailable)?;
            for item in page.items() {
                if let Err(error) = below.see_row(home, prefix, item) {
                    debug!(%error, "an upload below a prefix is not counted");
                    below.are_least = true;
                }
            }
            let next: Option<Item> = page.last_evaluated_key.filter(|key| !key.is_empty());
            let Some(next) = next else {
                return Ok(below);
            };
            if let Some(left) = &mut left {
                *left -= i64::from(page.scanned_count);
                if *left <= 0 {
                    below.are_least = true;
                    return Ok(below);
                }
            }
            start = Some(next);
        }
    }
}

impl Below {
    fn see_row(&mut self, home: Home, prefix: &str, item: &Item) -> Result<()> {
        let row = Reader::item(item)?;
        let key: Key = row.parsed("key")?;
        // The prefix itself is not below it.
        if !is_below(key.as_str(), prefix) {
            return Ok(());
        }
        *self.counts.of(row.parsed("state")?) += 1;
        if Home::UNFINISHED.contains(&home) {
            self.see(Some((key, row.moment("received_at")?)));
        }
        Ok(())
    }
}
