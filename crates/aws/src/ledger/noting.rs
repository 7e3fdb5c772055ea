//! Rows of versions that were listed, and of uploads that are expected.

use std::collections::HashMap;

use two_buckets_objects::{ListedVersion, ObjectRef, Timestamp};
use two_buckets_pipeline::ledger::{Error, NOTE_MAX, Noted, Result};
use two_buckets_pipeline::{Expectation, Lease, State, Upload, UploadId};

use super::item::{Item, Reader, place_of};
use super::leases::{LeaseRow, fence_and_number, lease_at, mint_at, version_at};
use super::rows::Kept;
use super::table::{At, Sent, TRANSACTION_ITEMS_MAX, TRIES_MAX};
use super::writing::{OVERTAKEN, found_in};
use super::{DynamoLedger, id, random};

const _: () = assert!(
    // The lease, a row and what finds it for each, and the place the expected one leaves.
    1 + 2 * NOTE_MAX < TRANSACTION_ITEMS_MAX,
    "a note is one transaction"
);

impl DynamoLedger {
    pub(super) async fn note_versions(
        &self,
        lease: &Lease,
        versions: &[ListedVersion],
    ) -> Result<Noted> {
        let versions = versions.get(..NOTE_MAX).unwrap_or(versions);
        let key = &lease.key;
        let mint = mint_at(key);
        let finders: Vec<At> = versions
            .iter()
            .map(|version| version_at(key, &version.version_id))
            .collect();
        for tries in 1..=TRIES_MAX {
            let mut wanted = vec![lease_at(key), mint.clone()];
            wanted.extend(finders.iter().cloned());
            let items = by_place(self.table.get_each(&wanted).await?)?;
            let number = match items.get(&lease_at(key)) {
                Some(item) => {
                    let row = LeaseRow::from(key, item)?;
                    row.is_held_by(lease).then_some(row.number)
                }
                None => None,
            };
            let number = number.ok_or(Error::FencedOff)?;
            let mut rows = self.found_among(&items, &finders, &mint).await?;
            let mut minted = rows.remove(&mint);

            let change = random::name()?;
            let (mut next, mut writes, mut news) = (number, Vec::new(), Vec::new());
            let mut uploads = Vec::with_capacity(versions.len());
            for (version, finder) in versions.iter().zip(&finders) {
                if let Some(known) = rows.get(finder) {
                    uploads.push(known.upload.clone());
                    continue;
                }
                next += 1;
                let (before, after) = match &mut minted {
                    Some(expected) if expected.upload.is_expected() => {
                        let before = expected.clone();
                        expected.upload.arrive(next, version);
                        (Some(before), expected.upload.clone())
                    }
                    _ => {
                        let shards = self.shards().await?;
                        let noted = self.noted.next((self.now)());
                        let moment = version.last_modified;
                        let id = id::make(key, Some(&version.version_id), moment, noted, shards);
                        (None, Upload::listed(id, key.clone(), next, version))
                    }
                };
                let at = self.write(before.as_ref(), &after, &change, &mut writes)?;
                news.push((after.clone(), at));
                uploads.push(after);
            }
            let noted = Noted {
                uploads,
                archived_mint: minted
                    .map(|mint| mint.upload)
                    .filter(|mint| mint.state == State::Archived)
                    .map(Box::new),
            };
            if news.is_empty() {
                return Ok(noted);
            }
            writes.push(fence_and_number(&self.table.name, lease, number, next)?);
            match self.table.transact(writes).await? {
                Sent::Done => {
                    for (upload, at) in news {
                        self.remember(&upload, change.clone(), at);
                    }
                    return Ok(noted);
                }
                // The lease is gone, or this very note was made and its answer was lost: another look tells.
                Sent::Refused(_) => self.table.wait(tries, OVERTAKEN).await?,
            }
        }
        Err(overtaken())
    }

    /// The rows that these items find, by the place of what finds them. An item may outlive its row, which the table
    /// forgets at about the same time: then it finds none.
    async fn found_among(
        &self,
        items: &HashMap<At, Item>,
        finders: &[At],
        mint: &At,
    ) -> Result<HashMap<At, Kept>> {
        let mut ids = Vec::new();
        for at in finders.iter().chain([mint]) {
            if let Some(item) = items.get(at) {
                ids.push((at.clone(), found_in(&Reader::item(item)?)?));
            }
        }
        let mut distinct: Vec<UploadId> = ids.iter().map(|(_, id)| id.clone()).collect();
        distinct.sort();
        distinct.dedup();
        let rows = self.kept_each(&distinct).await?;
        let row_of = |id: &UploadId| rows.iter().find(|row| row.upload.id == *id).cloned();
        Ok(ids
            .into_iter()
            .filter_map(|(at, id)| row_of(&id).map(|row| (at, row)))
            .collect())
    }

    pub(super) async fn mint_key(
        &self,
        key: &ObjectRef,
        expectation: &Expectation,
        now: Timestamp,
    ) -> Result<Upload> {
        for tries in 1..=TRIES_MAX {
            let known = match self.found_at(&mint_at(key)).await? {
                Some(id) => self.kept(&id).await?,
                None => None,
            };
            if let Some(known) = known {
                let again = self
                    .change(&known.upload.id, None, |upload| {
                        upload
                            .expect_again(expectation.clone())
                            .map_err(Error::from)
                    })
                    .await;
                match again {
                    // It was forgotten at this moment.
                    Err(Error::NotFound(_)) => {}
                    again => return again,
                }
            }
            let noted = self.noted.next((self.now)());
            let id = id::make(key, None, now, noted, self.shards().await?);
            let upload = Upload::minted(id, key.clone(), expectation.clone(), now);
            let change = random::name()?;
            let mut writes = Vec::new();
            let at = self.write(None, &upload, &change, &mut writes)?;
            match self.table.transact(writes).await? {
                Sent::Done => {
                    self.remember(&upload, change, at);
                    return Ok(upload);
                }
                Sent::Refused(_) => self.table.wait(tries, OVERTAKEN).await?,
            }
        }
        Err(overtaken())
    }
}

fn by_place(items: Vec<Item>) -> Result<HashMap<At, Item>> {
    items
        .into_iter()
        .map(|item| Ok((place_of(&item)?, item)))
        .collect()
}

fn overtaken() -> Error {
    Error::Unavailable {
        reason: OVERTAKEN.into(),
        source: None,
    }
}
