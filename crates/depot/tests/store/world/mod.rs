//! The store and the model side by side: each operation is done to both, and what they answer must agree.

mod lists;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{
    Body, CompletePart, CopyMetadata, CopyObject, CreateUpload, Deleted, Depot, Error, MoveVersion,
    OpenError, Options, PutObject, Result, RowTable, Selector, UploadId,
};
use two_buckets_objects::{
    Algorithm, BucketName, ByteRange, ETag, Key, Tags, VersionId, VersionRef, WriteCondition,
};

use crate::harness::{TestClock, object};
use crate::model::{Answer, Model, Runs};
use crate::operations::{At, BUCKETS, If, KEYS, Operation, Which};

const TABLE: RowTable = RowTable(7);

/// Where the store is kept.
#[derive(Clone)]
pub(crate) enum Place {
    Memory(MemoryStorage),
    Folder(PathBuf),
}

impl Place {
    pub(crate) fn open(&self, clock: &TestClock) -> Result<Depot, OpenError> {
        let options = Options {
            just_moved_grace: std::time::Duration::ZERO,
            ..clock.options()
        };
        match self {
            Self::Memory(storage) => Depot::open_on(Arc::new(storage.clone()), options),
            Self::Folder(folder) => Depot::open(folder, options),
        }
    }
}

pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) clock: TestClock,
    pub(crate) depot: Option<Depot>,
    pub(crate) model: Model,
    /// The ids of the model's uploads.
    uploads: Vec<UploadId>,
    /// The tags answered for the parts of each upload.
    part_tags: Vec<BTreeMap<u32, ETag>>,
    gone: Vec<VersionId>,
    seen: BTreeSet<String>,
    /// The id that each version was first told by.
    told: BTreeMap<u64, VersionId>,
    fill: u8,
}

/// What an operation did.
pub(crate) enum Step {
    Agreed,
    /// The store failed as a broken disk makes it, and this is the model had the operation happened.
    Broke(Box<Model>),
}

fn name_of(error: &Error) -> &'static str {
    match error {
        Error::NoSuchBucket(_) => "NoSuchBucket",
        Error::BucketExists(_) => "BucketExists",
        Error::BucketNotEmpty(_) => "BucketNotEmpty",
        Error::NoSuchKey { .. } => "NoSuchKey",
        Error::NoSuchVersion => "NoSuchVersion",
        Error::IsDeleteMarker { .. } => "IsDeleteMarker",
        Error::NoSuchUpload => "NoSuchUpload",
        Error::InvalidPart(_) => "InvalidPart",
        Error::InvalidPartOrder => "InvalidPartOrder",
        Error::EntityTooSmall { .. } => "EntityTooSmall",
        Error::EntityTooLarge { .. } => "EntityTooLarge",
        Error::ConditionFailed => "ConditionFailed",
        Error::InvalidArgument(_) => "InvalidArgument",
        _ => "broken",
    }
}

/// What the store answered, with the ids it gave.
enum Told {
    Done,
    Written(VersionId, ETag),
    Deleted(Deleted),
}

impl World {
    pub(crate) fn new(place: Place) -> Result<Self, OpenError> {
        let clock = TestClock::default();
        let depot = place.open(&clock)?;
        Ok(Self {
            place,
            clock,
            depot: Some(depot),
            model: Model::default(),
            uploads: Vec::new(),
            part_tags: Vec::new(),
            gone: Vec::new(),
            seen: BTreeSet::new(),
            told: BTreeMap::new(),
            fill: 0,
        })
    }

    /// Makes the buckets: two with versioning and one without.
    pub(crate) fn begin(&mut self) -> Step {
        use two_buckets_depot::Versioning;
        let mut steps = BUCKETS.map(Operation::CreateBucket).to_vec();
        steps.push(Operation::SetVersioning("staging", Versioning::Enabled));
        steps.push(Operation::SetVersioning("archive", Versioning::Enabled));
        for step in steps {
            if let Step::Broke(after) = self.run(&step) {
                return Step::Broke(after);
            }
        }
        Step::Agreed
    }

    pub(crate) fn depot(&self) -> &Depot {
        self.depot.as_ref().unwrap()
    }

    /// Does an operation to both.
    pub(crate) fn run(&mut self, operation: &Operation) -> Step {
        match operation {
            Operation::ListObjects(list) => self.list_objects(list),
            Operation::ListVersions(list) => self.list_versions(list),
            Operation::ListUploads(list) => self.list_uploads(list),
            Operation::Reopen => {
                self.depot = None;
                match self.place.open(&self.clock) {
                    Ok(depot) => self.depot = Some(depot),
                    Err(_) => return Step::Broke(Box::new(self.model.clone())),
                }
            }
            Operation::DeleteMany(bucket, which) => return self.delete_many(bucket, which),
            _ => return self.write(operation),
        }
        Step::Agreed
    }

    fn write(&mut self, operation: &Operation) -> Step {
        let Some((told, expected, model)) = self.both(operation) else {
            return Step::Agreed;
        };
        if let Err(error) = &told
            && name_of(error) == "broken"
        {
            return Step::Broke(Box::new(model));
        }
        self.model = model;
        match (told, expected) {
            (Err(error), Err(expected)) => {
                assert_eq!(name_of(&error), expected, "{operation:?}: {error}");
            }
            (Ok(told), Ok(expected)) => self.agree(operation, told, expected),
            (Ok(_), Err(expected)) => panic!("{operation:?} did not fail: {expected}"),
            (Err(error), Ok(_)) => panic!("{operation:?} failed: {error:?}"),
        }
        Step::Agreed
    }

    fn agree(&mut self, operation: &Operation, told: Told, expected: Answer) {
        match (told, expected) {
            (Told::Done, Answer::Done) => {}
            (
                Told::Written(id, tag),
                Answer::Written {
                    serial,
                    is_null,
                    etag,
                    ..
                },
            ) => {
                assert_eq!((id.is_null(), tag), (is_null, etag), "{operation:?}");
                self.note(serial, &id);
            }
            (Told::Deleted(deleted), Answer::Marked { serial, is_null }) => {
                assert!(deleted.is_delete_marker);
                let id = deleted.version_id.expect("a marker has an id");
                assert_eq!(id.is_null(), is_null);
                self.note(serial, &id);
            }
            (Told::Deleted(deleted), Answer::Removed { was_marker }) => {
                assert_eq!(deleted.is_delete_marker, was_marker, "{operation:?}");
            }
            _ => panic!("{operation:?}: another kind of answer"),
        }
    }

    fn note(&mut self, serial: u64, id: &VersionId) {
        let is_new = self.seen.insert(id.as_str().to_owned());
        match self.told.insert(serial, id.clone()) {
            // A completion that was repeated.
            Some(before) => assert_eq!(before, *id),
            None => assert!(is_new || id.is_null() || self.is_of(serial, id)),
        }
        self.model.set_id(serial, id);
    }

    fn is_of(&self, serial: u64, id: &VersionId) -> bool {
        self.model
            .buckets
            .values()
            .flat_map(|bucket| bucket.keys.values().flatten())
            .any(|version| version.serial == serial && version.id.as_ref() == Some(id))
    }

    fn fill(&mut self) -> u8 {
        self.fill = self.fill.wrapping_add(1);
        self.fill
    }

    fn selector(&self, at: &At, which: Which) -> Selector {
        let key = key(at.key);
        let versions = self.model.versions((at.bucket, &key));
        let made_up = || VersionId::new("0123456789abcdef0123456789abcdef");
        match which {
            Which::Current => Selector::Current,
            Which::Nth(n) => Selector::Version(
                versions
                    .get(n)
                    .and_then(|version| version.id.clone())
                    .unwrap_or_else(made_up),
            ),
            Which::Gone(n) => Selector::Version(self.gone.get(n).cloned().unwrap_or_else(made_up)),
        }
    }

    fn condition(&self, at: &At, condition: If) -> WriteCondition {
        let key = key(at.key);
        match condition {
            If::Always => WriteCondition::None,
            If::Absent => WriteCondition::IfNoneMatch,
            If::Any => WriteCondition::IfMatch(ETag::new("*")),
            If::Other => WriteCondition::IfMatch(ETag::new("0123456789abcdef0123456789abcdef")),
            If::Current => WriteCondition::IfMatch(
                self.model
                    .current((at.bucket, &key))
                    .map_or(ETag::new("none"), |object| object.etag.clone()),
            ),
        }
    }

    /// Does a write to the store and to a copy of the model. None where there is nothing to do it to.
    fn both(
        &mut self,
        operation: &Operation,
    ) -> Option<(Result<Told>, Result<Answer, &'static str>, Model)> {
        let mut model = self.model.clone();
        let depot = self.depot().clone();
        let (told, expected) = match operation {
            Operation::Put(at, size, condition) => {
                let runs: Runs = vec![(self.fill(), *size)];
                let condition = self.condition(at, *condition);
                let expected = model.put((at.bucket, &key(at.key)), runs.clone(), &condition);
                let told = body(&depot, &runs, None).and_then(|body| {
                    let options = PutObject {
                        condition,
                        ..PutObject::default()
                    };
                    depot.put(&object(at.bucket, at.key), body, options)
                });
                (told.map(written), expected)
            }
            Operation::Delete(at, which, condition) => {
                let selector = self.selector(at, *which);
                let condition = self.condition(at, *condition);
                if let Selector::Version(id) = &selector {
                    self.gone.push(id.clone());
                }
                let expected = model.delete((at.bucket, &key(at.key)), &selector, &condition);
                let told = depot.delete(&object(at.bucket, at.key), &selector, &condition);
                (told.map(Told::Deleted), expected)
            }
            Operation::Copy(from, which, to, condition, keep, checksum) => {
                let selector = self.selector(from, *which);
                let condition = self.condition(to, *condition);
                let options = CopyObject {
                    condition: condition.clone(),
                    source_etag: None,
                    metadata: if *keep {
                        CopyMetadata::Keep(vec![("added".into(), "yes".into())])
                    } else {
                        CopyMetadata::Replace(two_buckets_objects::Metadata::default())
                    },
                    tags: None,
                    checksum: *checksum,
                };
                let expected = model.copy(
                    (from.bucket, &key(from.key)),
                    &selector,
                    (to.bucket, &key(to.key)),
                    &condition,
                    |object| {
                        if *keep {
                            object.user.insert("added".into(), "yes".into());
                        } else {
                            object.user.clear();
                        }
                    },
                );
                let (source, target) = (object(from.bucket, from.key), object(to.bucket, to.key));
                let told = depot.copy(&source, &selector, &target, options);
                (told.map(|(_, new)| written(new)), expected)
            }
            Operation::Move(from, nth, to) => {
                let Selector::Version(id) = self.selector(from, Which::Nth(*nth)) else {
                    return None;
                };
                let expected = model.move_version(
                    (from.bucket, &key(from.key)),
                    &id,
                    (to.bucket, &key(to.key)),
                    |object| {
                        object.user.insert("moved".into(), "yes".into());
                    },
                );
                let options = MoveVersion {
                    from: VersionRef {
                        bucket: bucket(from.bucket),
                        key: key(from.key),
                        version_id: id.clone(),
                    },
                    to: object(to.bucket, to.key),
                    add_user_metadata: vec![("moved".into(), "yes".into())],
                };
                let told = depot.transaction(|tx| tx.move_version(options));
                self.gone.push(id);
                (told.map(|moved| written(moved.written)), expected)
            }
            Operation::SetTags(at, which, tag) => {
                let selector = self.selector(at, *which);
                let tags = BTreeMap::from([("tag".to_owned(), tag.to_string())]);
                let expected = model.set_tags((at.bucket, &key(at.key)), &selector, &tags);
                let told = depot.set_tags(&object(at.bucket, at.key), &selector, Tags(tags));
                (told.map(|_| Told::Done), expected)
            }
            Operation::CreateUpload(at, checksum) => {
                let expected = model.create_upload((at.bucket, &key(at.key)));
                let options = CreateUpload {
                    checksum: *checksum,
                    ..CreateUpload::default()
                };
                let told = depot.create_upload(&object(at.bucket, at.key), options);
                if let Ok(upload) = &told {
                    self.uploads.push(upload.id.clone());
                    self.part_tags.push(BTreeMap::new());
                }
                (told.map(|_| Told::Done), expected)
            }
            Operation::PutPart(nth, number, size) => {
                let (upload, at, id) = self.upload(*nth)?;
                let runs: Runs = vec![(self.fill(), *size)];
                let expected = model.put_part(upload, *number, runs.clone());
                let algorithm = depot.upload(&at, &id).ok().map(|upload| upload.checksum.0);
                let told = body(&depot, &runs, algorithm)
                    .and_then(|body| depot.put_part(&at, &id, *number, body));
                if let Ok(part) = &told {
                    self.part_tags[upload].insert(*number, part.etag.clone());
                }
                (told.map(|_| Told::Done), expected)
            }
            Operation::PutPartCopy(nth, number, from, which, range) => {
                let (upload, at, id) = self.upload(*nth)?;
                let selector = self.selector(from, *which);
                let source = (from.bucket, &key(from.key));
                let expected = model.put_part_copy(upload, *number, source, &selector, *range);
                let told = depot.put_part_copy(
                    &at,
                    &id,
                    *number,
                    &object(from.bucket, from.key),
                    &selector,
                    range.map(|(first, last)| ByteRange::FromTo { first, last }),
                );
                if let Ok((_, part)) = &told {
                    self.part_tags[upload].insert(*number, part.etag.clone());
                }
                (told.map(|_| Told::Done), expected)
            }
            Operation::Complete(nth, named, condition) => {
                let (upload, ..) = self.upload(*nth)?;
                return Some(self.complete(model, upload, named, *condition));
            }
            Operation::CompleteAll(nth, condition) => {
                let (upload, ..) = self.upload(*nth)?;
                let parts = self.model.uploads[upload].parts.keys();
                let named: Vec<_> = parts.map(|number| (*number, true)).collect();
                return Some(self.complete(model, upload, &named, *condition));
            }
            Operation::CompleteLast(nth, condition) => {
                let (upload, ..) = self.upload(*nth)?;
                let last = self.model.uploads[upload].parts.keys().last();
                let named: Vec<_> = last.map(|number| (*number, true)).into_iter().collect();
                return Some(self.complete(model, upload, &named, *condition));
            }
            Operation::CompleteAgain(nth) => {
                let (upload, ..) = self.upload(*nth)?;
                let (numbers, _) = self.model.uploads[upload].completed.clone()?;
                let named: Vec<_> = numbers.iter().map(|number| (*number, true)).collect();
                return Some(self.complete(model, upload, &named, If::Other));
            }
            Operation::Abort(nth) => {
                let (upload, at, id) = self.upload(*nth)?;
                let expected = model.abort(upload);
                (depot.abort_upload(&at, &id).map(|()| Told::Done), expected)
            }
            Operation::SetVersioning(name, versioning) => {
                let expected = model.set_versioning(name, *versioning);
                let told = depot.set_versioning(&bucket(name), *versioning);
                (told.map(|()| Told::Done), expected)
            }
            Operation::CreateBucket(name) => {
                let expected = model.create_bucket(name);
                let told = depot.create_bucket(&bucket(name));
                (told.map(|()| Told::Done), expected)
            }
            Operation::DeleteBucket(name) => {
                let expected = model.delete_bucket(name);
                let told = depot.delete_bucket(&bucket(name));
                (told.map(|()| Told::Done), expected)
            }
            Operation::SetRow(row, value) => {
                match value {
                    Some(value) => model.rows.insert(vec![*row], vec![*value]),
                    None => model.rows.remove(&vec![*row]),
                };
                let told = depot.transaction(|tx| {
                    match value {
                        Some(value) => tx.set_row(TABLE, &[*row], &[*value]),
                        None => tx.delete_row(TABLE, &[*row]),
                    }
                    Ok::<_, Error>(Told::Done)
                });
                (told, Ok(Answer::Done))
            }
            Operation::DeleteMany(..)
            | Operation::ListObjects(_)
            | Operation::ListVersions(_)
            | Operation::ListUploads(_)
            | Operation::Reopen => unreachable!("done elsewhere"),
        };
        Some((told, expected, model))
    }

    fn upload(&self, nth: usize) -> Option<(usize, two_buckets_objects::ObjectRef, UploadId)> {
        // The youngest have the small numbers, so that there is mostly one to go on with.
        let upload = self.uploads.len().checked_sub(1 + nth)?;
        let model = &self.model.uploads[upload];
        let at = object(&model.bucket, model.key.as_str());
        Some((upload, at, self.uploads[upload].clone()))
    }

    fn complete(
        &mut self,
        mut model: Model,
        upload: usize,
        named: &[(u32, bool)],
        condition: If,
    ) -> (Result<Told>, Result<Answer, &'static str>, Model) {
        let to = &self.model.uploads[upload];
        let at = object(&to.bucket, to.key.as_str());
        let condition = self.condition(
            &At {
                bucket: BUCKETS.into_iter().find(|name| *name == to.bucket).unwrap(),
                key: KEYS
                    .into_iter()
                    .find(|key| *key == to.key.as_str())
                    .unwrap(),
            },
            condition,
        );
        let parts: Vec<_> = named
            .iter()
            .map(|(number, is_right)| CompletePart {
                number: *number,
                etag: self.part_tags[upload]
                    .get(number)
                    .filter(|_| *is_right)
                    .cloned()
                    .unwrap_or(ETag::new("0123456789abcdef0123456789abcdef")),
                checksum: None,
            })
            .collect();
        let expected = model.complete(upload, named, &condition);
        let told =
            self.depot()
                .complete_upload(&at, &self.uploads[upload], &parts, &condition, None);
        if let (Ok((_, new)), Ok(Answer::Written { etag, .. })) = (&told, &expected) {
            assert_eq!(new.etag, *etag);
        }
        (told.map(|(_, new)| written(new)), expected, model)
    }

    fn delete_many(&mut self, name: &'static str, which: &[(&'static str, Which)]) -> Step {
        let mut model = self.model.clone();
        let mut asked = Vec::new();
        for (key, which) in which {
            let at = At { bucket: name, key };
            asked.push((object(name, key), self.selector(&at, *which)));
        }
        let told = self.depot().delete_many(&bucket(name), &asked);
        let mut expected = Vec::new();
        for (at, selector) in &asked {
            expected.push(model.delete((name, &at.key), selector, &WriteCondition::None));
        }
        match told {
            Err(error) if name_of(&error) == "broken" => return Step::Broke(Box::new(model)),
            Err(error) => {
                assert_eq!(name_of(&error), "NoSuchBucket");
                assert!(!self.model.buckets.contains_key(name));
            }
            Ok(deleted) => {
                self.model = model;
                for (told, expected) in deleted.into_iter().zip(expected) {
                    let (told, expected) = (told.unwrap(), expected.unwrap());
                    let operation = Operation::DeleteMany(name, Vec::new());
                    self.agree(&operation, Told::Deleted(told), expected);
                }
            }
        }
        Step::Agreed
    }

    /// Deletes everything there is.
    pub(crate) fn delete_everything(&mut self) {
        let depot = self.depot().clone();
        for info in depot.buckets().unwrap() {
            let prefix = "";
            let age = std::time::Duration::ZERO;
            depot
                .abort_uploads_older_than(&info.name, prefix, age)
                .unwrap();
            for version in crate::harness::versions(&depot, &info.name) {
                let at = VersionRef {
                    bucket: info.name.clone(),
                    key: version.key,
                    version_id: version.version_id,
                };
                depot.transaction(|tx| tx.delete_version(&at)).unwrap();
            }
            depot.delete_bucket(&info.name).unwrap();
        }
    }
}

fn written(written: two_buckets_objects::Written) -> Told {
    Told::Written(written.version_id, written.etag)
}

fn body(depot: &Depot, runs: &Runs, algorithm: Option<Algorithm>) -> Result<Body> {
    let algorithms: Vec<_> = algorithm.into_iter().collect();
    let mut writer = depot.body_writer(&algorithms, 5 << 30);
    for (fill, length) in runs {
        let length = usize::try_from(*length).unwrap();
        let mut bytes = BytesMut::new();
        bytes.resize(length, *fill);
        writer.write(&bytes.freeze())?;
    }
    writer.finish()
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn bucket(name: &str) -> BucketName {
    name.parse().unwrap()
}
