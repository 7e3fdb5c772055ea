//! The steps' questions to the store and what its answers mean for them.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use two_buckets_objects::{
    BucketName, CopyOptions, Error, Key, ListVersions, ListedVersion, ObjectRef, ObjectStore,
    Result, VersionRef, WriteCondition, Written,
};

use crate::archive::{Mark, late_key};
use crate::step::{CopyFailure, Input};

/// The most versions of one key that a turn looks at, the oldest first; some ten megabytes of them.
/// A key with more is worked on from its oldest end as ever.
pub(crate) const VERSIONS_OF_KEY_MAX: usize = 100_000;
/// How much of the list is asked for at first: nearly every key has fewer versions, and what comes behind them in the list
/// are other keys.
const FIRST_PAGE: usize = 10;
/// By how much two of a store's machines may differ about the time.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_mins(1);

/// Gathers the versions of exactly one key out of the pages of a list that begins with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionsOfKey {
    key: Key,
    versions: VecDeque<ListedVersion>,
    is_complete: bool,
}

impl VersionsOfKey {
    /// None is seen yet.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            versions: VecDeque::new(),
            is_complete: true,
        }
    }

    /// Takes the list's next entry; breaks at the first one of another key, behind which there is none of this.
    pub fn see(&mut self, version: ListedVersion) -> ControlFlow<()> {
        // The key itself comes before all keys it is a prefix of.
        if version.key != self.key {
            return ControlFlow::Break(());
        }
        if version.is_delete_marker {
            return ControlFlow::Continue(());
        }
        if self.versions.len() == VERSIONS_OF_KEY_MAX {
            self.versions.pop_back();
            self.is_complete = false;
        }
        self.versions.push_front(version);
        ControlFlow::Continue(())
    }

    /// The versions, oldest first and without delete markers, and whether these are all.
    pub fn into_versions(self) -> (Vec<ListedVersion>, bool) {
        (self.versions.into(), self.is_complete)
    }
}

/// The versions of exactly this key, oldest first and without delete markers, and whether these are all.
pub(crate) async fn versions_of<S: ObjectStore>(
    store: &S,
    key: &ObjectRef,
) -> Result<(Vec<ListedVersion>, bool)> {
    let mut seen = VersionsOfKey::new(key.key.clone());
    let mut options = ListVersions {
        prefix: key.key.as_str().into(),
        limit: FIRST_PAGE,
        ..ListVersions::default()
    };
    loop {
        let page = store.list_versions(&key.bucket, options.clone()).await?;
        options.limit = 0;
        for version in page.versions {
            if seen.see(version).is_break() {
                return Ok(seen.into_versions());
            }
        }
        match page.next {
            Some(next) => options.after = Some(next),
            None => return Ok(seen.into_versions()),
        }
    }
}

pub(crate) async fn head_source<S: ObjectStore>(store: &S, version: &VersionRef) -> Input {
    match store.head_version(version).await {
        Ok(source) => Input::Source(Some(Box::new(source))),
        Err(Error::NotFound { .. }) => Input::Source(None),
        Err(error) => Input::StoreFailed(error.to_string()),
    }
}

pub(crate) async fn head_archive<S: ObjectStore>(
    store: &S,
    archive: &BucketName,
    key: &Key,
) -> Input {
    let at = ObjectRef {
        bucket: archive.clone(),
        key: key.clone(),
    };
    match store.head(&at).await {
        Ok(current) => Input::ArchiveHead(Some(Box::new(current))),
        Err(Error::NotFound { .. }) => Input::ArchiveHead(None),
        Err(error) => Input::StoreFailed(error.to_string()),
    }
}

/// Looks for the mark among all versions of the key in the archive, current or not, and under the late key.
pub(crate) async fn find_archived<S: ObjectStore>(
    store: &S,
    archive: &BucketName,
    key: &Key,
    mark: &Mark,
    size_bytes: u64,
) -> Input {
    for key in [key.clone(), late_key(key, mark)] {
        let at = ObjectRef {
            bucket: archive.clone(),
            key,
        };
        match find_marked(store, &at, mark, size_bytes).await {
            Ok(None) => {}
            Ok(found) => return Input::FoundArchived(found),
            Err(error) => return Input::StoreFailed(error.to_string()),
        }
    }
    Input::FoundArchived(None)
}

/// From the newest on. A copy is made when its source is whole, so it is not older than that, and what is older was not
/// looked for: a key that is overwritten every minute has many versions, and an interrupted upload is soon found.
async fn find_marked<S: ObjectStore>(
    store: &S,
    at: &ObjectRef,
    mark: &Mark,
    size_bytes: u64,
) -> Result<Option<VersionRef>> {
    let mut options = ListVersions {
        prefix: at.key.as_str().into(),
        ..ListVersions::default()
    };
    loop {
        let page = store.list_versions(&at.bucket, options.clone()).await?;
        for version in page.versions {
            // The key itself comes before all keys it is a prefix of.
            let is_older =
                version.last_modified.after(CLOCKS_DIFFER_MAX) < mark.order.last_modified;
            if version.key != at.key || is_older {
                return Ok(None);
            }
            if version.is_delete_marker || version.size_bytes != size_bytes {
                continue;
            }
            let at = VersionRef {
                bucket: at.bucket.clone(),
                key: version.key,
                version_id: version.version_id,
            };
            match store.head_version(&at).await {
                Ok(info) if Mark::of(&info.metadata).as_ref() == Some(mark) => return Ok(Some(at)),
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match page.next {
            Some(next) => options.after = Some(next),
            None => return Ok(None),
        }
    }
}

pub(crate) async fn copy<S: ObjectStore>(
    store: &S,
    from: &VersionRef,
    to: &ObjectRef,
    condition: WriteCondition,
    metadata: Vec<(String, String)>,
) -> Input {
    let options = CopyOptions {
        condition,
        add_user_metadata: metadata,
    };
    copied(store.copy_version(from, to, options).await)
}

/// What a store's answer to a copy means for the steps.
pub fn copied(result: Result<Written>) -> Input {
    match result {
        Ok(written) => Input::Copied(written),
        Err(Error::ConditionFailed { .. }) => Input::CopyFailed(CopyFailure::ConditionFailed),
        Err(Error::NotFound { .. }) => Input::CopyFailed(CopyFailure::SourceGone),
        Err(Error::Refused { reason }) => Input::CopyFailed(CopyFailure::Refused(reason)),
        Err(
            error
            @ (Error::NotWritten { .. } | Error::Unavailable { .. } | Error::Integrity { .. }),
        ) => Input::CopyFailed(CopyFailure::NotWritten(error.to_string())),
        Err(error) => Input::CopyFailed(CopyFailure::Unknown(error.to_string())),
    }
}
