//! `ListObjects`, `ListObjectsV2` and `ListObjectVersions`.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, DeleteMarkerEntry, EncodingType, ListObjectVersionsInput,
    ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, ObjectStorageClass, ObjectVersion, ObjectVersionStorageClass,
};
use s3s::{S3Request, S3Response, S3Result};
use two_buckets_depot::{ListObjects, ListedObject};

use super::{Backend, convert};

/// What stands before a continuation token, so that a key sent by mistake is not taken for one.
const TOKEN_PREFIX: &str = "1:";

/// How keys are written into XML: as they are, or percent-encoded for those that XML cannot carry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    pub(super) fn of(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some("url") => Ok(Self::Url),
            Some(_) => Err(convert::invalid_argument("encoding-type must be url")),
        }
    }

    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            // S3 leaves the slash as it is here.
            Self::Url => crate::sign::encoded(text.as_bytes(), true),
        }
    }

    pub(super) fn apply_opt(self, text: Option<&str>) -> Option<String> {
        text.filter(|text| !text.is_empty())
            .map(|text| self.apply(text))
    }

    pub(super) fn prefixes(self, prefixes: &[String]) -> Vec<CommonPrefix> {
        prefixes
            .iter()
            .map(|prefix| CommonPrefix {
                prefix: Some(self.apply(prefix)),
            })
            .collect()
    }
}

impl Backend {
    pub(super) async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = convert::limit("max-keys", input.max_keys)?;
        let options = ListObjects {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after: input.marker.clone().filter(|marker| !marker.is_empty()),
            after_version: None,
            limit: Some(limit),
        };
        let page = self
            .store
            .call(move |depot| depot.list_objects(&bucket, &options))
            .await?;
        let contents = page
            .entries
            .iter()
            .map(|entry| object(entry, encoding, true))
            .collect();
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoding.apply(input.prefix.as_deref().unwrap_or_default())),
            marker: Some(encoding.apply(input.marker.as_deref().unwrap_or_default())),
            max_keys: Some(convert::count(limit)),
            is_truncated: Some(page.next.is_some()),
            contents: Some(contents),
            common_prefixes: Some(encoding.prefixes(&page.common_prefixes)),
            // S3 gives it only with a delimiter; without, the last key is the marker. Ours is right either way, and
            // clients that page without a delimiter do not look at it.
            next_marker: page
                .next
                .filter(|_| input.delimiter.as_deref().is_some_and(|d| !d.is_empty()))
                .map(|(key, _)| encoding.apply(&key)),
            delimiter: encoding.apply_opt(input.delimiter.as_deref()),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        }))
    }

    pub(super) async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = convert::limit("max-keys", input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => Some(open_token(token)?),
            None => input.start_after.clone().filter(|after| !after.is_empty()),
        };
        let options = ListObjects {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after,
            after_version: None,
            limit: Some(limit),
        };
        let page = self
            .store
            .call(move |depot| depot.list_objects(&bucket, &options))
            .await?;
        let with_owner = input.fetch_owner.unwrap_or(false);
        let contents: Vec<Object> = page
            .entries
            .iter()
            .map(|entry| object(entry, encoding, with_owner))
            .collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoding.apply(input.prefix.as_deref().unwrap_or_default())),
            max_keys: Some(convert::count(limit)),
            key_count: Some(convert::count(contents.len() + page.common_prefixes.len())),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|(key, _)| seal_token(&key)),
            contents: Some(contents),
            common_prefixes: Some(encoding.prefixes(&page.common_prefixes)),
            delimiter: encoding.apply_opt(input.delimiter.as_deref()),
            encoding_type: input.encoding_type,
            start_after: encoding.apply_opt(input.start_after.as_deref()),
            ..ListObjectsV2Output::default()
        }))
    }

    pub(super) async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = convert::limit("max-keys", input.max_keys)?;
        let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
        let version_marker = input
            .version_id_marker
            .clone()
            .filter(|marker| !marker.is_empty());
        if version_marker.is_some() && key_marker.is_none() {
            return Err(convert::invalid_argument(
                "a version-id-marker cannot be given without a key-marker",
            ));
        }
        let options = ListObjects {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after: key_marker,
            after_version: version_marker,
            limit: Some(limit),
        };
        let page = self
            .store
            .call(move |depot| depot.list_versions(&bucket, &options))
            .await?;
        let mut versions = Vec::new();
        let mut delete_markers = Vec::new();
        for entry in &page.entries {
            let key = Some(encoding.apply(entry.key.as_str()));
            let last_modified = Some(convert::timestamp(entry.last_modified));
            let version_id = Some(entry.version_id.as_str().to_owned());
            if entry.is_delete_marker {
                delete_markers.push(DeleteMarkerEntry {
                    is_latest: Some(entry.is_latest),
                    key,
                    last_modified,
                    owner: Some(convert::owner()),
                    version_id,
                });
            } else {
                versions.push(ObjectVersion {
                    e_tag: entry.etag.as_ref().map(convert::etag),
                    is_latest: Some(entry.is_latest),
                    key,
                    last_modified,
                    owner: Some(convert::owner()),
                    size: Some(convert::size(entry.size_bytes)),
                    storage_class: Some(ObjectVersionStorageClass::from_static(
                        ObjectVersionStorageClass::STANDARD,
                    )),
                    version_id,
                    ..ObjectVersion::default()
                });
            }
        }
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(encoding.apply(input.prefix.as_deref().unwrap_or_default())),
            key_marker: Some(encoding.apply(input.key_marker.as_deref().unwrap_or_default())),
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            max_keys: Some(convert::count(limit)),
            is_truncated: Some(page.next.is_some()),
            next_key_marker: page.next.as_ref().map(|(key, _)| encoding.apply(key)),
            next_version_id_marker: page.next.and_then(|(_, version)| version),
            versions: Some(versions),
            delete_markers: Some(delete_markers),
            common_prefixes: Some(encoding.prefixes(&page.common_prefixes)),
            delimiter: encoding.apply_opt(input.delimiter.as_deref()),
            encoding_type: input.encoding_type,
            ..ListObjectVersionsOutput::default()
        }))
    }
}

fn object(entry: &ListedObject, encoding: Encoding, with_owner: bool) -> Object {
    Object {
        checksum_algorithm: entry
            .checksum
            .map(|(algorithm, _)| vec![convert::checksum_algorithm(algorithm)]),
        checksum_type: entry.checksum.map(|(_, kind)| convert::checksum_type(kind)),
        e_tag: Some(convert::etag(&entry.etag)),
        key: Some(encoding.apply(entry.key.as_str())),
        last_modified: Some(convert::timestamp(entry.last_modified)),
        owner: with_owner.then(convert::owner),
        size: Some(convert::size(entry.size_bytes)),
        storage_class: Some(ObjectStorageClass::from_static(
            ObjectStorageClass::STANDARD,
        )),
        ..Object::default()
    }
}

/// A token is opaque to clients. It names the last key shown, so it stays good however long it is kept.
fn seal_token(key: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX}{key}"))
}

fn open_token(token: &str) -> S3Result<String> {
    BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(TOKEN_PREFIX).map(str::to_owned))
        .ok_or_else(|| convert::invalid_argument("the continuation token is not one of ours"))
}
