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
                    .map_or_else(String::new, |key| key.as_str().to_owned()),
                after: None,
                limit: (query.limit + LOOK_FURTHER).min(two_buckets_objects::LIST_PAGE_MAX),
            },
        )
        .await
        .map_err(|error| unavailable(Box::new(error)))?;
    let mut waiting = Waiting {
        uploads: Vec::new(),
        is_complete: page.next.is_none(),
    };
    for version in page.versions {
        let is_wanted = !version.is_delete_marker
            && query.key.as_ref().is_none_or(|key| *key == version.key)
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
        if row.map_err(|error| unavailable(Box::new(error)))?.is_none() {
            waiting.uploads.push(shown(at.object(), &version)?);
        }
    }
    waiting
        .uploads
        .sort_by_key(|upload| std::cmp::Reverse(upload.received_at));
    Ok(waiting)
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
        next_attempt_at: None,
        reason: None,
        archive: None,
        media_type: None,
        sha256: None,
        report: None,
    })
}
