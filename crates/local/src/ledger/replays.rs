//! Replays: archived versions copied to staging, and how far the copying is, in the same transactions.

use serde::{Deserialize, Serialize};
use two_buckets_depot::{
    CopyMetadata, CopyObject, ListObjects, ListedObject, ObjectPage, Selector,
};
use two_buckets_objects::{
    BucketName, Key, ObjectInfo, ObjectRef, Timestamp, VersionRef, WriteCondition,
};
use two_buckets_pipeline::UploadId;
use two_buckets_pipeline::archive::{Mark, Replay};
use two_buckets_pipeline::ledger::Result;
use two_buckets_uploads::tracking::{Batch, Before, Run};

use super::changes::is_gone;
use super::tables::{REPLAYS, Rows, name_bytes};
use super::{DepotLedger, corrupt, unavailable};

/// The version of the row's layout.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunRow {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    began_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

impl DepotLedger {
    /// The replay of this prefix that has not come to its end, if there is one.
    pub(crate) async fn replay_run(&self, prefix: &str) -> Result<Option<Run>> {
        let prefix = prefix.to_owned();
        self.read(move |depot| {
            let row = depot
                .row(REPLAYS, &name_bytes(&prefix))
                .map_err(unavailable)?;
            row.map(|row| understood(prefix, &row)).transpose()
        })
        .await
    }

    /// A page of what is archived.
    pub(crate) async fn list_archived(
        &self,
        archive: BucketName,
        options: ListObjects,
    ) -> Result<ObjectPage<ListedObject>> {
        self.read(move |depot| depot.list_objects(&archive, &options).map_err(unavailable))
            .await
    }

    /// The size of an archived version; none if it is not there.
    pub(crate) async fn archived_size(&self, at: VersionRef) -> Result<Option<u64>> {
        self.read(move |depot| {
            let version = Selector::Version(at.version_id.clone());
            match depot.head(&at.object(), &version) {
                Ok(found) => Ok(Some(found.info.size_bytes)),
                Err(error) if is_gone(&error) => Ok(None),
                Err(error) => Err(unavailable(error)),
            }
        })
        .await
    }

    /// Copies the current versions of these archived keys to staging, and keeps how far the replay is; with `is_last`
    /// it has come to its end. What has no current version any more is passed over.
    ///
    /// Nothing is copied, and none given, unless the replay is where the caller left it, or found it, so that of two that
    /// go on at once one stops.
    pub(crate) async fn replay_batch(
        &self,
        archive: BucketName,
        staging: BucketName,
        keys: Vec<Key>,
        before: Before,
        run: Run,
        is_last: bool,
    ) -> Result<Option<Batch>> {
        self.change(move |rows| {
            let mut batch = Batch::default();
            let row = name_bytes(&run.prefix);
            let expected = match &before {
                Before::Whatever => None,
                Before::Nothing => Some(None),
                Before::At(run) => Some(Some(written(run))),
            };
            if let Some(expected) = expected
                && rows.row(REPLAYS, &row)? != expected
            {
                return Ok(None);
            }
            for key in keys {
                let at = ObjectRef {
                    bucket: archive.clone(),
                    key,
                };
                match rows.tx.head(&at) {
                    Ok(found) => {
                        batch.copied += 1;
                        batch.size_bytes += found.info.size_bytes;
                        rows.replay(&found.info, &staging)?;
                    }
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(unavailable(error)),
                }
            }
            if is_last {
                rows.tx.delete_row(REPLAYS, &row);
            } else {
                rows.tx.set_row(REPLAYS, &row, &written(&run));
            }
            Ok(Some(batch))
        })
        .await
    }

    /// Copies one archived version to staging; none if it is not there.
    pub(crate) async fn replay_version(
        &self,
        at: VersionRef,
        staging: BucketName,
    ) -> Result<Option<Batch>> {
        self.change(move |rows| match rows.tx.head_version(&at) {
            Ok(found) => {
                rows.replay(&found.info, &staging)?;
                Ok(Some(Batch {
                    copied: 1,
                    size_bytes: found.info.size_bytes,
                }))
            }
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(unavailable(error)),
        })
        .await
    }
}

impl Rows<'_, '_> {
    fn replay(&mut self, archived: &ObjectInfo, staging: &BucketName) -> Result<()> {
        let to = ObjectRef {
            bucket: staging.clone(),
            key: archived.at.key.clone(),
        };
        let upload = self.upload_archived_as(archived, &to)?;
        let options = CopyObject {
            // Beside whatever waits there: each is a version of its own.
            condition: WriteCondition::None,
            source_etag: None,
            metadata: CopyMetadata::Keep(
                Replay::from_archived(archived, upload).pairs(&archived.metadata),
            ),
            tags: None,
            checksum: None,
        };
        self.tx
            .copy_version(&archived.at, &to, &options)
            .map_err(unavailable)?;
        Ok(())
    }

    /// The upload whose mark an archived version bears, if its row is kept.
    fn upload_archived_as(
        &self,
        archived: &ObjectInfo,
        staged: &ObjectRef,
    ) -> Result<Option<UploadId>> {
        let Some(mark) = Mark::of(&archived.metadata) else {
            return Ok(None);
        };
        let upload = self.upload_of(staged, Some(&mark.source_version))?;
        Ok(upload.map(|upload| upload.id))
    }
}

fn written(run: &Run) -> Vec<u8> {
    let row = RunRow {
        v: VERSION,
        since: run.since.map(Timestamp::millis),
        began_at: run.began_at.millis(),
        after: run.after.clone(),
    };
    serde_json::to_vec(&row).expect("numbers and texts are JSON")
}

fn understood(prefix: String, row: &[u8]) -> Result<Run> {
    let row: RunRow = serde_json::from_slice(row).map_err(|_| corrupt("how far a replay is"))?;
    if row.v != VERSION {
        return Err(corrupt("the version of the row of a replay"));
    }
    Ok(Run {
        prefix,
        since: row.since.map(Timestamp::from_millis),
        began_at: Timestamp::from_millis(row.began_at),
        after: row.after,
    })
}
