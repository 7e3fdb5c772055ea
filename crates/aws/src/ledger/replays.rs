//! How far the replay of a prefix is. The item is there until that has come to its end, whatever becomes of whoever
//! began it, and says who goes on with it: of two that do, the one that came first stops at its next portion.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use two_buckets_pipeline::ledger::Result;
use two_buckets_uploads::tracking::{Before, Run};

use super::item::{Item, Reader, Writer};
use super::schema::SCHEMA;
use super::table::{At, Refused, refused};
use super::{DynamoLedger, random};

/// Who goes on with a replay.
const BY: &str = "by";

/// A replay that is this process's to go on with, until somebody else takes it.
#[derive(Debug)]
pub(crate) struct Taken(String);

fn place(prefix: &str) -> At {
    At {
        pk: format!("replay#{prefix}"),
        sk: "replay".into(),
    }
}

impl DynamoLedger {
    /// The replay of this prefix that has not come to its end, if there is one.
    pub(crate) async fn replay_run(&self, prefix: &str) -> Result<Option<Run>> {
        let item = self.table.get(&place(prefix)).await?;
        item.map(|item| understood(prefix, &item)).transpose()
    }

    /// Begins a replay or goes on with one; none unless it still is where the caller found it.
    pub(crate) async fn take_replay(&self, before: &Before, run: &Run) -> Result<Option<Taken>> {
        let name = random::name()?;
        let is_ours = match before {
            Before::Whatever => self.put_run(run, &name, None).await?,
            Before::Nothing => {
                let none = ("attribute_not_exists(#pk)", Vec::new());
                self.put_run(run, &name, Some(none)).await?
            }
            Before::At(found) => {
                let there = self.table.get(&place(&found.prefix)).await?;
                let there = there.filter(|item| {
                    understood(&found.prefix, item).is_ok_and(|there| there == *found)
                });
                let by = there.as_ref().and_then(|item| item.get(BY)).cloned();
                let Some(by) = by else {
                    return Ok(None);
                };
                let as_found = ("#by = :before", vec![(":before", by)]);
                self.put_run(run, &name, Some(as_found)).await?
            }
        };
        Ok(is_ours.then_some(Taken(name)))
    }

    /// Keeps how far it is; false if somebody else took it.
    pub(crate) async fn advance_replay(&self, taken: &Taken, run: &Run) -> Result<bool> {
        let ours = ("#by = :before", vec![(":before", text(&taken.0))]);
        self.put_run(run, &taken.0, Some(ours)).await
    }

    /// It has come to its end; false if somebody else took it.
    pub(crate) async fn end_replay(&self, taken: &Taken, run: &Run) -> Result<bool> {
        let deleted = self
            .table
            .client
            .delete_item()
            .table_name(&self.table.name)
            .set_key(Some(place(&run.prefix).key()))
            // Also where the answer was lost and the call made again.
            .condition_expression("#by = :ours OR attribute_not_exists(#pk)")
            .expression_attribute_names("#by", BY)
            .expression_attribute_names("#pk", SCHEMA.partition_key)
            .expression_attribute_values(":ours", text(&taken.0))
            .send()
            .await;
        let Err(error) = deleted else {
            return Ok(true);
        };
        refused(error, |error| match error {
            DeleteItemError::ConditionalCheckFailedException(_) => Some(Refused(None)),
            _ => None,
        })?;
        Ok(false)
    }

    /// Writes it; false if the condition does not hold.
    async fn put_run(
        &self,
        run: &Run,
        by: &str,
        condition: Option<(&str, Vec<(&str, AttributeValue)>)>,
    ) -> Result<bool> {
        let item = written(run, by);
        let mut put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item.clone()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some((condition, values)) = condition {
            if condition.contains("#by") {
                put = put.expression_attribute_names("#by", BY);
            }
            if condition.contains("#pk") {
                put = put.expression_attribute_names("#pk", SCHEMA.partition_key);
            }
            put = put.condition_expression(condition);
            for (name, value) in values {
                put = put.expression_attribute_values(name, value);
            }
        }
        let Err(error) = put.send().await else {
            return Ok(true);
        };
        let there = refused(error, |error| match error {
            PutItemError::ConditionalCheckFailedException(failed) => {
                Some(Refused(failed.item.clone()))
            }
            _ => None,
        })?;
        // This very item was written, and the answer was lost.
        Ok(there.as_ref() == Some(&item))
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn written(run: &Run, by: &str) -> Item {
    let mut row = Writer::item(&place(&run.prefix));
    row.moment_if("since", run.since);
    row.moment_if("began_at", Some(run.began_at));
    row.text_if("behind", run.after.as_deref());
    row.text(BY, by);
    row.done()
}

fn understood(prefix: &str, item: &Item) -> Result<Run> {
    let row = Reader::item(item)?;
    Ok(Run {
        prefix: prefix.to_owned(),
        since: row.moment_if("since")?,
        began_at: row.moment("began_at")?,
        after: row.text_if("behind")?.map(Into::into),
    })
}
