//! What a copy takes along, of which keys, by how many calls.

use bytes::Bytes;
use two_buckets_aws::S3StoreOptions;
use two_buckets_depot::Selector;
use two_buckets_objects::{
    Algorithm, CopyOptions, Error, ListVersions, Metadata, ObjectRef, ObjectStore as _, PutOptions,
    Tags, VersionRef, WriteCondition, body_from_bytes, read_to_bytes,
};

use super::server::{Served, bucket, served};

const MIB: usize = 1 << 20;

pub(crate) fn at(key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket(),
        key: key.parse().unwrap(),
    }
}

pub(crate) async fn put(
    store: &Served,
    key: &str,
    body: Vec<u8>,
    options: PutOptions,
) -> VersionRef {
    let at = at(key);
    let written = store
        .put(&at, body_from_bytes(Bytes::from(body)), options)
        .await
        .unwrap();
    VersionRef {
        bucket: at.bucket,
        key: at.key,
        version_id: written.version_id,
    }
}

fn everything() -> Metadata {
    Metadata {
        content_type: Some("text/csv; charset=utf-8".into()),
        content_encoding: Some("gzip".into()),
        content_disposition: Some("attachment; filename=\"a b.csv\"".into()),
        content_language: Some("de, en".into()),
        cache_control: Some("max-age=60".into()),
        expires: Some("when it rains".into()),
        website_redirect_location: Some("/elsewhere".into()),
        user: [
            ("one".to_owned(), "1".to_owned()),
            ("two".into(), "2  2".into()),
        ]
        .into(),
    }
}

fn tags() -> Tags {
    Tags(
        [
            ("a b".to_owned(), "c+d=e".to_owned()),
            ("z".into(), String::new()),
        ]
        .into(),
    )
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect()
}

/// Lowered to what our own S3 takes, so that a test has three parts of 12 MiB.
fn in_parts() -> S3StoreOptions {
    S3StoreOptions {
        single_copy_bytes_max: MIB as u64,
        copy_part_bytes: 5 * MIB as u64,
        ..S3StoreOptions::default()
    }
}

/// Bytes, all metadata and tags, by whichever calls it is copied.
#[tokio::test]
async fn a_copy_is_exact_in_bytes_metadata_and_tags_at_once_and_in_parts() {
    for (options, copied_by) in [
        (S3StoreOptions::default(), &["HeadObject", "CopyObject"][..]),
        (
            in_parts(),
            &[
                "HeadObject",
                "GetObjectTagging",
                "CreateMultipartUpload",
                "UploadPartCopy",
                "UploadPartCopy",
                "UploadPartCopy",
                "CompleteMultipartUpload",
                "HeadObject",
            ],
        ),
    ] {
        let store = served(options).await;
        let bytes = noise(12 * MIB + 1);
        let put_options = PutOptions {
            metadata: everything(),
            tags: tags(),
            ..PutOptions::default()
        };
        let source = put(&store, "big", bytes.clone(), put_options).await;
        assert_eq!(
            store.server.calls(),
            [
                "CreateMultipartUpload",
                "UploadPart",
                "UploadPart",
                "CompleteMultipartUpload",
                "HeadObject"
            ]
        );
        // Another version is current by now.
        put(&store, "big", b"other".to_vec(), PutOptions::default()).await;
        assert_eq!(store.server.calls(), ["PutObject", "HeadObject"]);
        let copy = CopyOptions {
            condition: WriteCondition::IfNoneMatch,
            add_user_metadata: vec![("two".into(), "new".into()), ("three".into(), "3".into())],
        };
        let written = store
            .copy_version(&source, &at("copy"), copy)
            .await
            .unwrap();
        assert_eq!(store.server.calls(), copied_by);
        let info = store.head(&at("copy")).await.unwrap();
        assert_eq!(info.at.version_id, written.version_id);
        assert_eq!(info.etag, written.etag);
        let mut wanted = everything();
        wanted.user.insert("two".into(), "new".into());
        wanted.user.insert("three".into(), "3".into());
        assert_eq!(info.metadata, wanted);
        let of_source = store.head_version(&source).await.unwrap();
        let crc = of_source.full_checksum(Algorithm::Crc64Nvme);
        assert!(crc.is_some());
        assert_eq!(info.full_checksum(Algorithm::Crc64Nvme), crc);
        let body = store.read_version(&info.at, None).await.unwrap();
        assert!(read_to_bytes(body, 64 * MIB).await.unwrap() == bytes);
        let kept = store
            .server
            .depot
            .head(&at("copy"), &Selector::Current)
            .unwrap();
        assert_eq!(kept.tags, tags());
    }
}

/// The checksum that the source has is the one asked of the copy, so that neither has to be read to compare them.
#[tokio::test]
async fn a_copy_has_a_checksum_that_its_source_has_whatever_that_is() {
    let store = served(in_parts()).await;
    for algorithm in Algorithm::ALL {
        let options = PutOptions {
            checksum: Some(algorithm),
            ..PutOptions::default()
        };
        let source = put(&store, algorithm.name(), noise(1000), options).await;
        let to = at(&format!("copy-of-{algorithm}"));
        store
            .copy_version(&source, &to, CopyOptions::default())
            .await
            .unwrap();
        let ours = store.head_version(&source).await.unwrap();
        let theirs = store.head(&to).await.unwrap();
        let ours = ours.full_checksum(algorithm).unwrap();
        assert_eq!(theirs.full_checksum(algorithm), Some(ours));
    }
}

/// Whatever a key has in it, every call means that key: in a path, in `x-amz-copy-source`, in a list.
#[tokio::test]
async fn any_legal_key_can_be_written_read_copied_listed_and_deleted() {
    let store = served(S3StoreOptions {
        single_copy_bytes_max: 10,
        ..S3StoreOptions::default()
    })
    .await;
    let keys = [
        "plain",
        "sp ace",
        "p+lus",
        "a//b",
        "/leading",
        "trailing/",
        "que?ry=1&versionId=x",
        "ha#sh",
        "per%2Fcent",
        "%",
        "ä/漢字/🎉",
        "e\u{301}",
        "dots/../in/./it",
        "quo\"te'<>\\^`{|}~[]@!$*,;:",
        "tab\tline\n",
        "control\u{1}",
        &"k".repeat(1024),
    ];
    let mut seen = Vec::new();
    for key in keys {
        // Copied at once, and in parts.
        for body in [b"the bytes".to_vec(), b"some more bytes".to_vec()] {
            // S3 repeats the key of an upload of parts in XML, which cannot hold this one.
            if body.len() > 10 && key.contains('\u{1}') {
                continue;
            }
            let source = put(&store, key, body.clone(), PutOptions::default()).await;
            let to = at(&format!("_{}", &key[..key.len().min(1023)]));
            let to = if key.len() < 1024 {
                to
            } else {
                at(&"c".repeat(1024))
            };
            let copy = store
                .copy_version(&source, &to, CopyOptions::default())
                .await
                .unwrap_or_else(|error| panic!("{key:?}: {error}"));
            let copied = VersionRef {
                bucket: bucket(),
                key: to.key,
                version_id: copy.version_id,
            };
            let read = store.read_version(&copied, None).await.unwrap();
            assert!(
                read_to_bytes(read, 8 * MIB).await.unwrap() == body,
                "{key:?}"
            );
            assert!(!store.has_open_multipart(&at(key)).await.unwrap());
            store.delete_version(&copied).await.unwrap();
            seen.push((source.key.clone(), source.version_id.clone()));
        }
    }
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    for limit in [0, 1, 7] {
        let mut listed = Vec::new();
        let mut options = ListVersions {
            limit,
            ..ListVersions::default()
        };
        loop {
            let page = store
                .list_versions(&bucket(), options.clone())
                .await
                .unwrap();
            listed.extend(
                page.versions
                    .into_iter()
                    .map(|one| (one.key, one.version_id)),
            );
            match page.next {
                Some(next) => options.after = Some(next),
                None => break,
            }
        }
        listed.reverse();
        listed.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(listed, seen, "{limit} a page");
    }
}

/// Of two keys of which one begins like the other, each has its own.
#[tokio::test]
async fn an_open_upload_is_that_of_exactly_the_key() {
    let store = served(S3StoreOptions::default()).await;
    let begin = |key: &'static str| {
        let call = store.server.client.create_multipart_upload();
        call.bucket(bucket().as_str()).key(key).send()
    };
    begin("a+b/c").await.unwrap();
    assert!(!store.has_open_multipart(&at("a+b")).await.unwrap());
    assert!(store.has_open_multipart(&at("a+b/c")).await.unwrap());
    begin("a+b").await.unwrap();
    assert!(store.has_open_multipart(&at("a+b")).await.unwrap());
}

/// Said before a call is made for it, and about the file: there is nothing to try again.
#[tokio::test]
async fn metadata_that_does_not_fit_is_refused_and_nothing_is_copied() {
    let store = served(S3StoreOptions::default()).await;
    let options = PutOptions {
        metadata: Metadata {
            user: [("k".to_owned(), "v".repeat(2_000))].into(),
            ..Metadata::default()
        },
        ..PutOptions::default()
    };
    let source = put(&store, "a", b"x".to_vec(), options).await;
    let to = at("copy");
    let copy = |value: usize| {
        let options = CopyOptions {
            add_user_metadata: vec![("m".into(), "v".repeat(value))],
            ..CopyOptions::default()
        };
        store.copy_version(&source, &to, options)
    };
    assert!(matches!(copy(47).await, Err(Error::Refused { .. })));
    copy(46).await.unwrap();
}
