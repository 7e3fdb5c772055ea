//! Changes of rows, each one transaction that holds only while the row is as it was read and the lease is the caller's.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use two_buckets_objects::{ObjectRef, Timestamp};
use two_buckets_pipeline::ledger::{Error, Result};
use two_buckets_pipeline::{Lease, State, Upload, UploadId};

use super::DynamoLedger;
use super::id;
use super::item::{Reader, Writer, corrupt};
use super::leases::{fence, mint_at, version_at};
use super::random;
use super::rows::{CHANGE, Home, Kept, forget_at, seconds, upload_from, upload_to};
use super::said::log_at;
use super::schema::SCHEMA;
use super::table::{At, Sent, TRIES_MAX, unavailable};

/// How many counters of ended uploads a shard has. Two transactions that add to one at the same moment hinder each other.
pub(super) const COUNTERS: u64 = 32;

/// What found a row by a key or a version: an item that has its id.
pub(super) const UPLOAD: &str = "upload";

impl DynamoLedger {
    /// A row as the last change left it.
    pub(super) async fn kept(&self, id: &UploadId) -> Result<Option<Kept>> {
        let Some(parts) = id::parts(id) else {
            return Ok(None);
        };
        let places = Home::ALL.map(|home| home.at(id, parts));
        let mut items = self.table.get_each(&places).await?;
        // None and two are seen of a row that moves meanwhile, and none of one that is not there.
        if items.len() != 1 {
            items = self.table.get_at_once(&places).await?;
        }
        items.first().map(upload_from).transpose()
    }

    /// The rows of these ids that are there, in any order.
    pub(super) async fn kept_each(&self, ids: &[UploadId]) -> Result<Vec<Kept>> {
        let places: Vec<At> = ids
            .iter()
            .filter_map(|id| id::parts(id).map(|parts| (id, parts)))
            .flat_map(|(id, parts)| Home::ALL.map(|home| home.at(id, parts)))
            .collect();
        let items = self.table.get_each(&places).await?;
        let mut rows = items
            .iter()
            .map(upload_from)
            .collect::<Result<Vec<Kept>>>()?;
        rows.sort_by(|one, other| one.upload.id.cmp(&other.upload.id));
        // One that moves meanwhile may have been seen in both places or in none: look at those alone.
        for id in ids {
            let seen = rows.iter().filter(|row| row.upload.id == *id).count();
            if seen != 1 {
                rows.retain(|row| row.upload.id != *id);
                rows.extend(self.kept(id).await?);
            }
        }
        Ok(rows)
    }

    /// The id that an item keeps of an upload.
    pub(super) async fn found_at(&self, at: &At) -> Result<Option<UploadId>> {
        let item = self.table.get(at).await?;
        item.map(|item| found_in(&Reader::item(&item)?)).transpose()
    }

    /// Changes a row, if it is there and what it says changes. With a lease only while that is the caller's.
    ///
    /// `change` may be called several times, each time with the row as it is. What it decides of a row that is
    /// remembered and not read is believed only if it is a change, because the table then refuses what is not true.
    pub(super) async fn change(
        &self,
        id: &UploadId,
        lease: Option<&Lease>,
        mut change: impl FnMut(&mut Upload) -> Result<()> + Send,
    ) -> Result<Upload> {
        let name = random::name()?;
        let mut remembered = self.seen.take(id);
        for tries in 1..=TRIES_MAX {
            let is_fresh = remembered.is_none();
            let before = match remembered.take() {
                Some(row) => row,
                None => self
                    .kept(id)
                    .await?
                    .ok_or_else(|| Error::NotFound(id.to_string()))?,
            };
            // This very change was made, and the answer was lost.
            if before.change == name {
                return Ok(before.upload);
            }
            let mut after = before.upload.clone();
            let changed = change(&mut after);
            if changed.is_err() || after == before.upload {
                if !is_fresh {
                    continue;
                }
                if let Some(lease) = lease {
                    self.still_held(lease).await?;
                }
                return changed.map(|()| after);
            }
            let mut items = Vec::new();
            if let Some(lease) = lease {
                items.push(fence(&self.table.name, lease)?);
            }
            let at = self.write(Some(&before), &after, &name, &mut items)?;
            match self.table.transact(items).await? {
                Sent::Done => {
                    self.remember(&after, name, at);
                    return Ok(after);
                }
                Sent::Refused(refused) if lease.is_some() && refused.first() == Some(&true) => {
                    return Err(Error::FencedOff);
                }
                Sent::Refused(_) => {
                    if is_fresh {
                        self.table.wait(tries, OVERTAKEN).await?;
                    }
                }
            }
        }
        Err(Error::Unavailable {
            reason: OVERTAKEN.into(),
            source: None,
        })
    }

    pub(super) fn remember(&self, upload: &Upload, change: String, at: At) {
        self.seen.put(Kept {
            upload: upload.clone(),
            change,
            at,
        });
    }

    /// The writes that make a row what it shall be, with all that finds and counts it; says where it is then. `before`
    /// is the row as it is; none if there is none.
    pub(super) fn write(
        &self,
        before: Option<&Kept>,
        after: &Upload,
        change: &str,
        items: &mut Vec<TransactWriteItem>,
    ) -> Result<At> {
        let parts = id::parts(&after.id).ok_or_else(|| Error::NotFound(after.id.to_string()))?;
        let home = Home::of(after);
        let at = home.at(&after.id, parts);
        let row = upload_to(after, &at, change, self.history);
        let mut put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(row));
        match before {
            Some(before) if before.at == at => {
                put = put
                    .condition_expression("#change = :before")
                    .expression_attribute_names("#change", CHANGE)
                    .expression_attribute_values(":before", text(&before.change));
            }
            moved => {
                put = put
                    .condition_expression("attribute_not_exists(#pk)")
                    .expression_attribute_names("#pk", SCHEMA.partition_key);
                if let Some(before) = moved {
                    let delete = Delete::builder()
                        .table_name(&self.table.name)
                        .set_key(Some(before.at.key()))
                        .condition_expression("#change = :before")
                        .expression_attribute_names("#change", CHANGE)
                        .expression_attribute_values(":before", text(&before.change))
                        .build()
                        .map_err(unavailable)?;
                    items.push(TransactWriteItem::builder().delete(delete).build());
                }
            }
        }
        items.push(built(put)?);
        let ended_before = before.is_some_and(|before| Home::of(&before.upload) == Home::Done);
        if home == Home::Done && !ended_before {
            items.push(self.count(after.state, parts.shard)?);
        }
        // What finds it is forgotten with it.
        let forget = forget_at(after, self.history);
        let forget_before = before.and_then(|before| forget_at(&before.upload, self.history));
        let is_new = before.is_none_or(|before| before.upload.staged.is_none());
        if let Some(staged) = &after.staged
            && (is_new || forget != forget_before)
        {
            let finder = version_at(&after.key, &staged.version_id);
            items.push(self.finder(&finder, &after.id, is_new, forget)?);
        }
        if after.minted && (before.is_none() || forget != forget_before) {
            let finder = mint_at(&after.key);
            items.push(self.finder(&finder, &after.id, before.is_none(), forget)?);
        }
        // The log of an attempt goes with the attempt.
        if let (Some(oldest), Some(kept)) = (
            before.and_then(|before| before.upload.log.first()),
            after.log.first(),
        ) && oldest.number < kept.number
        {
            let delete = Delete::builder()
                .table_name(&self.table.name)
                .set_key(Some(log_at(&after.id, oldest.number).key()))
                .build()
                .map_err(unavailable)?;
            items.push(TransactWriteItem::builder().delete(delete).build());
        }
        Ok(at)
    }

    /// What finds an upload. A new one takes the place of none, but for one whose row was forgotten and that will be.
    fn finder(
        &self,
        at: &At,
        id: &UploadId,
        is_new: bool,
        forget: Option<Timestamp>,
    ) -> Result<TransactWriteItem> {
        let mut item = Writer::item(at);
        item.text(UPLOAD, id.as_str());
        item.number_if(SCHEMA.time_to_live, forget.map(seconds));
        let mut put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(item.done()));
        if is_new {
            put = put
                .condition_expression("attribute_not_exists(#pk) OR attribute_exists(#forget)")
                .expression_attribute_names("#pk", SCHEMA.partition_key)
                .expression_attribute_names("#forget", SCHEMA.time_to_live);
        }
        built(put)
    }

    /// One more upload that ended so.
    fn count(&self, state: State, shard: u8) -> Result<TransactWriteItem> {
        let counter = random::number()? % COUNTERS;
        let update = Update::builder()
            .table_name(&self.table.name)
            .set_key(Some(
                At {
                    pk: counters(shard),
                    sk: format!("{counter:02}"),
                }
                .key(),
            ))
            .update_expression("ADD #state :one SET #format = :format")
            .expression_attribute_names("#state", state.name())
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .expression_attribute_values(":format", AttributeValue::N("1".into()))
            .build()
            .map_err(unavailable)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    pub(super) async fn cancel(&self, id: &UploadId, now: Timestamp) -> Result<Upload> {
        let name = random::name()?;
        for tries in 1..=TRIES_MAX {
            let found = self.kept(id).await?;
            let before = found.ok_or_else(|| Error::NotFound(id.to_string()))?;
            if before.change == name {
                return Ok(before.upload);
            }
            let mut after = before.upload.clone();
            after.cancel_job(now)?;
            let lease = self.lease_row(&after.key).await?;
            let mut items = vec![self.without_job(&after.key, id, lease.as_ref(), &name)?];
            let at = self.write(Some(&before), &after, &name, &mut items)?;
            match self.table.transact(items).await? {
                Sent::Done => {
                    self.remember(&after, name, at);
                    return Ok(after);
                }
                Sent::Refused(_) => self.table.wait(tries, OVERTAKEN).await?,
            }
        }
        Err(Error::Unavailable {
            reason: OVERTAKEN.into(),
            source: None,
        })
    }

    /// The upload that an item by this key finds.
    pub(super) async fn found(&self, at: &At, key: &ObjectRef) -> Result<Option<Upload>> {
        let Some(id) = self.found_at(at).await? else {
            return Ok(None);
        };
        let row = self.kept(&id).await?;
        debug_assert!(row.as_ref().is_none_or(|row| row.upload.key == *key));
        Ok(row.map(|row| row.upload))
    }
}

/// What is said when others were always first.
pub(super) const OVERTAKEN: &str =
    "an upload's row changed again and again while it was to be changed";

pub(super) fn counters(shard: u8) -> String {
    format!("ended#{shard:02x}")
}

pub(super) fn found_in(item: &Reader<'_>) -> Result<UploadId> {
    UploadId::new(item.text(UPLOAD)?).ok_or_else(|| corrupt("an id"))
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn built(put: aws_sdk_dynamodb::types::builders::PutBuilder) -> Result<TransactWriteItem> {
    let put = put.build().map_err(unavailable)?;
    Ok(TransactWriteItem::builder().put(put).build())
}
