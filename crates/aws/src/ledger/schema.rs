//! The table as data, so that what makes it in a test, in a template and by hand can be held to the same.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification,
};
use two_buckets_pipeline::ledger::{Error, Result};

use super::table::unavailable;

/// What a ledger's table must be made with. It has no secondary index, and nothing of it depends on its billing mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableSchema {
    /// The partition key's name; a text.
    pub partition_key: &'static str,
    /// The sort key's name; a text.
    pub sort_key: &'static str,
    /// The attribute of its time to live, in seconds since 1970. Only what has ended bears it.
    pub time_to_live: &'static str,
}

/// The ledger's.
pub const SCHEMA: TableSchema = TableSchema {
    partition_key: "pk",
    sort_key: "sk",
    time_to_live: "forget_at",
};

/// How often a new table is looked at.
const LOOKS_MAX: u32 = 120;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Makes a ledger's table, billed by request, and waits until it is there. For tests and for trying things out: a
/// deployment's template makes its own by [`SCHEMA`].
///
/// Needs `dynamodb:CreateTable`, `dynamodb:DescribeTable` and `dynamodb:UpdateTimeToLive`. A table of this name that is
/// there already is an error. Dropping it midway may leave the table without its time to live.
pub async fn create_table(client: &Client, name: &str) -> Result<()> {
    let attribute = |attribute: &str| {
        AttributeDefinition::builder()
            .attribute_name(attribute)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(unavailable)
    };
    let key = |attribute: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(attribute)
            .key_type(kind)
            .build()
            .map_err(unavailable)
    };
    client
        .create_table()
        .table_name(name)
        .attribute_definitions(attribute(SCHEMA.partition_key)?)
        .attribute_definitions(attribute(SCHEMA.sort_key)?)
        .key_schema(key(SCHEMA.partition_key, KeyType::Hash)?)
        .key_schema(key(SCHEMA.sort_key, KeyType::Range)?)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .map_err(unavailable)?;
    wait_until_active(client, name).await?;
    let time_to_live = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(SCHEMA.time_to_live)
        .build()
        .map_err(unavailable)?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(time_to_live)
        .send()
        .await
        .map_err(unavailable)?;
    Ok(())
}

async fn wait_until_active(client: &Client, name: &str) -> Result<()> {
    for _ in 0..LOOKS_MAX {
        let described = client
            .describe_table()
            .table_name(name)
            .send()
            .await
            .map_err(unavailable)?;
        let status = described.table.and_then(|table| table.table_status);
        if status == Some(TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Error::Unavailable {
        reason: format!("table {name} was made and is not active after two minutes"),
        source: None,
    })
}
