//! Versions in staging that no worker has looked at yet, so that the ledger has no row of them.
//!
//! They are uploads like any other to the person who sent them, and waiting is what they do.

use two_buckets_objects::{
    Key, LIST_PAGE_MAX, ListVersions, ListedVersion, ObjectRef, ObjectStore, VersionRef,
};
use two_buckets_pipeline::ledger::is_below;
use two_buckets_pipeline::{Ledger, WakeUps};

use super::{Tracking, failed, ids, unavailable};
use crate::{self as uploads, ListUploads, Oldest, Result, UploadState};

/// What waits.
#[derive(Clone, Default)]
pub struct Waiting {
    /// As the API shows it, the newest first.
    pub uploads: Vec<uploads::Upload>,
    /// How many of them the ledger does not count: all but those whose key was minted.
    pub without_row: u64,
    /// Whether all of staging was looked at, or all of it that was asked for.
    pub is_complete: bool,
}

impl Waiting {
    /// Whether versions without a row belong on top of this page: on the first, where pending ones are asked for.
    pub fn belongs_to(query: &ListUploads) -> bool {
        query.after.is_none() && matches!(query.state, None | Some(UploadState::Pending))
    }

    /// The one that came first.
    pub fn oldest(&self) -> Option<Oldest> {
        let oldest = self
            .uploads
            .iter()
            .min_by_key(|upload| upload.received_at)?;
        Some(Oldest {
            key: oldest.key.clone(),
            received_at: oldest.received_at,
        })
    }
}

impl<S: ObjectStore, L: Ledger, W: WakeUps> Tracking<'_, S, L, W> {
    /// Looks at the first so many versions in staging of those that the key or the prefix of the query selects, and
    /// finds those of them that its text selects too and that have no row. One page of a list, whatever `look` is.
    pub async fn waiting(&self, query: &ListUploads, look: usize) -> Result<Waiting> {
        let Some(store) = self.store else {
            return Ok(Waiting::default());
        };
        let options = ListVersions {
            prefix: query
                .key
                .as_ref()
                .map(|key| key.as_str().to_owned())
                .or_else(|| query.prefix.clone())
                .unwrap_or_default(),
            after: None,
            limit: look.min(LIST_PAGE_MAX),
        };
        let page = store.list_versions(self.staging, options).await;
        let page = page.map_err(|error| unavailable("staging", error))?;
        let is_complete = page.next.is_none();
        let wanted = page.versions.into_iter().filter(|version| {
            let key = version.key.as_str();
            !version.is_delete_marker
                && query.key.as_ref().is_none_or(|it| *it == version.key)
                && query.prefix.as_ref().is_none_or(|it| is_below(key, it))
                && query
                    .search
                    .as_ref()
                    .is_none_or(|text| key.contains(text.as_str()))
        });
        let mut waiting = Waiting {
            uploads: Vec::new(),
            without_row: 0,
            is_complete,
        };
        let without_row = self.without_row(wanted.collect()).await?;
        let keys: Vec<_> = without_row
            .iter()
            .map(|version| self.object(&version.key))
            .collect();
        let minted = self.ledger.minted_for_each(&keys).await.map_err(failed)?;
        for ((version, key), minted) in without_row.into_iter().zip(keys).zip(minted) {
            match minted {
                Some(mut minted) if minted.is_expected() => {
                    minted.arrive(0, &version);
                    let upload = super::shown(&minted)?;
                    // Versions come newest first, and the first to come is the one that was expected.
                    waiting.uploads.retain(|later| later.id != upload.id);
                    waiting.uploads.push(upload);
                }
                _ => {
                    waiting.without_row += 1;
                    waiting.uploads.push(shown(key, &version)?);
                }
            }
        }
        waiting
            .uploads
            .sort_by_key(|upload| std::cmp::Reverse(upload.received_at));
        Ok(waiting)
    }

    /// The oldest version of exactly this key that has no row yet, as far as one page of versions goes.
    pub(super) async fn first_without_row(&self, key: &ObjectRef) -> Result<Option<ListedVersion>> {
        let Some(store) = self.store else {
            return Ok(None);
        };
        let options = ListVersions {
            prefix: key.key.as_str().to_owned(),
            ..ListVersions::default()
        };
        let page = store.list_versions(&key.bucket, options).await;
        let page = page.map_err(|error| unavailable("staging", error))?;
        let of_key = page
            .versions
            .into_iter()
            .filter(|version| version.key == key.key && !version.is_delete_marker);
        Ok(self.without_row(of_key.collect()).await?.pop())
    }

    /// Those of these versions that have no row, in their order.
    async fn without_row(&self, versions: Vec<ListedVersion>) -> Result<Vec<ListedVersion>> {
        let places: Vec<_> = versions
            .iter()
            .map(|version| VersionRef {
                bucket: self.staging.clone(),
                key: version.key.clone(),
                version_id: version.version_id.clone(),
            })
            .collect();
        let rows = self.ledger.find_each(&places).await.map_err(failed)?;
        let found = versions.into_iter().zip(rows);
        Ok(found
            .filter_map(|(version, row)| row.is_none().then_some(version))
            .collect())
    }

    fn object(&self, key: &Key) -> ObjectRef {
        ObjectRef {
            bucket: self.staging.clone(),
            key: key.clone(),
        }
    }
}

/// A version without a row as an upload that waits.
pub fn shown(key: ObjectRef, version: &ListedVersion) -> Result<uploads::Upload> {
    Ok(uploads::Upload {
        id: ids::of_version(&key, &version.version_id)?,
        bucket: key.bucket,
        key: key.key,
        version_id: Some(version.version_id.clone()),
        state: UploadState::Pending,
        is_expected: false,
        is_job: false,
        replay_of: None,
        checksum: None,
        size_bytes: version.size_bytes,
        etag: version
            .etag
            .clone()
            .unwrap_or_else(|| two_buckets_objects::ETag::new("")),
        received_at: version.last_modified,
        started_at: None,
        finished_at: None,
        attempts: 0,
        progress: None,
        next_attempt_at: None,
        reason: None,
        archive: None,
        media_type: None,
        sha256: None,
        report: None,
    })
}
