//! The clauses of [`ObjectStore`].

use bytes::Bytes;
use two_buckets_objects::{
    Algorithm, BucketName, ByteRange, CopyOptions, Error, ListVersions, ListedVersion, Metadata,
    ObjectRef, ObjectStore, PutOptions, VersionId, VersionRef, WriteCondition, Written,
    body_from_bytes, read_to_bytes,
};

/// A store and an empty versioned bucket in it.
pub type Subject<S> = (S, BucketName);

fn at<S>(subject: &Subject<S>, key: &str) -> ObjectRef {
    ObjectRef {
        bucket: subject.1.clone(),
        key: key.parse().unwrap(),
    }
}

fn version<S>(subject: &Subject<S>, key: &str, written: &Written) -> VersionRef {
    VersionRef {
        bucket: subject.1.clone(),
        key: key.parse().unwrap(),
        version_id: written.version_id.clone(),
    }
}

async fn put<S: ObjectStore>(subject: &Subject<S>, key: &str, bytes: &[u8]) -> Written {
    let body = body_from_bytes(Bytes::copy_from_slice(bytes));
    subject
        .0
        .put(&at(subject, key), body, PutOptions::default())
        .await
        .unwrap()
}

async fn put_if<S: ObjectStore>(
    subject: &Subject<S>,
    key: &str,
    bytes: &'static [u8],
    condition: WriteCondition,
) -> Result<Written, Error> {
    let options = PutOptions {
        condition,
        ..PutOptions::default()
    };
    let body = body_from_bytes(Bytes::from_static(bytes));
    subject.0.put(&at(subject, key), body, options).await
}

async fn read<S: ObjectStore>(
    subject: &Subject<S>,
    key: &str,
    written: &Written,
    range: Option<ByteRange>,
) -> Bytes {
    let at = version(subject, key, written);
    let body = subject.0.read_version(&at, range).await.unwrap();
    read_to_bytes(body, 64 << 20).await.unwrap()
}

async fn all<S: ObjectStore>(
    subject: &Subject<S>,
    prefix: &str,
    limit: usize,
) -> Vec<ListedVersion> {
    let mut options = ListVersions {
        prefix: prefix.into(),
        limit,
        ..ListVersions::default()
    };
    let mut versions = Vec::new();
    loop {
        let page = subject
            .0
            .list_versions(&subject.1, options.clone())
            .await
            .unwrap();
        assert!(limit == 0 || page.versions.len() <= limit);
        versions.extend(page.versions);
        match page.next {
            Some(next) => options.after = Some(next),
            None => return versions,
        }
    }
}

/// A put is durable and shown at once, by key and by version.
pub async fn what_was_put_is_read_back<S: ObjectStore>(subject: &Subject<S>) {
    let written = put(subject, "a", b"hello").await;
    assert!(!written.version_id.is_null());
    assert_eq!(read(subject, "a", &written, None).await, "hello");
    let head = subject.0.head(&at(subject, "a")).await.unwrap();
    assert_eq!(head.at, version(subject, "a", &written));
    assert_eq!(head.size_bytes, 5);
    assert_eq!(head.etag, written.etag);
    assert_eq!(head.last_modified, written.last_modified);
    let same = subject.0.head_version(&head.at).await.unwrap();
    assert_eq!(same, head);
}

/// Size does not matter to what is read, whole or in part.
pub async fn a_large_body_is_read_back_whole_and_in_ranges<S: ObjectStore>(subject: &Subject<S>) {
    let bytes: Vec<u8> = (0..3_000_001_u32)
        .map(|n| n.to_le_bytes()[n as usize % 3])
        .collect();
    let written = put(subject, "large", &bytes).await;
    assert!(read(subject, "large", &written, None).await == bytes);
    for (range, expected) in [
        (ByteRange::FromTo { first: 0, last: 0 }, &bytes[..1]),
        (
            ByteRange::FromTo {
                first: 1_048_570,
                last: 2_100_000,
            },
            &bytes[1_048_570..=2_100_000],
        ),
        (ByteRange::From { first: 2_999_999 }, &bytes[2_999_999..]),
        (ByteRange::Last { length: 7 }, &bytes[2_999_994..]),
    ] {
        assert!(
            read(subject, "large", &written, Some(range)).await == expected,
            "{range:?}"
        );
    }
}

/// No bytes are a body as well.
pub async fn an_empty_object_is_an_object<S: ObjectStore>(subject: &Subject<S>) {
    let written = put(subject, "empty", b"").await;
    assert_eq!(read(subject, "empty", &written, None).await, "");
    assert_eq!(all(subject, "", 0).await.len(), 1);
}

/// A range that no byte lies in is an error, never an empty success.
pub async fn a_range_outside_is_refused<S: ObjectStore>(subject: &Subject<S>) {
    let written = put(subject, "a", b"abc").await;
    let at = version(subject, "a", &written);
    let range = Some(ByteRange::From { first: 3 });
    assert!(matches!(
        subject.0.read_version(&at, range).await,
        Err(Error::Refused { .. })
    ));
}

/// A version never changes.
pub async fn an_overwritten_version_stays_as_it_was<S: ObjectStore>(subject: &Subject<S>) {
    let one = put(subject, "a", b"one").await;
    let two = put(subject, "a", b"two").await;
    assert_ne!(one.version_id, two.version_id);
    assert_eq!(read(subject, "a", &one, None).await, "one");
    assert_eq!(read(subject, "a", &two, None).await, "two");
    let head = subject.0.head(&at(subject, "a")).await.unwrap();
    assert_eq!(head.at.version_id, two.version_id);
}

/// `If-None-Match: *` is atomic with the write.
pub async fn a_put_if_none_match_lands_once<S: ObjectStore>(subject: &Subject<S>) {
    let first = put_if(subject, "a", b"one", WriteCondition::IfNoneMatch).await;
    assert!(first.is_ok());
    let second = put_if(subject, "a", b"two", WriteCondition::IfNoneMatch).await;
    assert!(matches!(second, Err(Error::ConditionFailed { .. })));
    assert_eq!(all(subject, "", 0).await.len(), 1);
}

/// `If-Match` compares with the current version and nothing else.
pub async fn a_put_if_match_needs_the_current_tag<S: ObjectStore>(subject: &Subject<S>) {
    let one = put(subject, "a", b"one").await;
    let two = put_if(
        subject,
        "a",
        b"two",
        WriteCondition::IfMatch(one.etag.clone()),
    )
    .await;
    let stale = put_if(subject, "a", b"three", WriteCondition::IfMatch(one.etag)).await;
    assert!(matches!(stale, Err(Error::ConditionFailed { .. })));
    let head = subject.0.head(&at(subject, "a")).await.unwrap();
    assert_eq!(head.at.version_id, two.unwrap().version_id);
    let absent = put_if(subject, "b", b"x", WriteCondition::IfMatch(head.etag)).await;
    assert!(absent.is_err());
    assert_eq!(all(subject, "b", 0).await, []);
}

/// A failed write leaves nothing to be seen.
pub async fn a_body_that_fails_leaves_nothing<S: ObjectStore>(subject: &Subject<S>) {
    let pieces = vec![
        Ok(Bytes::from_static(b"half of it")),
        Err(Error::Unknown {
            reason: "cut off".into(),
            source: None,
        }),
    ];
    let body = Box::pin(futures::stream::iter(pieces));
    let failed = subject
        .0
        .put(&at(subject, "a"), body, PutOptions::default())
        .await;
    assert!(failed.is_err());
    assert_eq!(all(subject, "", 0).await, []);
}

/// Bytes and metadata are those of the version named, though it is not current; named pairs are set over them.
pub async fn a_copy_takes_exactly_the_version_named_with_its_metadata<S: ObjectStore>(
    subject: &Subject<S>,
) {
    let metadata = Metadata {
        content_type: Some("text/plain".into()),
        user: [
            ("kept".to_owned(), "1".to_owned()),
            ("set".into(), "old".into()),
        ]
        .into(),
        ..Metadata::default()
    };
    let options = PutOptions {
        metadata,
        ..PutOptions::default()
    };
    let body = body_from_bytes(Bytes::from_static(b"one"));
    let one = subject
        .0
        .put(&at(subject, "a"), body, options)
        .await
        .unwrap();
    put(subject, "a", b"two").await;
    let options = CopyOptions {
        add_user_metadata: vec![("set".into(), "new".into()), ("more".into(), "2".into())],
        ..CopyOptions::default()
    };
    let copy = subject
        .0
        .copy_version(&version(subject, "a", &one), &at(subject, "b"), options)
        .await
        .unwrap();
    assert_eq!(read(subject, "b", &copy, None).await, "one");
    let head = subject.0.head(&at(subject, "b")).await.unwrap();
    assert_eq!(head.metadata.content_type.as_deref(), Some("text/plain"));
    let pair = |name: &str| head.metadata.user.get(name).map(String::as_str);
    assert_eq!(
        (pair("kept"), pair("set"), pair("more")),
        (Some("1"), Some("new"), Some("2"))
    );
}

/// The copy can be compared with its source without reading either.
pub async fn a_copy_keeps_the_checksum_of_its_source<S: ObjectStore>(subject: &Subject<S>) {
    let one = put(subject, "a", b"123456789").await;
    let source = version(subject, "a", &one);
    let copy = subject
        .0
        .copy_version(&source, &at(subject, "b"), CopyOptions::default())
        .await
        .unwrap();
    let ours = subject.0.head_version(&source).await.unwrap();
    let theirs = subject
        .0
        .head_version(&version(subject, "b", &copy))
        .await
        .unwrap();
    let crc = ours.full_checksum(Algorithm::Crc64Nvme).unwrap();
    assert_eq!(*crc.value, [0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88]);
    assert_eq!(theirs.full_checksum(Algorithm::Crc64Nvme), Some(crc));
}

/// A copy over something else than was seen does not land.
pub async fn a_conditional_copy_lands_only_where_the_archive_is_as_seen<S: ObjectStore>(
    subject: &Subject<S>,
) {
    if !subject.0.capabilities().conditional_copy {
        return;
    }
    let source = version(subject, "a", &put(subject, "a", b"one").await);
    let to = at(subject, "b");
    let first = copy_to(subject, &source, &to, WriteCondition::IfNoneMatch)
        .await
        .unwrap();
    let again = copy_to(subject, &source, &to, WriteCondition::IfNoneMatch).await;
    assert!(matches!(again, Err(Error::ConditionFailed { .. })));
    let other = put(subject, "b", b"other").await;
    let stale = copy_to(subject, &source, &to, WriteCondition::IfMatch(first.etag)).await;
    assert!(matches!(stale, Err(Error::ConditionFailed { .. })));
    copy_to(subject, &source, &to, WriteCondition::IfMatch(other.etag))
        .await
        .unwrap();
    assert_eq!(all(subject, "b", 0).await.len(), 3);
}

async fn copy_to<S: ObjectStore>(
    subject: &Subject<S>,
    source: &VersionRef,
    to: &ObjectRef,
    condition: WriteCondition,
) -> Result<Written, Error> {
    let options = CopyOptions {
        condition,
        ..CopyOptions::default()
    };
    subject.0.copy_version(source, to, options).await
}

/// The pipeline tells a source that is gone from an archive that changed.
pub async fn a_copy_of_what_is_gone_says_so<S: ObjectStore>(subject: &Subject<S>) {
    let source = version(subject, "a", &put(subject, "a", b"one").await);
    subject.0.delete_version(&source).await.unwrap();
    let copy = subject
        .0
        .copy_version(&source, &at(subject, "b"), CopyOptions::default())
        .await;
    assert!(matches!(copy, Err(Error::NotFound { .. })));
    assert_eq!(all(subject, "", 0).await, []);
}

/// Deleting a version takes that one and makes no delete marker.
pub async fn a_deleted_version_is_gone_and_others_stay<S: ObjectStore>(subject: &Subject<S>) {
    let one = put(subject, "a", b"one").await;
    let two = put(subject, "a", b"two").await;
    let gone = version(subject, "a", &two);
    subject.0.delete_version(&gone).await.unwrap();
    assert!(matches!(
        subject.0.head_version(&gone).await,
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        subject.0.read_version(&gone, None).await,
        Err(Error::NotFound { .. })
    ));
    let head = subject.0.head(&at(subject, "a")).await.unwrap();
    assert_eq!(head.at.version_id, one.version_id);
    assert_eq!(all(subject, "", 0).await.len(), 1);
}

/// A repeated delete is no error.
pub async fn deleting_what_is_not_there_succeeds<S: ObjectStore>(subject: &Subject<S>) {
    let gone = version(subject, "a", &put(subject, "a", b"one").await);
    subject.0.delete_version(&gone).await.unwrap();
    subject.0.delete_version(&gone).await.unwrap();
}

/// The order the pipeline takes its own from.
pub async fn versions_are_listed_newest_first_and_keys_in_byte_order<S: ObjectStore>(
    subject: &Subject<S>,
) {
    for key in ["b", "a", "\u{e4}", "Z", "a/", "b"] {
        put(subject, key, key.as_bytes()).await;
    }
    let newest = put(subject, "b", b"newest").await;
    let listed = all(subject, "", 0).await;
    let keys: Vec<&str> = listed.iter().map(|version| version.key.as_str()).collect();
    assert_eq!(keys, ["Z", "a", "a/", "b", "b", "b", "\u{e4}"]);
    assert_eq!(listed[3].version_id, newest.version_id);
    let latest: Vec<bool> = listed.iter().map(|version| version.is_latest).collect();
    assert_eq!(latest, [true, true, true, true, false, false, true]);
    assert!(listed[3].last_modified >= listed[4].last_modified);
}

/// Whoever wants one key's versions can stop at the first other key.
pub async fn a_prefix_that_is_a_key_comes_before_longer_keys<S: ObjectStore>(subject: &Subject<S>) {
    for key in ["ab", "a/b", "a", "a"] {
        put(subject, key, b"x").await;
    }
    let keys: Vec<String> = all(subject, "a", 1)
        .await
        .iter()
        .map(|version| version.key.to_string())
        .collect();
    assert_eq!(keys, ["a", "a", "a/b", "ab"]);
}

/// Wherever a page ends, also within a key, the next goes on.
pub async fn pages_of_versions_hold_each_once<S: ObjectStore>(subject: &Subject<S>) {
    for n in 0..23 {
        put(subject, ["a", "b", "c"][n % 3], b"x").await;
    }
    let whole = all(subject, "", 0).await;
    assert_eq!(whole.len(), 23);
    for limit in [1, 2, 5, 22, 23, 24] {
        assert_eq!(all(subject, "", limit).await, whole, "{limit} a page");
    }
}

/// Absence is its own error, of key, version and bucket.
pub async fn what_is_not_there_is_not_found<S: ObjectStore>(subject: &Subject<S>) {
    let missing = VersionRef {
        bucket: subject.1.clone(),
        key: "a".parse().unwrap(),
        version_id: VersionId::new("no-such-version"),
    };
    let is_not_found = |error: &Error| matches!(error, Error::NotFound { .. });
    assert!(
        subject
            .0
            .head(&at(subject, "a"))
            .await
            .is_err_and(|e| is_not_found(&e))
    );
    put(subject, "a", b"x").await;
    assert!(
        subject
            .0
            .head_version(&missing)
            .await
            .is_err_and(|e| is_not_found(&e))
    );
    let nowhere: BucketName = "no-such-bucket".parse().unwrap();
    let listed = subject
        .0
        .list_versions(&nowhere, ListVersions::default())
        .await;
    assert!(listed.is_err_and(|e| is_not_found(&e)));
}
