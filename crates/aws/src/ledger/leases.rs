//! Leases: one item for each key, next to what finds the key's uploads.
//!
//! The item outlives the lease, because its token must go on growing; released, it may be forgotten after a month. A key
//! whose item was forgotten begins with a token made of the time, in milliseconds, which is above every token the item had
//! as long as the key was claimed less often than once a millisecond all that month.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use two_buckets_objects::{ObjectRef, Timestamp, VersionId};
use two_buckets_pipeline::ledger::{Claim, ClaimKey, Error, Release, Result};
use two_buckets_pipeline::{BootId, FencingToken, Holder, Lease, UploadId};

use super::DynamoLedger;
use super::item::{Item, Reader, corrupt};
use super::random;
use super::rows::seconds;
use super::schema::SCHEMA;
use super::table::{At, Refused, TRIES_MAX, refused, unavailable};

/// How long a released lease's item stays: longer than any worker or job can hold a lease without renewing it and still
/// write (a Batch job on Fargate ends after 14 days, a signature after minutes).
const RELEASED_KEPT: Duration = Duration::from_hours(30 * 24);

/// The partition of everything that is found by a key, in any bucket. At most 1,028 of its 2,048 bytes
/// (`DynamoDB` Developer Guide, "Constraints").
pub(super) fn key_partition(key: &str) -> String {
    format!("key#{key}")
}

/// The place of a key's lease.
pub(super) fn lease_at(key: &ObjectRef) -> At {
    At {
        pk: key_partition(key.key.as_str()),
        sk: format!("{}#lease", key.bucket),
    }
}

/// The place of what finds the upload a key was minted for.
pub(super) fn mint_at(key: &ObjectRef) -> At {
    At {
        pk: key_partition(key.key.as_str()),
        sk: format!("{}#mint", key.bucket),
    }
}

/// What the sort keys of all versions of a key begin with.
pub(super) fn versions_of(bucket: &str) -> String {
    format!("{bucket}#version#")
}

/// The place of what finds a version's upload.
pub(super) fn version_at(key: &ObjectRef, version_id: &VersionId) -> At {
    use sha2::Digest as _;
    // A version id may have 1,024 bytes, which is also the most of a sort key, and a bucket's name 63.
    let name = if version_id.as_str().len() > VERSION_ID_BYTES_MAX {
        format!(
            "sha256-{}",
            hex::encode(sha2::Sha256::digest(version_id.as_str()))
        )
    } else {
        version_id.as_str().to_owned()
    };
    At {
        pk: key_partition(key.key.as_str()),
        sk: format!("{}{name}", versions_of(key.bucket.as_str())),
    }
}

const VERSION_ID_BYTES_MAX: usize = 900;

/// A key's lease item.
pub(super) struct LeaseRow {
    /// The last token.
    pub(super) token: u64,
    /// The number of the version noted last.
    pub(super) number: u64,
    /// The name of its last change.
    change: String,
    /// The lease; none once it was released.
    pub(super) held: Option<Lease>,
}

impl LeaseRow {
    pub(super) fn from(key: &ObjectRef, item: &Item) -> Result<Self> {
        let row = Reader::item(item)?;
        let token = row.number("token")?;
        let held = match row.text_if("holder")? {
            None => None,
            Some(holder) => Some(Lease {
                key: key.clone(),
                holder: Holder(holder.into()),
                token: FencingToken(token),
                expires_at: Timestamp::from_millis(row.number("expires_at_ms")?),
                boot: BootId::NONE,
                dirty: row.flag("dirty")?,
                job: match row.text_if("job")? {
                    Some(id) => Some(UploadId::new(id).ok_or_else(|| corrupt("job"))?),
                    None => None,
                },
            }),
        };
        Ok(Self {
            token,
            number: row.number("number")?,
            change: row.text("change")?.into(),
            held,
        })
    }

    /// Says whether the lease is still the caller's.
    pub(super) fn is_held_by(&self, lease: &Lease) -> bool {
        self.held.is_some() && self.token == lease.token.0
    }
}

/// Holds while the lease is the caller's.
const IS_HELD: &str = "#token = :token AND attribute_exists(#holder)";

/// The part of a transaction that does nothing but refuse it when the lease is gone.
pub(super) fn fence(table: &str, lease: &Lease) -> Result<TransactWriteItem> {
    let check = ConditionCheck::builder()
        .table_name(table)
        .set_key(Some(lease_at(&lease.key).key()))
        .condition_expression(IS_HELD)
        .expression_attribute_names("#token", "token")
        .expression_attribute_names("#holder", "holder")
        .expression_attribute_values(":token", number(lease.token.0))
        .build()
        .map_err(unavailable)?;
    Ok(TransactWriteItem::builder().condition_check(check).build())
}

/// As [`fence`], and moves the number of the version noted last on from what it was.
pub(super) fn fence_and_number(
    table: &str,
    lease: &Lease,
    before: u64,
    after: u64,
) -> Result<TransactWriteItem> {
    let update = Update::builder()
        .table_name(table)
        .set_key(Some(lease_at(&lease.key).key()))
        .condition_expression(format!("{IS_HELD} AND #number = :before"))
        .update_expression("SET #number = :after")
        .expression_attribute_names("#token", "token")
        .expression_attribute_names("#holder", "holder")
        .expression_attribute_names("#number", "number")
        .expression_attribute_values(":token", number(lease.token.0))
        .expression_attribute_values(":before", number(before))
        .expression_attribute_values(":after", number(after))
        .build()
        .map_err(unavailable)?;
    Ok(TransactWriteItem::builder().update(update).build())
}

fn number(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

impl DynamoLedger {
    pub(super) async fn lease_row(&self, key: &ObjectRef) -> Result<Option<LeaseRow>> {
        let item = self.table.get(&lease_at(key)).await?;
        item.map(|item| LeaseRow::from(key, &item)).transpose()
    }

    /// Says by an error when the lease is gone.
    pub(super) async fn still_held(&self, lease: &Lease) -> Result<()> {
        match self.lease_row(&lease.key).await? {
            Some(row) if row.is_held_by(lease) => Ok(()),
            _ => Err(Error::FencedOff),
        }
    }

    fn update_lease(&self, key: &ObjectRef) -> UpdateItemFluentBuilder {
        self.table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(lease_at(key).key()))
            .expression_attribute_names("#holder", "holder")
    }

    pub(super) async fn claim_key(&self, claim: &ClaimKey) -> Result<Claim> {
        let change = random::name()?;
        for tries in 1..=TRIES_MAX {
            let before = match self.try_claim(claim, &change).await? {
                Ok(claimed) => return Ok(claimed),
                Err(before) => before,
            };
            // The answer to the try before was lost.
            if before.change == change
                && let Some(lease) = before.held
            {
                return Ok(Claim::Held(lease));
            }
            let Some(held) = before.held else {
                continue;
            };
            if held.dirty || self.make_dirty(&held).await? {
                return Ok(Claim::Busy);
            }
            // It was released or taken over meanwhile.
            self.table
                .wait(tries, "a key changed hands again and again")
                .await?;
        }
        Err(Error::Unavailable {
            reason: "a key changed hands again and again".into(),
            source: None,
        })
    }

    /// Claims the key if nobody else holds it; gives the row as it is if somebody does.
    async fn try_claim(
        &self,
        claim: &ClaimKey,
        change: &str,
    ) -> Result<std::result::Result<Claim, LeaseRow>> {
        // See above; a clock before 1970 begins with 1.
        let first = claim.now.millis().max(0);
        let expires_at = claim.now.after(claim.life);
        let set = "SET #format = :format, #change = :change, #holder = :holder, #expires = :expires, \
             #token = if_not_exists(#token, :first) + :one, #number = if_not_exists(#number, :first)";
        let mut request = self
            .update_lease(&claim.key)
            .condition_expression(
                "(attribute_not_exists(#holder) OR #expires <= :now) \
                 AND (attribute_not_exists(#format) OR #format <= :format)",
            )
            .expression_attribute_names("#format", "format")
            .expression_attribute_names("#change", "change")
            .expression_attribute_names("#expires", "expires_at_ms")
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#number", "number")
            .expression_attribute_names("#dirty", "dirty")
            .expression_attribute_names("#forget", SCHEMA.time_to_live)
            .expression_attribute_names("#job", "job")
            .expression_attribute_values(":format", number(1))
            .expression_attribute_values(":change", AttributeValue::S(change.to_owned()))
            .expression_attribute_values(":holder", AttributeValue::S(claim.holder.0.clone()))
            .expression_attribute_values(":expires", number(expires_at.millis()))
            .expression_attribute_values(":first", number(first))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":now", number(claim.now.millis()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        request = match &claim.job {
            Some(id) => request
                .update_expression(format!("{set}, #job = :job REMOVE #dirty, #forget"))
                .expression_attribute_values(":job", AttributeValue::S(id.as_str().to_owned())),
            None => request.update_expression(format!("{set} REMOVE #dirty, #forget, #job")),
        };
        match self.sent(request).await? {
            Ok(updated) => {
                let item = updated.attributes.unwrap_or_default();
                let held = LeaseRow::from(&claim.key, &item)?.held;
                Ok(Ok(Claim::Held(held.ok_or_else(|| corrupt("a lease"))?)))
            }
            Err(error) => {
                let item = refused(error, condition)?.ok_or_else(|| corrupt("a lease"))?;
                Ok(Err(LeaseRow::from(&claim.key, &item)?))
            }
        }
    }

    /// Sends it, and again while it meets a transaction on the same item: the holder's own change, most often. The SDK
    /// does not repeat that.
    async fn sent(
        &self,
        update: UpdateItemFluentBuilder,
    ) -> Result<std::result::Result<UpdateItemOutput, SdkError<UpdateItemError>>> {
        for tries in 1.. {
            let sent = update.clone().send().await;
            let is_conflict = sent
                .as_ref()
                .err()
                .and_then(SdkError::as_service_error)
                .is_some_and(UpdateItemError::is_transaction_conflict_exception);
            if !is_conflict {
                return Ok(sent);
            }
            self.table
                .wait(tries, "a key's lease met others' changes again and again")
                .await?;
        }
        unreachable!("the wait ends it")
    }

    /// Has the holder of this lease look again; false if it is gone.
    async fn make_dirty(&self, held: &Lease) -> Result<bool> {
        let update = self
            .update_lease(&held.key)
            .condition_expression(IS_HELD)
            .update_expression("SET #dirty = :true")
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#dirty", "dirty")
            .expression_attribute_values(":token", number(held.token.0))
            .expression_attribute_values(":true", AttributeValue::Bool(true));
        match self.sent(update).await? {
            Ok(_) => Ok(true),
            Err(error) => refused(error, condition).map(|_| false),
        }
    }

    pub(super) async fn renew_lease(&self, lease: &Lease, expires_at: Timestamp) -> Result<Lease> {
        let update = self
            .update_lease(&lease.key)
            .condition_expression(IS_HELD)
            .update_expression("SET #expires = :expires")
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#expires", "expires_at_ms")
            .expression_attribute_values(":token", number(lease.token.0))
            .expression_attribute_values(":expires", number(expires_at.millis()))
            .return_values(ReturnValue::AllNew);
        match self.sent(update).await? {
            Ok(updated) => {
                let item = updated.attributes.unwrap_or_default();
                let held = LeaseRow::from(&lease.key, &item)?.held;
                held.ok_or_else(|| corrupt("a lease"))
            }
            Err(error) => {
                refused(error, condition)?;
                Err(Error::FencedOff)
            }
        }
    }

    pub(super) async fn release_lease(&self, lease: &Lease) -> Result<Release> {
        let change = random::name()?;
        let update = self
            .update_lease(&lease.key)
            .condition_expression(format!("{IS_HELD} AND attribute_not_exists(#dirty)"))
            .update_expression(
                "SET #change = :change, #forget = :forget REMOVE #holder, #expires, #job",
            )
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#dirty", "dirty")
            .expression_attribute_names("#change", "change")
            .expression_attribute_names("#forget", SCHEMA.time_to_live)
            .expression_attribute_names("#expires", "expires_at_ms")
            .expression_attribute_names("#job", "job")
            .expression_attribute_values(":token", number(lease.token.0))
            .expression_attribute_values(":change", AttributeValue::S(change.clone()))
            .expression_attribute_values(":forget", number(self.forget_released()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let item = match self.sent(update).await? {
            Ok(_) => return Ok(Release::Released),
            Err(error) => refused(error, condition)?,
        };
        let Some(row) = item
            .map(|item| LeaseRow::from(&lease.key, &item))
            .transpose()?
        else {
            return Err(Error::FencedOff);
        };
        // The answer to the try before was lost.
        if row.held.is_none() && row.change == change {
            return Ok(Release::Released);
        }
        if row.is_held_by(lease) && self.clean(lease).await? {
            Ok(Release::LookAgain)
        } else {
            Err(Error::FencedOff)
        }
    }

    /// Takes the dirty flag off; false if the lease is gone. Whoever is turned away while it is sent twice is seen
    /// all the same, because the holder looks again after it.
    async fn clean(&self, lease: &Lease) -> Result<bool> {
        let update = self
            .update_lease(&lease.key)
            .condition_expression(IS_HELD)
            .update_expression("REMOVE #dirty")
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#dirty", "dirty")
            .expression_attribute_values(":token", number(lease.token.0));
        match self.sent(update).await? {
            Ok(_) => Ok(true),
            Err(error) => refused(error, condition).map(|_| false),
        }
    }

    fn forget_released(&self) -> i64 {
        seconds((self.now)().after(RELEASED_KEPT))
    }

    /// The part of a transaction that ends the lease of an upload's job, or holds while there is none.
    pub(super) fn without_job(
        &self,
        key: &ObjectRef,
        id: &UploadId,
        row: Option<&LeaseRow>,
        change: &str,
    ) -> Result<TransactWriteItem> {
        let at = lease_at(key).key();
        let job = AttributeValue::S(id.as_str().to_owned());
        let held = row.and_then(|row| row.held.as_ref());
        if held.is_none_or(|held| held.job.as_ref() != Some(id)) {
            let check = ConditionCheck::builder()
                .table_name(&self.table.name)
                .set_key(Some(at))
                .condition_expression("attribute_not_exists(#job) OR #job <> :job")
                .expression_attribute_names("#job", "job")
                .expression_attribute_values(":job", job)
                .build()
                .map_err(unavailable)?;
            return Ok(TransactWriteItem::builder().condition_check(check).build());
        }
        let update = Update::builder()
            .table_name(&self.table.name)
            .set_key(Some(at))
            .condition_expression("#job = :job")
            .update_expression(
                "SET #change = :change, #forget = :forget REMOVE #holder, #expires, #job, #dirty",
            )
            .expression_attribute_names("#job", "job")
            .expression_attribute_names("#change", "change")
            .expression_attribute_names("#forget", SCHEMA.time_to_live)
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_names("#expires", "expires_at_ms")
            .expression_attribute_names("#dirty", "dirty")
            .expression_attribute_values(":job", job)
            .expression_attribute_values(":change", AttributeValue::S(change.to_owned()))
            .expression_attribute_values(":forget", number(self.forget_released()))
            .build()
            .map_err(unavailable)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

fn condition(error: &UpdateItemError) -> Option<Refused> {
    match error {
        UpdateItemError::ConditionalCheckFailedException(failed) => {
            Some(Refused(failed.item().cloned()))
        }
        _ => None,
    }
}
