//! Both buckets, as S3 keeps them: what is listed, copied and deleted, and how a call may fail.

use std::sync::Arc;

use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ETag, Error, Key, ListedVersion, Metadata, ObjectInfo,
    ObjectRef, Timestamp, VersionId, VersionRef, WriteCondition, Written,
};
use two_buckets_pipeline::State;
use two_buckets_pipeline::archive::{Mark, late_key};
use two_buckets_pipeline::staging::{VersionsOfKey, copied};
use two_buckets_pipeline::step::Input;
use two_buckets_pipeline::verify::{Expected, Verdict, compare};

use super::bugs;
use super::configuration::{Configuration, KEYS, Sent};
use super::moves::Fate;
use super::promises::Promise;
use super::world::{Archived, World, object};

/// The bytes of a version in staging.
pub(super) fn content(config: &Configuration, version_id: &str) -> u8 {
    let sent = config.sent.iter().find(|sent| sent.name == version_id);
    sent.map_or(0, |sent| sent.content)
}

/// A checksum over these bytes.
pub(super) fn checksum(content: u8) -> Checksum {
    Checksum {
        algorithm: Algorithm::Crc64Nvme,
        kind: ChecksumKind::FullObject,
        value: [content; 8].into(),
    }
}

/// Equal bytes have an equal tag, as in S3 for what is sent or copied in one piece.
fn etag(content: u8) -> ETag {
    ETag::new(&content.to_string())
}

/// What a store says of a version with these bytes.
pub(super) fn info(
    at: VersionRef,
    content: u8,
    has_checksum: bool,
    mark: Option<&Mark>,
) -> ObjectInfo {
    let user = mark.map(Mark::pairs).unwrap_or_default();
    ObjectInfo {
        at,
        size_bytes: 1,
        etag: etag(content),
        last_modified: Timestamp::default(),
        checksums: has_checksum
            .then(|| checksum(content))
            .into_iter()
            .collect(),
        metadata: Metadata {
            user: user.into_iter().collect(),
            ..Metadata::default()
        },
    }
}

impl World {
    /// A client's upload is durable in staging.
    pub(super) fn put(&mut self, sent: &Sent) {
        self.insert(ListedVersion {
            key: object(sent.key).key,
            version_id: VersionId::new(sent.name),
            is_latest: false,
            is_delete_marker: false,
            last_modified: Timestamp::from_millis(sent.last_modified),
            size_bytes: 1,
            etag: Some(etag(sent.content)),
        });
    }

    /// A client deletes a key by its name: a marker hides what is there.
    pub(super) fn hide(&mut self, key: usize) {
        let of_key = self.staging.iter().filter(|entry| is_of(entry, key));
        let newest = of_key.map(|entry| entry.last_modified.millis()).max();
        self.insert(ListedVersion {
            key: object(key).key,
            version_id: VersionId::new(format!("marker-{}", self.markers)),
            is_latest: false,
            is_delete_marker: true,
            last_modified: Timestamp::from_millis(newest.unwrap_or(0) + 1),
            size_bytes: 0,
            etag: None,
        });
    }

    fn insert(&mut self, entry: ListedVersion) {
        self.staging.push(Arc::new(entry));
        self.staging.sort_by(|one, other| {
            let by_key = one.key.as_str().cmp(other.key.as_str());
            by_key.then(other.last_modified.cmp(&one.last_modified))
        });
    }

    /// What a list with this key as its prefix gives, all pages of it: longer keys too.
    pub(super) fn list(&self, config: &Configuration, key: usize) -> Vec<ListedVersion> {
        let listed = self
            .staging
            .iter()
            .filter(|entry| entry.key.as_str().starts_with(KEYS[key]))
            .map(|entry| (**entry).clone())
            .collect();
        bugs::listed(config.bug, &object(key).key, listed)
    }

    /// A key's versions by the real decision which entries are those.
    pub(super) fn versions_of(&self, config: &Configuration, key: usize) -> Input {
        let mut seen = VersionsOfKey::new(object(key).key);
        for entry in self.list(config, key) {
            if seen.see(entry).is_break() {
                break;
            }
        }
        let (versions, is_complete) = seen.into_versions();
        Input::Listed {
            versions,
            is_complete,
        }
    }

    /// What staging says of a version of this key.
    pub(super) fn source(
        &self,
        config: &Configuration,
        key: usize,
        version_id: &VersionId,
    ) -> Option<Box<ObjectInfo>> {
        self.staged(version_id.as_str())
            .filter(|entry| is_of(entry, key) && !entry.is_delete_marker)?;
        let at = VersionRef {
            bucket: object(key).bucket,
            key: object(key).key,
            version_id: version_id.clone(),
        };
        let bytes = content(config, version_id.as_str());
        let has_checksum = !config.minted.without_checksums;
        Some(Box::new(info(at, bytes, has_checksum, None)))
    }

    /// What the archive says of a key's current version.
    pub(super) fn archive_head(&self, key: &Key) -> Option<Box<ObjectInfo>> {
        self.current(key)
            .map(|copy| Box::new(info(copy.at.clone(), copy.content, true, Some(&copy.mark))))
    }

    /// The newest version with this mark under the key, or else under its late key.
    pub(super) fn find_archived(&self, key: usize, mark: &Mark) -> Option<VersionRef> {
        let key = object(key).key;
        let late = late_key(&key, mark);
        [key, late].iter().find_map(|key| {
            let mut copies = self.archive.iter().rev();
            copies
                .find(|copy| copy.at.key == *key && copy.mark == *mark)
                .map(|copy| copy.at.clone())
        })
    }

    /// Deletes exactly this version from staging, where there must be no need of it any more.
    pub(super) fn delete_version(&mut self, config: &Configuration, version_id: &VersionId) {
        let is_kept = |row: &two_buckets_pipeline::Upload| {
            let bytes = content(config, version_id.as_str());
            row.archive.is_some()
                || (row.state == State::Duplicate && self.has_recorded(config, bytes))
        };
        let is_there = self.staged(version_id.as_str()).is_some();
        if is_there && !self.row_of(version_id.as_str()).is_some_and(is_kept) {
            let how = format!("{version_id} leaves staging without a record");
            self.fail(Promise::KeptUntilRecorded, how);
        }
        self.staging.retain(|entry| entry.version_id != *version_id);
    }

    /// Removes a copy that is not as its source.
    pub(super) fn remove_copy(&mut self, at: &VersionRef) {
        let is_recorded = |row: &Arc<two_buckets_pipeline::Upload>| {
            row.archive.as_ref().is_some_and(|record| record.at == *at)
        };
        if self.rows.iter().any(is_recorded) {
            let how = format!("{} is removed from the archive and recorded", at.version_id);
            self.fail(Promise::RecordsAreTrue, how);
        }
        self.archive.retain(|copy| copy.at != *at);
    }

    /// Compares a copy with its source, by the real comparison; where checksums say nothing the bytes are read.
    pub(super) fn verify(
        &self,
        config: &Configuration,
        archived: &VersionRef,
        source: Option<&VersionId>,
        expected: &Expected,
    ) -> Input {
        let Some(copy) = self.archive.iter().find(|copy| copy.at == *archived) else {
            return Input::VerifyFailed;
        };
        let theirs = info(copy.at.clone(), copy.content, true, Some(&copy.mark));
        let ours = source.map_or(copy.content, |source| content(config, source.as_str()));
        match compare(expected, &theirs) {
            Verdict::Same(checksum) => Input::Verified(checksum),
            Verdict::Incomparable if ours == copy.content => Input::Verified(checksum(ours)),
            Verdict::Incomparable | Verdict::Different => Input::VerifyFailed,
        }
    }

    /// Adds a version to the archive, if nothing that is promised speaks against it.
    pub(super) fn archive(
        &mut self,
        config: &Configuration,
        to: &ObjectRef,
        mark: Mark,
        content: u8,
    ) -> VersionRef {
        let source = mark.source_version.clone();
        let key = self.row_of(source.as_str()).map(|row| row.key.key.clone());
        let is_right = |copy: &Arc<Archived>| copy.mark == mark && copy.content != 0;
        if self.archive.iter().any(is_right) {
            self.fail(Promise::ArchivedOnce, format!("{source} is archived twice"));
        }
        let is_newer = |copy: &Archived| copy.mark.order > mark.order;
        if key.as_ref() == Some(&to.key) && self.current(&to.key).is_some_and(is_newer) {
            let how = format!("the archive goes back to {source}");
            self.fail(Promise::CurrentNeverGoesBack, how);
        }
        if key.is_none_or(|key| to.key != key && to.key != late_key(&key, &mark)) {
            let how = format!("{source} goes to {}", to.key);
            self.fail(Promise::NothingIsMixedUp, how);
        }
        let sent = config
            .sent
            .iter()
            .position(|sent| sent.name == source.as_str());
        if sent.is_none_or(|n| self.accepted & (1 << n) == 0) {
            let how = format!("{source} goes to the archive and was never accepted");
            self.fail(Promise::AcceptedFirst, how);
        }
        let at = VersionRef {
            bucket: to.bucket.clone(),
            key: to.key.clone(),
            version_id: VersionId::new(format!("{source}-{}", self.archive.len())),
        };
        self.archive.push(Arc::new(Archived {
            at: at.clone(),
            mark,
            content,
        }));
        at
    }

    /// A conditional copy; none where this fate cannot be its.
    pub(super) fn copy(
        &mut self,
        config: &Configuration,
        version_id: &VersionId,
        to: &ObjectRef,
        condition: &WriteCondition,
        metadata: &[(String, String)],
        fate: Fate,
    ) -> Option<Input> {
        let unanswered = || Error::Unknown {
            reason: "trouble".into(),
            source: None,
        };
        let is_there = self.staged(version_id.as_str()).is_some();
        let holds = match (condition, self.current(&to.key)) {
            (WriteCondition::None, _) | (WriteCondition::IfNoneMatch, None) => true,
            (WriteCondition::IfMatch(tag), Some(copy)) => *tag == etag(copy.content),
            (WriteCondition::IfNoneMatch, Some(_)) | (WriteCondition::IfMatch(_), None) => false,
        };
        let result = match fate {
            Fate::Done if !is_there => Err(Error::NotFound {
                what: version_id.to_string(),
            }),
            Fate::Done if !holds => Err(Error::ConditionFailed {
                key: to.key.to_string(),
            }),
            Fate::Done => Ok(self.land(config, version_id, to, metadata, false)),
            Fate::NotWritten | Fate::ErrorInside200 => Err(Error::NotWritten {
                reason: "trouble".into(),
                source: None,
            }),
            Fate::Unanswered => Err(unanswered()),
            Fate::UnansweredButDone if is_there && holds => {
                self.land(config, version_id, to, metadata, false);
                Err(unanswered())
            }
            Fate::Wrong if is_there && holds => {
                Ok(self.land(config, version_id, to, metadata, true))
            }
            Fate::UnansweredButDone
            | Fate::Wrong
            | Fate::LeaseRanOut
            | Fate::Transient
            | Fate::Permanent
            | Fate::Crashed => return None,
        };
        Some(copied(result))
    }

    fn land(
        &mut self,
        config: &Configuration,
        version_id: &VersionId,
        to: &ObjectRef,
        metadata: &[(String, String)],
        is_wrong: bool,
    ) -> Written {
        let metadata = Metadata {
            user: metadata.iter().cloned().collect(),
            ..Metadata::default()
        };
        let mark = Mark::of(&metadata).expect("a copy brings its mark");
        let bytes = if is_wrong {
            0
        } else {
            content(config, version_id.as_str())
        };
        let at = self.archive(config, to, mark, bytes);
        Written {
            version_id: at.version_id,
            etag: etag(bytes),
            last_modified: Timestamp::default(),
        }
    }
}

pub(super) fn is_of(entry: &ListedVersion, key: usize) -> bool {
    entry.key.as_str() == KEYS[key]
}
