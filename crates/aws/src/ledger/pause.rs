//! The item that says that processing is paused. It is there while it is.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::ledger::{Error, Result};

use super::DynamoLedger;
use super::item::{Item, Reader, Writer, corrupt};
use super::table::{At, unavailable};

/// That nothing new is processed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Why, as whoever paused it said.
    pub reason: Option<String>,
}

#[cfg(feature = "api")]
impl From<Pause> for two_buckets_uploads::Paused {
    fn from(Pause { since, reason }: Pause) -> Self {
        Self { since, reason }
    }
}

fn place() -> At {
    At {
        pk: "pause".into(),
        sk: "pause".into(),
    }
}

impl DynamoLedger {
    /// Since when processing is paused and why, if it is, as the last change left it. One read unit: workers ask it each
    /// second or two, and not for each file.
    pub async fn paused(&self) -> Result<Option<Pause>> {
        let item = self.table.get(&place()).await?;
        item.as_ref().map(understood).transpose()
    }

    /// Keeps that processing is paused. Where it was, it is since then, and for the new reason if one is given.
    /// Doing it twice is doing it once.
    #[cfg(feature = "api")]
    pub(crate) async fn keep_paused(&self, reason: Option<&str>) -> Result<Pause> {
        let now = (self.now)();
        // The writer's words for a moment and a format, which are no attributes of an update by themselves.
        let mut written = Writer::item(&place());
        written.moment_if("since", Some(now));
        let mut written = written.done();
        let mut value = |name: &str| {
            written
                .remove(name)
                .ok_or_else(|| corrupt("what is to be written of a pause"))
        };
        let (since, format) = (value("since")?, value("format")?);
        let sets_reason = if reason.is_some() {
            ", #reason = :reason"
        } else {
            ""
        };
        let mut update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(place().key()))
            .update_expression(format!(
                "SET #since = if_not_exists(#since, :since), #format = :format{sets_reason}"
            ))
            .expression_attribute_names("#since", "since")
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":since", since)
            .expression_attribute_values(":format", format)
            .return_values(ReturnValue::AllNew);
        if let Some(reason) = reason {
            update = update
                .expression_attribute_names("#reason", "reason")
                .expression_attribute_values(":reason", AttributeValue::S(reason.to_owned()));
        }
        let updated = update.send().await.map_err(unavailable)?;
        let item = updated.attributes.ok_or_else(|| Error::Unavailable {
            reason: format!("table {}: the pause was not given back", self.table.name),
            source: None,
        })?;
        understood(&item)
    }

    /// Keeps that processing goes on; gives what the item said. Where an answer was lost and the call made again it is
    /// none.
    #[cfg(feature = "api")]
    pub(crate) async fn keep_resumed(&self) -> Result<Option<Pause>> {
        let deleted = self
            .table
            .client
            .delete_item()
            .table_name(&self.table.name)
            .set_key(Some(place().key()))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(unavailable)?;
        let before = deleted.attributes.filter(|item| !item.is_empty());
        before.as_ref().map(understood).transpose()
    }
}

fn understood(item: &Item) -> Result<Pause> {
    let row = Reader::item(item)?;
    Ok(Pause {
        since: row.moment("since")?,
        reason: row.text_if("reason")?.map(Into::into),
    })
}
