//! Lists, keys that are traps, and buckets with what is configured of them.

use two_buckets_depot::{ConfigKind, Error, ListObjects, Selector};
use two_buckets_objects::{ObjectRef, WriteCondition};

use crate::harness::{TestStore, bucket, object};

fn listed(store: &TestStore, options: &ListObjects) -> (Vec<String>, Vec<String>, Option<String>) {
    let page = store
        .depot
        .list_objects(&bucket("staging"), options)
        .unwrap();
    let keys = page
        .entries
        .iter()
        .map(|entry| entry.key.as_str().to_owned())
        .collect();
    (
        keys,
        page.common_prefixes,
        page.next.map(|(after, _)| after),
    )
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn keys_of_every_shape_are_kept_and_listed_in_byte_order() {
    let store = TestStore::new();
    let longest = "ä".repeat(512);
    let nuls = "\0".repeat(1024);
    let mut keys = vec![
        "a",
        "a/",
        "a/b",
        "a//b",
        "ab",
        "a\0",
        "a\0\0b",
        "\0",
        "/",
        "//",
        "..",
        "../..",
        " ",
        "\n",
        "\"'<>&",
        "%2F",
        "+",
        "emoji 🪣🪣",
        "é",
        "e\u{301}",
        "\u{10ffff}",
        &longest,
        &nuls,
    ];
    for key in &keys {
        store.put(&object("staging", key), key.as_bytes());
    }
    keys.sort_by_key(|key| key.as_bytes());
    assert_eq!(
        listed(&store, &ListObjects::default()),
        (texts(&keys), Vec::new(), None)
    );
    for key in &keys {
        let at = object("staging", key);
        assert_eq!(
            store.bytes(&at, &Selector::Current).unwrap(),
            key.as_bytes()
        );
        // Each of them is the end of a page once.
        let (behind, ..) = listed(
            &store,
            &ListObjects {
                after: Some((*key).to_owned()),
                ..ListObjects::default()
            },
        );
        let expected: Vec<_> = keys.iter().filter(|other| *other > key).copied().collect();
        assert_eq!(behind, texts(&expected), "behind {key:?}");
    }
}

#[test]
fn a_common_prefix_counts_as_one_and_the_next_page_begins_behind_all_of_it() {
    let store = TestStore::new();
    for key in ["a", "b/1", "b/2", "b/3/x", "b0", "c/1"] {
        store.put(&object("staging", key), b"");
    }
    let mut options = ListObjects {
        delimiter: Some("/".into()),
        limit: Some(2),
        ..ListObjects::default()
    };
    assert_eq!(
        listed(&store, &options),
        (texts(&["a"]), texts(&["b/"]), Some("b/".into()))
    );
    options.after = Some("b/".into());
    assert_eq!(
        listed(&store, &options),
        (texts(&["b0"]), texts(&["c/"]), None)
    );
    options.prefix = "b/".into();
    options.after = None;
    options.limit = None;
    assert_eq!(
        listed(&store, &options),
        (texts(&["b/1", "b/2"]), texts(&["b/3/"]), None)
    );
    options.after = Some("b/1".into());
    options.limit = Some(0);
    assert_eq!(listed(&store, &options), (Vec::new(), Vec::new(), None));
}

#[test]
fn a_key_behind_which_the_list_begins_need_not_exist_nor_have_the_prefix() {
    let store = TestStore::new();
    for key in ["a/1", "a/3", "b/1"] {
        store.put(&object("staging", key), b"");
    }
    let behind = |prefix: &str, after: &str| {
        let options = ListObjects {
            prefix: prefix.into(),
            after: Some(after.into()),
            ..ListObjects::default()
        };
        listed(&store, &options).0
    };
    assert_eq!(behind("a/", "a/2"), texts(&["a/3"]));
    assert_eq!(behind("a/", ""), texts(&["a/1", "a/3"]));
    assert_eq!(behind("b/", "a/3"), texts(&["b/1"]));
    assert_eq!(behind("a/", "zzz"), Vec::<String>::new());
}

#[test]
fn keys_hidden_by_delete_markers_and_prefixes_of_only_such_are_not_listed() {
    let store = TestStore::new();
    for key in ["a/hidden", "b/hidden", "b/shown", "c"] {
        store.put(&object("staging", key), b"");
    }
    for key in ["a/hidden", "b/hidden", "never there"] {
        store
            .depot
            .delete(
                &object("staging", key),
                &Selector::Current,
                &WriteCondition::None,
            )
            .unwrap();
    }
    let options = ListObjects {
        delimiter: Some("/".into()),
        ..ListObjects::default()
    };
    assert_eq!(
        listed(&store, &options),
        (texts(&["c"]), texts(&["b/"]), None)
    );
    assert_eq!(store.versions("staging").len(), 7);
}

#[test]
fn a_list_of_versions_goes_on_behind_a_version_that_was_deleted_meanwhile() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let first = store.put(&at, b"1");
    let second = store.put(&at, b"2");
    let third = store.put(&at, b"3");
    let mut options = ListObjects {
        limit: Some(2),
        ..ListObjects::default()
    };
    let page = store
        .depot
        .list_versions(&bucket("staging"), &options)
        .unwrap();
    let (after, after_version) = page.next.unwrap();
    assert_eq!(after_version.as_deref(), Some(second.version_id.as_str()));
    store.delete_version(&at, &second.version_id);
    store.delete_version(&at, &third.version_id);
    (options.after, options.after_version) = (Some(after), after_version);
    let page = store
        .depot
        .list_versions(&bucket("staging"), &options)
        .unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].version_id, first.version_id);
    assert!(page.entries[0].is_latest, "the newer ones are gone");
    assert_eq!(page.next, None);
    options.after = None;
    assert!(matches!(
        store.depot.list_versions(&bucket("staging"), &options),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn a_page_has_at_most_1000_entries_whatever_is_asked() {
    let store = TestStore::new();
    let at = object("staging", "a");
    for _ in 0..1001 {
        store
            .depot
            .delete(&at, &Selector::Current, &WriteCondition::None)
            .unwrap();
    }
    let options = ListObjects {
        limit: Some(5000),
        ..ListObjects::default()
    };
    let page = store
        .depot
        .list_versions(&bucket("staging"), &options)
        .unwrap();
    assert_eq!(page.entries.len(), 1000);
    assert!(page.next.is_some());
    assert_eq!(store.versions("staging").len(), 1001);
}

#[test]
fn deleting_many_answers_each_in_order_and_is_one_transaction() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let put = store.put(&at, b"1");
    let which = [
        (at.clone(), Selector::Version(put.version_id.clone())),
        (at.clone(), Selector::Current),
        (object("staging", "b"), Selector::Current),
    ];
    let deleted: Vec<_> = store
        .depot
        .delete_many(&bucket("staging"), &which)
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(deleted[0].version_id, Some(put.version_id));
    assert!(!deleted[0].is_delete_marker);
    assert!(deleted[1].is_delete_marker && deleted[2].is_delete_marker);
    let elsewhere: (ObjectRef, Selector) = (object("archive", "a"), Selector::Current);
    assert!(matches!(
        store.depot.delete_many(&bucket("staging"), &[elsewhere]),
        Err(Error::InvalidArgument(_))
    ));
    let too_many = vec![(at, Selector::Current); 1001];
    assert!(matches!(
        store.depot.delete_many(&bucket("staging"), &too_many),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn a_bucket_goes_only_when_it_is_empty_and_takes_its_configurations_with_it() {
    let store = TestStore::new();
    let name = bucket("staging");
    let at = object("staging", "a");
    assert!(matches!(
        store.depot.create_bucket(&name),
        Err(Error::BucketExists(_))
    ));
    let config = |kind| store.depot.bucket_config(&name, kind).unwrap();
    for kind in [
        ConfigKind::Cors,
        ConfigKind::Lifecycle,
        ConfigKind::Notification,
        ConfigKind::Tagging,
    ] {
        assert_eq!(config(kind), None);
        let document = format!("<{kind:?}/>");
        store
            .depot
            .set_bucket_config(&name, kind, Some(document.as_bytes()))
            .unwrap();
        assert_eq!(config(kind), Some(document.into_bytes()));
    }
    store
        .depot
        .set_bucket_config(&name, ConfigKind::Cors, None)
        .unwrap();
    assert_eq!(config(ConfigKind::Cors), None);
    let put = store.put(&at, b"");
    assert!(matches!(
        store.depot.delete_bucket(&name),
        Err(Error::BucketNotEmpty(_))
    ));
    store.delete_version(&at, &put.version_id);
    store.depot.delete_bucket(&name).unwrap();
    assert!(matches!(
        store.depot.list_objects(&name, &ListObjects::default()),
        Err(Error::NoSuchBucket(_))
    ));
    assert!(matches!(
        store.put_if(&at, b"", WriteCondition::None),
        Err(Error::NoSuchBucket(_))
    ));
    store.depot.create_bucket(&name).unwrap();
    assert_eq!(config(ConfigKind::Lifecycle), None);
}
