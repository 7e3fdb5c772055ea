//! What attempts say: their logs, in items of their own because a row and all its logs are larger than an item may be.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use two_buckets_pipeline::ledger::{Error, KeptLog, Result, Said};
use two_buckets_pipeline::{AttemptLog, LogExcerpt, UploadId};

use super::DynamoLedger;
use super::item::{Item, Reader, Writer, corrupt, place_of};
use super::rows::seconds;
use super::schema::SCHEMA;
use super::table::{At, unavailable};

/// The most bytes of an item (`DynamoDB` Developer Guide, "Constraints").
const ITEM_BYTES_MAX: usize = 400 << 10;
const _: () =
    assert!(AttemptLog::FIRST_BYTES_MAX + AttemptLog::LAST_BYTES_MAX + (8 << 10) < ITEM_BYTES_MAX);

/// The place of the log of an attempt.
pub(super) fn log_at(id: &UploadId, attempt: u32) -> At {
    At {
        pk: log_partition(id),
        // As many digits as the largest number has, so that they sort by number.
        sk: format!("{attempt:010}"),
    }
}

fn log_partition(id: &UploadId) -> String {
    format!("log#{id}")
}

impl DynamoLedger {
    pub(super) async fn keep(&self, id: &UploadId, attempt: u32, said: &Said) -> Result<()> {
        let knows = |row: &two_buckets_pipeline::Upload| {
            row.log.iter().any(|known| known.number == attempt)
        };
        // An attempt that is known stays known until twenty more have begun.
        if !self.seen.look(id, knows) {
            let row = self.kept(id).await?;
            if !row.is_some_and(|row| knows(&row.upload)) {
                return Err(Error::NotFound(format!("{id}, attempt {attempt},")));
            }
        }
        if let Some(log) = &said.log {
            let mut item = Writer::item(&log_at(id, attempt));
            item.value("first", bytes_to(&log.first));
            item.number("dropped_bytes", log.dropped_bytes);
            item.value("last", bytes_to(&log.last));
            // When the row will have ended is not known.
            item.number(
                SCHEMA.time_to_live,
                seconds((self.now)().after(self.history)),
            );
            self.table
                .client
                .put_item()
                .table_name(&self.table.name)
                .set_item(Some(item.done()))
                .send()
                .await
                .map_err(unavailable)?;
        }
        if let Some(progress) = &said.progress {
            self.change(id, None, |upload| {
                upload.say_progress(attempt, progress.clone());
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn logs_of(&self, id: &UploadId) -> Result<Vec<KeptLog>> {
        let Some(row) = self.kept(id).await? else {
            return Ok(Vec::new());
        };
        let items = self.table.all(&log_partition(id), None).await?;
        let logs = items.iter().map(log_from).collect::<Result<Vec<_>>>()?;
        // One may have been written while its attempt was pushed out.
        let known = |log: &KeptLog| row.upload.log.iter().any(|one| one.number == log.attempt);
        Ok(logs.into_iter().filter(known).collect())
    }
}

fn log_from(item: &Item) -> Result<KeptLog> {
    let reader = Reader::item(item)?;
    let place = place_of(item)?;
    Ok(KeptLog {
        attempt: place.sk.parse().map_err(|_| corrupt("an attempt"))?,
        log: LogExcerpt {
            first: bytes_from(&reader, "first")?,
            dropped_bytes: reader.number("dropped_bytes")?,
            last: bytes_from(&reader, "last")?,
        },
    })
}

/// As text, for people, where it is text.
fn bytes_to(bytes: &Bytes) -> AttributeValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => AttributeValue::S(text.to_owned()),
        Err(_) => AttributeValue::B(Blob::new(bytes.to_vec())),
    }
}

fn bytes_from(item: &Reader<'_>, name: &str) -> Result<Bytes> {
    match item.value(name) {
        Some(AttributeValue::S(text)) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(AttributeValue::B(blob)) => Ok(Bytes::copy_from_slice(blob.as_ref())),
        _ => Err(corrupt(name)),
    }
}
