//! Many rows at once: as few calls as `DynamoDB` has for them.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _};
use two_buckets_objects::{ObjectRef, VersionRef};
use two_buckets_pipeline::ledger::{Error, Ledger as _, Result};
use two_buckets_pipeline::{Upload, UploadId};

use super::DynamoLedger;
use super::item::{Reader, place_of};
use super::leases::{mint_at, version_at};
use super::table::At;
use super::writing::found_in;

/// How many rows are made pending at the same time; each is a transaction of its own.
const RETRIES_AT_ONCE: usize = 8;

impl DynamoLedger {
    pub(super) async fn find_all(&self, versions: &[VersionRef]) -> Result<Vec<Option<Upload>>> {
        let places: Vec<At> = versions
            .iter()
            .map(|version| version_at(&version.object(), &version.version_id))
            .collect();
        self.found_by(&places).await
    }

    pub(super) async fn minted_for_all(&self, keys: &[ObjectRef]) -> Result<Vec<Option<Upload>>> {
        let places: Vec<At> = keys.iter().map(mint_at).collect();
        self.found_by(&places).await
    }

    /// The uploads that the items in these places find, in their order. 100 places, and 16 rows, are one call.
    async fn found_by(&self, places: &[At]) -> Result<Vec<Option<Upload>>> {
        let mut each_once = places.to_vec();
        each_once.sort_by(|one, other| (&one.pk, &one.sk).cmp(&(&other.pk, &other.sk)));
        // The service takes no place twice.
        each_once.dedup();
        let mut ids: HashMap<At, UploadId> = HashMap::new();
        for item in self.table.get_each(&each_once).await? {
            ids.insert(place_of(&item)?, found_in(&Reader::item(&item)?)?);
        }
        let mut wanted: Vec<UploadId> = ids.values().cloned().collect();
        wanted.sort();
        wanted.dedup();
        let rows = self.kept_each(&wanted).await?;
        let rows: HashMap<UploadId, Upload> = rows
            .into_iter()
            .map(|row| (row.upload.id.clone(), row.upload))
            .collect();
        let of_place = |at: &At| ids.get(at).and_then(|id| rows.get(id)).cloned();
        Ok(places.iter().map(of_place).collect())
    }

    pub(super) async fn retry_all(&self, ids: &[UploadId]) -> Result<Vec<Upload>> {
        futures::stream::iter(ids.to_vec())
            .map(|id| async move {
                match self.retry(&id).await {
                    Ok(upload) => Ok(Some(upload)),
                    // Somebody else retried it, or it is gone: nothing is left to do for it.
                    Err(Error::NotRetried(_) | Error::NotFound(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .buffered(RETRIES_AT_ONCE)
            .try_filter_map(|retried| async move { Ok(retried) })
            .try_collect()
            .await
    }
}
