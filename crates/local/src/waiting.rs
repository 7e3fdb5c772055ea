//! Versions in staging that no worker has looked at yet, so that the ledger has no row of them.
//!
//! They are uploads like any other to the person who sent them, and waiting is what they do.

use two_buckets_objects::{ListVersions, ListedVersion, ObjectRef, ObjectStore, VersionRef};
use two_buckets_pipeline::Ledger;
use two_buckets_uploads as uploads;
use uploads::{Error, ListUploads, Result, UploadState};

use crate::{DepotLedger, DepotStore, upload_id};

/// How many versions beyond the page's own size are looked at: some have a row, because they failed or are in work.
const LOOK_FURTHER: usize = 100;

/// What waits.
#[derive(Default)]
pub(crate) struct Waiting {
    /// As the API shows it, the newest first.
    pub(crate) uploads: Vec<uploads::Upload>,
    /// How many of them the ledger does not count: all but those whose key was minted.
    pub(crate) without_row: u64,
    /// Whether all of staging was looked at.
    pub(crate) is_complete: bool,
}

/// Looks through staging for at most as many versions as the query wants, and somewhat further.
pub(crate) async fn find(
    store: &DepotStore,
    ledger: &DepotLedger,
    staging: &two_buckets_objects::BucketName,
    query: &ListUploads,
) -> Result<Waiting> {
    let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable {
        reason: "staging cannot be listed".into(),
        source: Some(source),
    };
    let page = store
        .list_versions(
            staging,
            ListVersions {
                prefix: query
                    .key
                    .as_ref()
                    .map(|key| key.as_str().to_owned())
                    .or_else(|| query.prefix.clone())
                    .unwrap_or_default(),
                after: None,
                limit: (query.limit + LOOK_FURTHER).min(two_buckets_objects::LIST_PAGE_MAX),
            },
        )
        .await
        .map_err(|error| unavailable(Box::new(error)))?;
    let mut waiting = Waiting {
        uploads: Vec::new(),
        without_row: 0,
        is_complete: page.next.is_none(),
    };
    for version in page.versions {
        let is_wanted = !version.is_delete_marker
            && query.key.as_ref().is_none_or(|key| *key == version.key)
            && query
                .prefix
                .as_ref()
                .is_none_or(|prefix| is_below(version.key.as_str(), prefix))
            && query
                .search
                .as_ref()
                .is_none_or(|text| version.key.as_str().contains(text.as_str()));
        if !is_wanted {
            continue;
        }
        let at = VersionRef {
            bucket: staging.clone(),
            key: version.key.clone(),
            version_id: version.version_id.clone(),
        };
        let row = ledger.find(&at).await;
        if row.map_err(|error| unavailable(Box::new(error)))?.is_some() {
            continue;
        }
        let key = at.object();
        let minted = ledger.minted_for(&key).await;
        match minted.map_err(|error| unavailable(Box::new(error)))? {
            Some(mut minted) if minted.is_expected() => {
                minted.arrive(0, &version);
                let upload = crate::shown::shown(&minted)?;
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
pub(crate) async fn first_of(
    store: &DepotStore,
    ledger: &DepotLedger,
    key: &ObjectRef,
) -> Result<Option<ListedVersion>> {
    let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable {
        reason: "staging cannot be listed".into(),
        source: Some(source),
    };
    let options = ListVersions {
        prefix: key.key.as_str().to_owned(),
        ..ListVersions::default()
    };
    let page = store
        .list_versions(&key.bucket, options)
        .await
        .map_err(|error| unavailable(Box::new(error)))?;
    for version in page.versions.into_iter().rev() {
        if version.key != key.key || version.is_delete_marker {
            continue;
        }
        let at = VersionRef {
            bucket: key.bucket.clone(),
            key: key.key.clone(),
            version_id: version.version_id.clone(),
        };
        let row = ledger.find(&at).await;
        if row.map_err(|error| unavailable(Box::new(error)))?.is_none() {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// Whether a key begins with a prefix and is longer.
pub(crate) fn is_below(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty())
}

/// A version without a row as an upload that waits.
pub(crate) fn shown(key: ObjectRef, version: &ListedVersion) -> Result<uploads::Upload> {
    Ok(uploads::Upload {
        id: upload_id::of_version(&key, &version.version_id)?,
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
