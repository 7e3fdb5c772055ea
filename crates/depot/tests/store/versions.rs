//! Versions, delete markers and the version `null`.

use two_buckets_depot::{Error, Selector, Versioning};
use two_buckets_objects::{ETag, VersionId, WriteCondition};

use crate::harness::{TestStore, bucket, object};

fn current(id: &VersionId) -> Selector {
    Selector::Version(id.clone())
}

#[test]
fn each_put_makes_a_version_and_the_last_is_current() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let first = store.put(&at, b"one");
    let second = store.put(&at, b"two");
    assert_ne!(first.version_id, second.version_id);
    assert_eq!(first.version_id.as_str().len(), 32);
    assert!(first.last_modified <= second.last_modified);
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"two");
    assert_eq!(
        store.bytes(&at, &current(&first.version_id)).unwrap(),
        b"one"
    );
    let listed = store.versions("staging");
    assert_eq!(
        listed
            .iter()
            .map(|version| (&version.version_id, version.is_latest))
            .collect::<Vec<_>>(),
        [(&second.version_id, true), (&first.version_id, false)]
    );
    assert_eq!(
        listed[0].etag,
        Some(ETag::new("b8a9f715dbb64fd5c56e7783c6820a61"))
    );
}

#[test]
fn a_delete_marker_hides_the_object_and_deleting_the_marker_brings_it_back() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let written = store.put(&at, b"one");
    let marker = store
        .depot
        .delete(&at, &Selector::Current, &WriteCondition::None)
        .unwrap();
    assert!(marker.is_delete_marker);
    let marker = marker.version_id.unwrap();
    assert!(matches!(
        store.head(&at),
        Err(Error::NoSuchKey { delete_marker: Some(id) }) if id == marker
    ));
    assert!(matches!(
        store.depot.head(&at, &current(&marker)),
        Err(Error::IsDeleteMarker { .. })
    ));
    assert_eq!(
        store.bytes(&at, &current(&written.version_id)).unwrap(),
        b"one"
    );
    let deleted = store
        .depot
        .delete(&at, &current(&marker), &WriteCondition::None)
        .unwrap();
    assert!(deleted.is_delete_marker);
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"one");
}

#[test]
fn without_versioning_the_version_null_is_overwritten_and_deleted_for_good() {
    let store = TestStore::new();
    store.depot.create_bucket(&bucket("plain")).unwrap();
    let at = object("plain", "a");
    assert!(store.put(&at, b"one").version_id.is_null());
    assert!(store.put(&at, b"two").version_id.is_null());
    assert_eq!(store.versions("plain").len(), 1);
    assert_eq!(
        store.bytes(&at, &current(&VersionId::new("null"))).unwrap(),
        b"two"
    );
    let deleted = store
        .depot
        .delete(&at, &Selector::Current, &WriteCondition::None)
        .unwrap();
    assert_eq!(
        (deleted.version_id, deleted.is_delete_marker),
        (None, false)
    );
    assert!(store.versions("plain").is_empty());
    store.depot.delete_bucket(&bucket("plain")).unwrap();
}

#[test]
fn where_versioning_is_suspended_writes_and_deletes_replace_the_version_null_only() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let versioned = store.put(&at, b"versioned");
    store
        .depot
        .set_versioning(&bucket("staging"), Versioning::Suspended)
        .unwrap();
    assert!(store.put(&at, b"null one").version_id.is_null());
    assert!(store.put(&at, b"null two").version_id.is_null());
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"null two");
    assert_eq!(store.versions("staging").len(), 2);
    let deleted = store
        .depot
        .delete(&at, &Selector::Current, &WriteCondition::None)
        .unwrap();
    assert_eq!(deleted.version_id, Some(VersionId::new("null")));
    assert!(deleted.is_delete_marker);
    assert_eq!(store.versions("staging").len(), 2);
    assert_eq!(
        store.bytes(&at, &current(&versioned.version_id)).unwrap(),
        b"versioned"
    );
    store.delete_version(&at, &VersionId::new("null"));
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"versioned");
    store
        .depot
        .set_versioning(&bucket("staging"), Versioning::Enabled)
        .unwrap();
    assert!(!store.put(&at, b"again").version_id.is_null());
}
