//! What the store must do, as plainly as it can be said: maps of lists, no rows, no bytes on a disk.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use two_buckets_depot::{Selector, Versioning};
use two_buckets_objects::{ETag, Key, PART_SIZE_BYTES_MIN, VersionId, WriteCondition};

/// Bytes as runs of one byte, so that large ones cost nothing.
pub(crate) type Runs = Vec<(u8, u64)>;

pub(crate) fn size_of(runs: &Runs) -> u64 {
    runs.iter().map(|(_, length)| length).sum()
}

pub(crate) fn md5_of(runs: &Runs) -> [u8; 16] {
    let mut hasher = Md5::new();
    let block = |fill| [fill; 4096];
    for (fill, length) in runs {
        let mut left = *length;
        while left > 0 {
            let now = left.min(4096);
            hasher.update(&block(*fill)[..usize::try_from(now).unwrap()]);
            left -= now;
        }
    }
    hasher.finalize().into()
}

/// A part of runs.
pub(crate) fn cut(runs: &Runs, from: u64, to: u64) -> Runs {
    let mut start = 0;
    let mut cut = Runs::new();
    for (fill, length) in runs {
        let (a, b) = (from.max(start), to.min(start + length));
        if a < b {
            cut.push((*fill, b - a));
        }
        start += length;
    }
    cut
}

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) buckets: BTreeMap<String, ModelBucket>,
    pub(crate) uploads: Vec<ModelUpload>,
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
    serial: u64,
}

#[derive(Clone)]
pub(crate) struct ModelBucket {
    pub(crate) versioning: Versioning,
    /// Each key's versions, the newest first.
    pub(crate) keys: BTreeMap<Key, Vec<ModelVersion>>,
}

#[derive(Clone)]
pub(crate) struct ModelVersion {
    pub(crate) serial: u64,
    /// As the store gave it; none if it never answered.
    pub(crate) id: Option<VersionId>,
    pub(crate) is_null: bool,
    /// None for a delete marker.
    pub(crate) object: Option<ModelObject>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ModelObject {
    pub(crate) runs: Runs,
    pub(crate) etag: ETag,
    pub(crate) user: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Numbers and sizes.
    pub(crate) parts: Vec<(u32, u64)>,
}

#[derive(Clone)]
pub(crate) struct ModelUpload {
    pub(crate) bucket: String,
    pub(crate) key: Key,
    pub(crate) serial: u64,
    pub(crate) is_open: bool,
    pub(crate) parts: BTreeMap<u32, Runs>,
    /// The parts it was completed with, and what was answered.
    pub(crate) completed: Option<(Vec<u32>, Answer)>,
}

/// What the model says a write does.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answer {
    Done,
    Written {
        serial: u64,
        is_null: bool,
        etag: ETag,
        is_latest: bool,
    },
    Marked {
        serial: u64,
        is_null: bool,
    },
    Removed {
        was_marker: bool,
    },
}

type Place<'a> = (&'a str, &'a Key);
type Refused = &'static str;

impl Model {
    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn bucket(&self, name: &str) -> Result<&ModelBucket, Refused> {
        self.buckets.get(name).ok_or("NoSuchBucket")
    }

    pub(crate) fn versions(&self, (bucket, key): Place<'_>) -> &[ModelVersion] {
        self.buckets
            .get(bucket)
            .and_then(|bucket| bucket.keys.get(key))
            .map_or(&[], Vec::as_slice)
    }

    fn versions_mut(&mut self, (bucket, key): Place<'_>) -> &mut Vec<ModelVersion> {
        let bucket = self.buckets.get_mut(bucket).unwrap();
        bucket.keys.entry(key.clone()).or_default()
    }

    pub(crate) fn current(&self, at: Place<'_>) -> Option<&ModelObject> {
        self.versions(at).first()?.object.as_ref()
    }

    /// The version a selector means. `None` as an id stands for one that is not there.
    pub(crate) fn select(
        &self,
        at: Place<'_>,
        version: &Selector,
    ) -> Result<&ModelVersion, Refused> {
        self.bucket(at.0)?;
        match version {
            Selector::Current => self
                .versions(at)
                .first()
                .filter(|version| version.object.is_some())
                .ok_or("NoSuchKey"),
            Selector::Version(id) => {
                let found = self
                    .versions(at)
                    .iter()
                    .find(|version| version.id.as_ref() == Some(id))
                    .ok_or("NoSuchVersion")?;
                if found.object.is_none() {
                    return Err("IsDeleteMarker");
                }
                Ok(found)
            }
        }
    }

    fn check(&self, at: Place<'_>, condition: &WriteCondition) -> Result<(), Refused> {
        let current = self.current(at);
        match (condition, current) {
            (WriteCondition::None, _) | (WriteCondition::IfNoneMatch, None) => Ok(()),
            (WriteCondition::IfMatch(_), None) => Err("NoSuchKey"),
            (WriteCondition::IfMatch(tag), Some(object))
                if *tag == object.etag || tag.as_str() == "*" =>
            {
                Ok(())
            }
            _ => Err("ConditionFailed"),
        }
    }

    /// Puts a version in its place; where versions are not kept it takes the place of `null`.
    fn insert(&mut self, at: Place<'_>, serial: u64, object: Option<ModelObject>) -> Answer {
        let is_null = self.buckets[at.0].versioning != Versioning::Enabled;
        let is_marker = object.is_none();
        let etag = object
            .as_ref()
            .map_or(ETag::new(""), |object| object.etag.clone());
        let versions = self.versions_mut(at);
        if is_null {
            versions.retain(|version| !version.is_null);
        }
        versions.push(ModelVersion {
            serial,
            id: is_null.then(|| VersionId::new("null")),
            is_null,
            object,
        });
        versions.sort_by_key(|version| std::cmp::Reverse(version.serial));
        let is_latest = versions[0].serial == serial;
        if is_marker {
            Answer::Marked { serial, is_null }
        } else {
            Answer::Written {
                serial,
                is_null,
                etag,
                is_latest,
            }
        }
    }

    pub(crate) fn put(
        &mut self,
        at: Place<'_>,
        runs: Runs,
        condition: &WriteCondition,
    ) -> Result<Answer, Refused> {
        self.bucket(at.0)?;
        self.check(at, condition)?;
        let object = ModelObject {
            etag: ETag::of_md5(md5_of(&runs)),
            runs,
            user: BTreeMap::new(),
            tags: BTreeMap::new(),
            parts: Vec::new(),
        };
        let serial = self.next();
        Ok(self.insert(at, serial, Some(object)))
    }

    pub(crate) fn delete(
        &mut self,
        at: Place<'_>,
        version: &Selector,
        condition: &WriteCondition,
    ) -> Result<Answer, Refused> {
        self.bucket(at.0)?;
        self.check(at, condition)?;
        if let Selector::Version(id) = version {
            let versions = self.versions_mut(at);
            let Some(index) = versions
                .iter()
                .position(|version| version.id.as_ref() == Some(id))
            else {
                return Ok(Answer::Removed { was_marker: false });
            };
            let removed = versions.remove(index);
            return Ok(Answer::Removed {
                was_marker: removed.object.is_none(),
            });
        }
        if self.buckets[at.0].versioning == Versioning::Unversioned {
            self.versions_mut(at).clear();
            return Ok(Answer::Removed { was_marker: false });
        }
        let serial = self.next();
        Ok(self.insert(at, serial, None))
    }

    pub(crate) fn copy(
        &mut self,
        from: Place<'_>,
        version: &Selector,
        to: Place<'_>,
        condition: &WriteCondition,
        change: impl FnOnce(&mut ModelObject),
    ) -> Result<Answer, Refused> {
        let mut object = self.select(from, version)?.object.clone().unwrap();
        self.bucket(to.0)?;
        self.check(to, condition).map_err(|_| "ConditionFailed")?;
        change(&mut object);
        let serial = self.next();
        Ok(self.insert(to, serial, Some(object)))
    }

    pub(crate) fn move_version(
        &mut self,
        from: Place<'_>,
        id: &VersionId,
        to: Place<'_>,
        change: impl FnOnce(&mut ModelObject),
    ) -> Result<Answer, Refused> {
        let source = self.select(from, &Selector::Version(id.clone()))?.clone();
        self.bucket(to.0)?;
        self.versions_mut(from)
            .retain(|version| version.serial != source.serial);
        let mut object = source.object.unwrap();
        change(&mut object);
        let serial = self.next();
        Ok(self.insert(to, serial, Some(object)))
    }

    pub(crate) fn set_tags(
        &mut self,
        at: Place<'_>,
        version: &Selector,
        tags: &BTreeMap<String, String>,
    ) -> Result<Answer, Refused> {
        let serial = self.select(at, version)?.serial;
        for version in self.versions_mut(at) {
            if version.serial == serial {
                version.object.as_mut().unwrap().tags.clone_from(tags);
            }
        }
        Ok(Answer::Done)
    }

    pub(crate) fn create_upload(&mut self, (bucket, key): Place<'_>) -> Result<Answer, Refused> {
        self.bucket(bucket)?;
        let serial = self.next();
        self.uploads.push(ModelUpload {
            bucket: bucket.to_owned(),
            key: key.clone(),
            serial,
            is_open: true,
            parts: BTreeMap::new(),
            completed: None,
        });
        Ok(Answer::Done)
    }

    fn open_upload(&mut self, upload: usize) -> Result<&mut ModelUpload, Refused> {
        let bucket = self.uploads[upload].bucket.clone();
        self.bucket(&bucket)?;
        Some(&mut self.uploads[upload])
            .filter(|upload| upload.is_open)
            .ok_or("NoSuchUpload")
    }

    pub(crate) fn put_part(
        &mut self,
        upload: usize,
        number: u32,
        runs: Runs,
    ) -> Result<Answer, Refused> {
        self.open_upload(upload)?.parts.insert(number, runs);
        Ok(Answer::Done)
    }

    pub(crate) fn put_part_copy(
        &mut self,
        upload: usize,
        number: u32,
        from: Place<'_>,
        version: &Selector,
        range: Option<(u64, u64)>,
    ) -> Result<Answer, Refused> {
        self.open_upload(upload)?;
        let runs = self
            .select(from, version)?
            .object
            .as_ref()
            .unwrap()
            .runs
            .clone();
        let runs = match range {
            None => runs,
            Some((first, last)) => {
                let cut = cut(&runs, first, last + 1);
                if size_of(&cut) == 0 {
                    return Err("InvalidArgument");
                }
                cut
            }
        };
        self.put_part(upload, number, runs)
    }

    pub(crate) fn abort(&mut self, upload: usize) -> Result<Answer, Refused> {
        let upload = self.open_upload(upload)?;
        upload.is_open = false;
        upload.parts.clear();
        Ok(Answer::Done)
    }

    /// `named` are numbers and whether the tag given is the right one.
    pub(crate) fn complete(
        &mut self,
        upload: usize,
        named: &[(u32, bool)],
        condition: &WriteCondition,
    ) -> Result<Answer, Refused> {
        if named.is_empty() {
            return Err("InvalidArgument");
        }
        if named.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err("InvalidPartOrder");
        }
        if self.open_upload(upload).is_err() {
            return self.complete_again(upload, named);
        }
        let open = self.uploads[upload].clone();
        let mut parts = Vec::new();
        for (number, is_right) in named {
            let runs = open.parts.get(number).filter(|_| *is_right);
            parts.push((*number, runs.ok_or("InvalidPart")?.clone()));
        }
        let (_, before_last) = parts.split_last().unwrap();
        if before_last
            .iter()
            .any(|(_, runs)| size_of(runs) < PART_SIZE_BYTES_MIN)
        {
            return Err("EntityTooSmall");
        }
        let at = (open.bucket.as_str(), &open.key);
        self.check(at, condition)?;
        let object = ModelObject {
            runs: parts.iter().flat_map(|(_, runs)| runs.clone()).collect(),
            etag: ETag::of_parts(parts.iter().map(|(_, runs)| md5_of(runs))),
            user: BTreeMap::new(),
            tags: BTreeMap::new(),
            parts: parts
                .iter()
                .map(|(number, runs)| (*number, size_of(runs)))
                .collect(),
        };
        self.uploads[upload].is_open = false;
        let answer = self.insert(at, open.serial, Some(object));
        let numbers = named.iter().map(|(number, _)| *number).collect();
        self.uploads[upload].completed = Some((numbers, answer.clone()));
        Ok(answer)
    }

    fn complete_again(&mut self, upload: usize, named: &[(u32, bool)]) -> Result<Answer, Refused> {
        let upload = &self.uploads[upload];
        self.bucket(&upload.bucket)?;
        let numbers: Vec<u32> = named.iter().map(|(number, _)| *number).collect();
        match &upload.completed {
            Some((parts, answer)) if *parts == numbers && named.iter().all(|(_, r)| *r) => {
                Ok(answer.clone())
            }
            _ => Err("NoSuchUpload"),
        }
    }

    pub(crate) fn set_versioning(
        &mut self,
        bucket: &str,
        versioning: Versioning,
    ) -> Result<Answer, Refused> {
        self.bucket(bucket)?;
        self.buckets.get_mut(bucket).unwrap().versioning = versioning;
        Ok(Answer::Done)
    }

    pub(crate) fn create_bucket(&mut self, bucket: &str) -> Result<Answer, Refused> {
        if self.buckets.contains_key(bucket) {
            return Err("BucketExists");
        }
        self.buckets.insert(
            bucket.to_owned(),
            ModelBucket {
                versioning: Versioning::Unversioned,
                keys: BTreeMap::new(),
            },
        );
        Ok(Answer::Done)
    }

    pub(crate) fn delete_bucket(&mut self, bucket: &str) -> Result<Answer, Refused> {
        let found = self.bucket(bucket)?;
        if found.keys.values().any(|versions| !versions.is_empty())
            || self
                .uploads
                .iter()
                .any(|upload| upload.is_open && upload.bucket == bucket)
        {
            return Err("BucketNotEmpty");
        }
        self.buckets.remove(bucket);
        for upload in &mut self.uploads {
            if upload.bucket == bucket {
                upload.completed = None;
            }
        }
        Ok(Answer::Done)
    }

    /// Notes the id the store gave a version.
    pub(crate) fn set_id(&mut self, serial: u64, id: &VersionId) {
        for bucket in self.buckets.values_mut() {
            for version in bucket.keys.values_mut().flatten() {
                if version.serial == serial {
                    assert_eq!(id.is_null(), version.is_null);
                    version.id = Some(id.clone());
                }
            }
        }
    }
}
