//! Calls on the table, and the one place where the service's failures become the ledger's.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Get, KeysAndAttributes, TransactGetItem, TransactWriteItem,
};
use two_buckets_pipeline::ledger::{Error, Result};

use super::item::Item;
use super::random;
use super::schema::SCHEMA;

/// The most items of one transaction (`DynamoDB` API, `TransactWriteItems` and `TransactGetItems`).
pub(super) const TRANSACTION_ITEMS_MAX: usize = 100;
/// The most keys of one `BatchGetItem` (`DynamoDB` API).
const BATCH_KEYS_MAX: usize = 100;
/// How often a call is made anew that met another's transaction, was throttled, or was overtaken.
pub(super) const TRIES_MAX: u32 = 10;
/// The longest wait before the first of them; it doubles.
const WAIT_FIRST: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Where an item is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct At {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl At {
    pub(super) fn key(&self) -> Item {
        HashMap::from([
            (
                SCHEMA.partition_key.to_owned(),
                AttributeValue::S(self.pk.clone()),
            ),
            (
                SCHEMA.sort_key.to_owned(),
                AttributeValue::S(self.sk.clone()),
            ),
        ])
    }
}

/// What a transaction came to.
pub(super) enum Sent {
    /// All of it was done.
    Done,
    /// Nothing was done. Of each of its items, in their order, whether its condition does not hold.
    Refused(Vec<bool>),
}

/// That the condition of a single write does not hold; the item as it is, where it was asked for.
pub(super) struct Refused(pub(super) Option<Item>);

/// Part of a partition, in the order of the sort key.
pub(super) struct Range<'a> {
    pub(super) pk: &'a str,
    /// Only sort keys that begin so.
    pub(super) begins_with: Option<&'a str>,
    /// Only those behind this one, in the direction of the walk.
    pub(super) behind: Option<&'a str>,
    pub(super) descending: bool,
    /// The most items of a page.
    pub(super) limit: Option<usize>,
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) name: String,
}

impl Table {
    /// An item as the last change left it.
    pub(super) async fn get(&self, at: &At) -> Result<Option<Item>> {
        let got = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(at.key()))
            .consistent_read(true)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(got.item)
    }

    /// Those of these items that are there, each as the last change left it, in any order. Not one moment's view: of an
    /// item that is moved meanwhile both or neither may be seen.
    pub(super) async fn get_each(&self, wanted: &[At]) -> Result<Vec<Item>> {
        let mut found = Vec::new();
        for chunk in wanted.chunks(BATCH_KEYS_MAX) {
            let mut keys: Vec<Item> = chunk.iter().map(At::key).collect();
            let mut tries = 0;
            while !keys.is_empty() {
                if tries > 0 {
                    self.wait(tries, "items were asked for again and again and not given")
                        .await?;
                }
                tries += 1;
                let request = KeysAndAttributes::builder()
                    .set_keys(Some(keys))
                    .consistent_read(true)
                    .build()
                    .map_err(unavailable)?;
                let mut got = self
                    .client
                    .batch_get_item()
                    .request_items(&self.name, request)
                    .send()
                    .await
                    .map_err(unavailable)?;
                let items = got.responses.as_mut().and_then(|by| by.remove(&self.name));
                found.extend(items.unwrap_or_default());
                keys = got
                    .unprocessed_keys
                    .and_then(|mut by| by.remove(&self.name))
                    .map(|rest| rest.keys)
                    .unwrap_or_default();
            }
        }
        Ok(found)
    }

    /// Those of these items that are there, all of one moment. At most [`TRANSACTION_ITEMS_MAX`].
    pub(super) async fn get_at_once(&self, wanted: &[At]) -> Result<Vec<Item>> {
        for tries in 1.. {
            let mut request = self.client.transact_get_items();
            for at in wanted {
                let get = Get::builder()
                    .table_name(&self.name)
                    .set_key(Some(at.key()))
                    .build()
                    .map_err(unavailable)?;
                request = request.transact_items(TransactGetItem::builder().get(get).build());
            }
            match request.send().await {
                Ok(got) => {
                    let items = got.responses.unwrap_or_default();
                    return Ok(items.into_iter().filter_map(|one| one.item).collect());
                }
                // It met a change of one of them.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(TransactGetItemsError::is_transaction_canceled_exception) =>
                {
                    self.wait(tries, "reads met others' changes again and again")
                        .await?;
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
        unreachable!("the wait ends it")
    }

    /// A page of a range, and whether there is more behind it.
    pub(super) async fn page(&self, range: &Range<'_>) -> Result<(Vec<Item>, bool)> {
        let mut request = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .scan_index_forward(!range.descending)
            .expression_attribute_names("#pk", SCHEMA.partition_key)
            .expression_attribute_values(":pk", AttributeValue::S(range.pk.to_owned()))
            .set_limit(
                range
                    .limit
                    .map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)),
            );
        request = match range.begins_with {
            Some(text) => request
                .key_condition_expression("#pk = :pk AND begins_with(#sk, :text)")
                .expression_attribute_names("#sk", SCHEMA.sort_key)
                .expression_attribute_values(":text", AttributeValue::S(text.to_owned())),
            None => request.key_condition_expression("#pk = :pk"),
        };
        if let Some(behind) = range.behind {
            let start = At {
                pk: range.pk.to_owned(),
                sk: behind.to_owned(),
            };
            request = request.set_exclusive_start_key(Some(start.key()));
        }
        let got = request.send().await.map_err(unavailable)?;
        let has_more = got.last_evaluated_key.is_some_and(|key| !key.is_empty());
        Ok((got.items.unwrap_or_default(), has_more))
    }

    /// A range to its end.
    pub(super) async fn all(&self, pk: &str, begins_with: Option<&str>) -> Result<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        loop {
            let behind = items.last().map(super::item::sort_key_of).transpose()?;
            let range = Range {
                pk,
                begins_with,
                behind: behind.as_deref(),
                descending: false,
                limit: None,
            };
            let (page, has_more) = self.page(&range).await?;
            items.extend(page);
            if !has_more {
                return Ok(items);
            }
        }
    }

    /// Makes changes in one transaction, or none. It is sent again, under the same name, while the service may not have
    /// heard it; under a new one when it met another's transaction, or throughput was lacking.
    pub(super) async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Sent> {
        debug_assert!(items.len() <= TRANSACTION_ITEMS_MAX);
        let mut name = random::name()?;
        for tries in 1.. {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(items.clone()))
                .client_request_token(&name)
                .send()
                .await;
            let Err(error) = sent else {
                return Ok(Sent::Done);
            };
            match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons();
                    if reasons.iter().any(is_condition) {
                        let refused = reasons.iter().map(is_condition).collect();
                        return Ok(Sent::Refused(refused));
                    }
                    if !reasons.iter().any(is_passing) {
                        return Err(unavailable(error));
                    }
                    name = random::name()?;
                }
                _ => return Err(unavailable(error)),
            }
            self.wait(
                tries,
                "changes met others' again and again, or throughput is lacking",
            )
            .await?;
        }
        unreachable!("the wait ends it")
    }

    /// Waits before the next try, by full jitter; an error with this reason after the last.
    pub(super) async fn wait(&self, tries: u32, reason: &str) -> Result<()> {
        if tries >= TRIES_MAX {
            return Err(Error::Unavailable {
                reason: format!("table {}: {reason}", self.name),
                source: None,
            });
        }
        let most = WAIT_FIRST
            .saturating_mul(1 << (tries - 1).min(10))
            .min(WAIT_MAX);
        let share = random::number()? % 1_000;
        tokio::time::sleep(most * u32::try_from(share).unwrap_or(0) / 1_000).await;
        Ok(())
    }
}

fn is_condition(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

/// Whether the same may be done a moment later (`DynamoDB` API, `TransactWriteItems`, "Errors").
fn is_passing(reason: &CancellationReason) -> bool {
    matches!(
        reason.code(),
        Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
    )
}

/// The service's failures, after the SDK's own retries: in all of them the caller stops and looks again later.
pub(super) fn unavailable(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::Unavailable {
        reason: in_words(&error),
        source: Some(Box::new(error)),
    }
}

/// An error and its causes. Their own words only: what the SDK shows for debugging has whole rows in it.
fn in_words(error: &(dyn StdError + 'static)) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    words.join(": ")
}

/// Whether the condition of a single write does not hold, and the item as it is.
pub(super) fn refused<E>(
    error: SdkError<E>,
    condition: impl FnOnce(&E) -> Option<Refused>,
) -> Result<Option<Item>>
where
    E: StdError + Send + Sync + 'static,
{
    match error.as_service_error().and_then(condition) {
        Some(Refused(item)) => Ok(item),
        None => Err(unavailable(error)),
    }
}
