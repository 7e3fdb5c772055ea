//! Moving versions between buckets, and the grace in which the old place still answers; copies and conditions.

use std::time::Duration;

use two_buckets_depot::{
    CompletePart, CopyMetadata, CopyObject, CreateUpload, Error, MoveVersion, Moved, PutObject,
    Result, RowTable, Selector, Versioning,
};
use two_buckets_objects::{
    Algorithm, ETag, Metadata, ObjectRef, Tags, VersionId, VersionRef, WriteCondition,
};

use crate::harness::{TestStore, bucket, object};

const TABLE: RowTable = RowTable(1);

pub(crate) fn version(at: &ObjectRef, id: &VersionId) -> VersionRef {
    VersionRef {
        bucket: at.bucket.clone(),
        key: at.key.clone(),
        version_id: id.clone(),
    }
}

pub(crate) fn to_archive(from: VersionRef) -> MoveVersion {
    MoveVersion {
        to: object("archive", from.key.as_str()),
        from,
        add_user_metadata: Vec::new(),
    }
}

impl TestStore {
    pub(crate) fn move_version(&self, options: MoveVersion) -> Result<Moved> {
        self.depot.transaction(|tx| tx.move_version(options))
    }
}

#[test]
fn a_move_carries_everything_and_makes_a_new_version() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let metadata = Metadata {
        content_type: Some("text/plain".into()),
        user: [("mine".to_owned(), "1".to_owned())].into(),
        ..Metadata::default()
    };
    let tags = Tags([("t".to_owned(), "v".to_owned())].into());
    let put = store
        .depot
        .put(
            &at,
            store.body(b"bytes"),
            PutObject {
                metadata: metadata.clone(),
                tags: tags.clone(),
                checksum: Some(Algorithm::Sha256),
                ..PutObject::default()
            },
        )
        .unwrap();
    let before = store.head(&at).unwrap();
    let moved = store
        .move_version(MoveVersion {
            add_user_metadata: vec![("source".into(), "staging".into())],
            ..to_archive(version(&at, &put.version_id))
        })
        .unwrap();
    assert_eq!(moved.source, before);
    let there = object("archive", "a");
    let found = store.head(&there).unwrap();
    assert_ne!(found.info.at.version_id, put.version_id);
    assert_eq!(found.info.at.version_id, moved.written.version_id);
    assert!(found.info.last_modified > put.last_modified);
    assert_eq!(found.info.etag, before.info.etag);
    assert_eq!(found.info.checksums, before.info.checksums);
    assert_eq!(found.tags, tags);
    let mut expected = metadata;
    expected.user.insert("source".into(), "staging".into());
    assert_eq!(found.info.metadata, expected);
    assert_eq!(store.bytes(&there, &Selector::Current).unwrap(), b"bytes");
    assert!(store.versions("staging").is_empty());
    let created = store.created.lock().unwrap();
    assert_eq!(created.len(), 2);
    assert_eq!(created[1].at.bucket, bucket("archive"));
}

#[test]
fn a_moved_version_answers_in_its_old_place_for_the_grace_and_is_in_no_list() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let put = store.put(&at, b"bytes");
    store
        .move_version(to_archive(version(&at, &put.version_id)))
        .unwrap();
    let by_id = Selector::Version(put.version_id.clone());
    for selector in [&Selector::Current, &by_id] {
        assert_eq!(store.bytes(&at, selector).unwrap(), b"bytes");
        let found = store.depot.head(&at, selector).unwrap();
        assert_eq!(found.info.at, version(&at, &put.version_id));
    }
    assert!(store.versions("staging").is_empty());
    // In a transaction, where things are decided, it is gone at once.
    assert!(matches!(
        store.depot.transaction(|tx| tx.head(&at)),
        Err(Error::NoSuchKey { .. })
    ));
    store.put_if(&at, b"", WriteCondition::IfNoneMatch).unwrap();
    store.delete_version(&at, &store.head(&at).unwrap().info.at.version_id);
    store.clock.pass(Duration::from_secs(6));
    assert!(matches!(
        store.head(&at),
        Err(Error::NoSuchKey {
            delete_marker: None
        })
    ));
    assert!(matches!(
        store.depot.head(&at, &by_id),
        Err(Error::NoSuchVersion)
    ));
}

#[test]
fn what_is_newer_in_the_old_place_wins_at_once_and_what_is_older_does_not() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let older = store.put(&at, b"older");
    let moved = store.put(&at, b"moved");
    store
        .move_version(to_archive(version(&at, &moved.version_id)))
        .unwrap();
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"moved");
    let by_id = Selector::Version(older.version_id);
    assert_eq!(store.bytes(&at, &by_id).unwrap(), b"older");
    store.put(&at, b"newer");
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"newer");
    store
        .depot
        .delete(&at, &Selector::Current, &WriteCondition::None)
        .unwrap();
    assert!(matches!(
        store.head(&at),
        Err(Error::NoSuchKey {
            delete_marker: Some(_)
        })
    ));
    let by_id = Selector::Version(moved.version_id);
    assert_eq!(store.bytes(&at, &by_id).unwrap(), b"moved");
}

#[test]
fn a_just_moved_version_whose_bytes_are_gone_is_gone() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let put = store.put(&at, &[7; 1000]);
    let moved = store
        .move_version(to_archive(version(&at, &put.version_id)))
        .unwrap();
    store.delete_version(&object("archive", "a"), &moved.written.version_id);
    assert!(matches!(
        store.depot.read(&at, &Selector::Current, None),
        Err(Error::NoSuchKey { .. })
    ));
    assert!(matches!(store.head(&at), Err(Error::NoSuchKey { .. })));
}

#[test]
fn a_failed_transaction_moves_nothing_and_announces_nothing() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let put = store.put(&at, b"bytes");
    let failed: Result<()> = store.depot.transaction(|tx| {
        tx.move_version(to_archive(version(&at, &put.version_id)))?;
        tx.set_row(TABLE, b"row", b"value");
        assert_eq!(tx.row(TABLE, b"row")?.as_deref(), Some(&b"value"[..]));
        assert!(tx.head(&object("archive", "a")).is_ok());
        Err(Error::ConditionFailed)
    });
    assert!(matches!(failed, Err(Error::ConditionFailed)));
    assert_eq!(store.depot.row(TABLE, b"row").unwrap(), None);
    assert!(store.versions("archive").is_empty());
    assert_eq!(store.versions("staging").len(), 1);
    assert_eq!(store.created.lock().unwrap().len(), 1);
    store
        .depot
        .transaction(|tx| tx.delete_version(&version(&at, &put.version_id)))
        .unwrap();
    assert!(store.head(&at).is_err());
}

#[test]
fn a_move_needs_its_source_and_makes_a_version_over_what_is_there() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let put = store.put(&at, b"bytes");
    let options = to_archive(version(&at, &put.version_id));
    let first = store.move_version(options.clone()).unwrap();
    assert!(matches!(
        store.move_version(options),
        Err(Error::NoSuchVersion)
    ));
    let again = store.put(&at, b"again");
    store
        .move_version(to_archive(version(&at, &again.version_id)))
        .unwrap();
    let there = object("archive", "a");
    assert_eq!(store.bytes(&there, &Selector::Current).unwrap(), b"again");
    let older = Selector::Version(first.written.version_id);
    assert_eq!(store.bytes(&there, &older).unwrap(), b"bytes");
}

#[test]
fn a_multipart_object_is_moved_with_its_parts_and_its_repeated_completion_still_answered() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let upload = store
        .depot
        .create_upload(&at, CreateUpload::default())
        .unwrap();
    let part = store
        .depot
        .put_part(&at, &upload.id, 1, store.body(b"part"))
        .unwrap();
    let parts = [CompletePart {
        number: 1,
        etag: part.etag,
        checksum: None,
    }];
    let complete = || {
        store
            .depot
            .complete_upload(&at, &upload.id, &parts, &WriteCondition::None, None)
    };
    let first = complete().unwrap();
    store
        .move_version(to_archive(version(&at, &first.1.version_id)))
        .unwrap();
    assert_eq!(complete().unwrap(), first);
    let found = store.head(&object("archive", "a")).unwrap();
    assert_eq!(found.parts.len(), 1);
    assert_eq!(found.info.etag, first.1.etag);
    assert_eq!(
        found.info.checksums,
        std::slice::from_ref(&first.0.checksum)
    );
    store.clock.pass(Duration::from_secs(6));
    assert_eq!(complete().unwrap(), first);
}

#[test]
fn a_copy_shares_the_bytes_and_outlives_its_source() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let put = store.put(&at, &[9; 1000]);
    let to = object("archive", "copy");
    let options = CopyObject {
        condition: WriteCondition::IfNoneMatch,
        source_etag: Some(put.etag.clone()),
        metadata: CopyMetadata::Replace(Metadata::default()),
        tags: None,
        checksum: Some(Algorithm::Sha1),
    };
    let (found, copied) = store
        .depot
        .copy(&at, &Selector::Current, &to, options.clone())
        .unwrap();
    assert_eq!(found.info.at.version_id, put.version_id);
    assert_eq!(copied.etag, put.etag);
    store.delete_version(&at, &put.version_id);
    assert_eq!(store.bytes(&to, &Selector::Current).unwrap(), [9; 1000]);
    let mut hasher = Algorithm::Sha1.hasher();
    hasher.update(&[9; 1000]);
    let mut crc64 = Algorithm::Crc64Nvme.hasher();
    crc64.update(&[9; 1000]);
    assert_eq!(
        store.head(&to).unwrap().info.checksums,
        [hasher.finish(), crc64.finish()]
    );
    assert!(matches!(
        store
            .depot
            .copy(&at, &Selector::Current, &to, options.clone()),
        Err(Error::NoSuchKey { .. })
    ));
    store.put(&at, b"other");
    assert!(matches!(
        store.depot.copy(&at, &Selector::Current, &to, options),
        Err(Error::ConditionFailed)
    ));
}

#[test]
fn a_version_null_can_be_copied_onto_itself_to_change_its_metadata() {
    let store = TestStore::new();
    store.depot.create_bucket(&bucket("plain")).unwrap();
    let at = object("plain", "a");
    store.put(&at, &[9; 1000]);
    let metadata = Metadata {
        content_type: Some("text/plain".into()),
        ..Metadata::default()
    };
    let options = CopyObject {
        condition: WriteCondition::None,
        source_etag: None,
        metadata: CopyMetadata::Replace(metadata.clone()),
        tags: None,
        checksum: None,
    };
    store
        .depot
        .copy(&at, &Selector::Current, &at, options)
        .unwrap();
    assert_eq!(store.head(&at).unwrap().info.metadata, metadata);
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), [9; 1000]);
    assert_eq!(store.versions("plain").len(), 1);
}

#[test]
fn conditions_are_about_the_current_version_and_a_delete_marker_is_no_object() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let if_match = |tag: &ETag| WriteCondition::IfMatch(tag.clone());
    let wrong = ETag::new("0123");
    assert!(matches!(
        store.put_if(&at, b"", if_match(&wrong)),
        Err(Error::NoSuchKey {
            delete_marker: None
        })
    ));
    let first = store
        .put_if(&at, b"one", WriteCondition::IfNoneMatch)
        .unwrap();
    assert!(matches!(
        store.put_if(&at, b"", WriteCondition::IfNoneMatch),
        Err(Error::ConditionFailed)
    ));
    let second = store.put_if(&at, b"two", if_match(&first.etag)).unwrap();
    assert!(matches!(
        store.put_if(&at, b"", if_match(&first.etag)),
        Err(Error::ConditionFailed)
    ));
    let delete = |condition| store.depot.delete(&at, &Selector::Current, &condition);
    assert!(matches!(
        delete(if_match(&first.etag)),
        Err(Error::ConditionFailed)
    ));
    delete(if_match(&second.etag)).unwrap();
    assert!(matches!(
        delete(if_match(&ETag::new("*"))),
        Err(Error::NoSuchKey {
            delete_marker: Some(_)
        })
    ));
    store
        .put_if(&at, b"three", WriteCondition::IfNoneMatch)
        .unwrap();
}

#[test]
fn tags_are_the_only_thing_of_a_version_that_changes() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let first = store.put(&at, b"one");
    store.put(&at, b"two");
    let version = Selector::Version(first.version_id.clone());
    let before = store.depot.head(&at, &version).unwrap();
    let tags = Tags([("k".to_owned(), "v".to_owned())].into());
    let id = store.depot.set_tags(&at, &version, tags.clone()).unwrap();
    assert_eq!(id, first.version_id);
    let after = store.depot.head(&at, &version).unwrap();
    assert_eq!(after.tags, tags);
    assert_eq!(after.info, before.info);
    assert!(store.head(&at).unwrap().tags.0.is_empty());
}

#[test]
fn metadata_beyond_all_reason_is_refused() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let options = PutObject {
        metadata: Metadata {
            content_type: Some("x".repeat(65 << 10)),
            ..Metadata::default()
        },
        ..PutObject::default()
    };
    assert!(matches!(
        store.depot.put(&at, store.body(b""), options),
        Err(Error::InvalidArgument(_))
    ));
    store
        .depot
        .set_versioning(&bucket("staging"), Versioning::Enabled)
        .unwrap();
    assert!(matches!(
        store
            .depot
            .set_versioning(&bucket("staging"), Versioning::Unversioned),
        Err(Error::InvalidArgument(_))
    ));
}
