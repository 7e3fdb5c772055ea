//! Lists.

use std::iter::Peekable;

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::EncodingType;
use two_buckets_objects::{
    BucketName, ETag, Error, LIST_PAGE_MAX, ListVersions, ListedVersion, ObjectRef, Result,
    VersionId, VersionMarker, VersionPage,
};

use super::S3Store;
use super::failure::{Does, failure, name};
use super::metadata::{timestamp, version_id};
use super::names::listed_key;

impl S3Store {
    /// `ListObjectVersions` (S3 API).
    ///
    /// The SDK gives versions and delete markers in two lists, each in S3's order. They are put together by key and then
    /// by time; of a version and a delete marker of the same second S3's order is not known, except that the current
    /// one is first.
    pub(super) async fn list(
        &self,
        bucket: &BucketName,
        options: ListVersions,
    ) -> Result<VersionPage> {
        let limit = match options.limit {
            0 => LIST_PAGE_MAX,
            limit => limit.min(LIST_PAGE_MAX),
        };
        let (after_key, after_version) = match options.after {
            Some(marker) => (
                Some(marker.key.as_str().to_owned()),
                marker.version_id.map(|id| id.as_str().to_owned()),
            ),
            None => (None, None),
        };
        let prefix = Some(options.prefix).filter(|prefix| !prefix.is_empty());
        let page = self
            .client
            .list_object_versions()
            .bucket(bucket.as_str())
            .set_prefix(prefix)
            .set_key_marker(after_key)
            .set_version_id_marker(after_version)
            .set_max_keys(i32::try_from(limit).ok())
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| failure(&format!("bucket {bucket}"), Does::Read, error))?;
        let next = if page.is_truncated() == Some(true) {
            Some(next_marker(bucket, &page)?)
        } else {
            None
        };
        Ok(VersionPage {
            versions: entries(&page)?,
            next,
        })
    }

    /// `ListMultipartUploads` (S3 API). Uploads of the key itself come before those of keys it is a prefix of.
    pub(super) async fn find_open_multipart(&self, at: &ObjectRef) -> Result<bool> {
        let page = self
            .client
            .list_multipart_uploads()
            .bucket(at.bucket.as_str())
            .prefix(at.key.as_str())
            .max_uploads(1)
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| failure(&name(at), Does::Read, error))?;
        match page.uploads().first().and_then(|upload| upload.key()) {
            Some(key) => Ok(listed_key(key)? == at.key),
            None => Ok(false),
        }
    }
}

fn next_marker(bucket: &BucketName, page: &ListObjectVersionsOutput) -> Result<VersionMarker> {
    let key = page.next_key_marker().ok_or_else(|| Error::Unavailable {
        reason: format!("bucket {bucket}: a page of its list does not say where the next begins"),
        source: None,
    })?;
    let id = page.next_version_id_marker().filter(|id| !id.is_empty());
    Ok(VersionMarker {
        key: listed_key(key)?,
        version_id: id.map(VersionId::new),
    })
}

fn entries(page: &ListObjectVersionsOutput) -> Result<Vec<ListedVersion>> {
    let incomplete = || Error::Unavailable {
        reason: "an entry of a list has no key or no time".into(),
        source: None,
    };
    let mut versions = Vec::with_capacity(page.versions().len());
    for version in page.versions() {
        versions.push(ListedVersion {
            key: listed_key(version.key().ok_or_else(incomplete)?)?,
            version_id: version_id(version.version_id()),
            is_latest: version.is_latest() == Some(true),
            is_delete_marker: false,
            last_modified: timestamp(version.last_modified().ok_or_else(incomplete)?),
            size_bytes: version
                .size()
                .and_then(|size| u64::try_from(size).ok())
                .ok_or_else(incomplete)?,
            etag: version.e_tag().map(ETag::new),
        });
    }
    let mut markers = Vec::with_capacity(page.delete_markers().len());
    for marker in page.delete_markers() {
        markers.push(ListedVersion {
            key: listed_key(marker.key().ok_or_else(incomplete)?)?,
            version_id: version_id(marker.version_id()),
            is_latest: marker.is_latest() == Some(true),
            is_delete_marker: true,
            last_modified: timestamp(marker.last_modified().ok_or_else(incomplete)?),
            size_bytes: 0,
            etag: None,
        });
    }
    Ok(merged(versions, markers))
}

/// Two lists, each in S3's order, as one; none of them is put into another order by it.
fn merged(versions: Vec<ListedVersion>, markers: Vec<ListedVersion>) -> Vec<ListedVersion> {
    let mut all = Vec::with_capacity(versions.len() + markers.len());
    let mut versions = versions.into_iter().peekable();
    let mut markers = markers.into_iter().peekable();
    while let Some(next) = next_of(&mut versions, &mut markers) {
        all.push(next);
    }
    all
}

fn next_of<I: Iterator<Item = ListedVersion>>(
    versions: &mut Peekable<I>,
    markers: &mut Peekable<I>,
) -> Option<ListedVersion> {
    let marker_is_first = match (versions.peek(), markers.peek()) {
        (Some(version), Some(marker)) => {
            let place = |one: &ListedVersion| (!one.is_latest, -one.last_modified.millis());
            (&marker.key, place(marker)) < (&version.key, place(version))
        }
        (None, Some(_)) => true,
        (_, None) => false,
    };
    if marker_is_first {
        markers.next()
    } else {
        versions.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::Timestamp;

    fn entry(key: &str, id: &str, millis: i64, is_latest: bool) -> ListedVersion {
        ListedVersion {
            key: key.parse().unwrap(),
            version_id: VersionId::new(id),
            is_latest,
            is_delete_marker: false,
            last_modified: Timestamp::from_millis(millis),
            size_bytes: 0,
            etag: None,
        }
    }

    #[test]
    fn versions_and_delete_markers_are_one_list_by_key_and_then_the_newest_first() {
        let versions = vec![
            entry("a", "a2", 2, false),
            // An upload of parts is as old as its beginning, wherever S3 lists it.
            entry("a", "a1", 9, false),
            entry("b", "b1", 1, true),
            entry("c", "c1", 5, false),
        ];
        let markers = vec![
            entry("a", "a4", 4, true),
            entry("a", "a0", 0, false),
            entry("c", "c2", 5, true),
        ];
        let merged = merged(versions, markers);
        let ids: Vec<&str> = merged.iter().map(|one| one.version_id.as_str()).collect();
        assert_eq!(ids, ["a4", "a2", "a1", "a0", "b1", "c2", "c1"]);
    }
}
