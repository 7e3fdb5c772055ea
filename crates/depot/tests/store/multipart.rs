//! Multipart uploads.

use std::time::Duration;

use bytes::Bytes;
use two_buckets_depot::{
    COMPLETED_KEPT, CompletePart, CreateUpload, Error, ListParts, ListUploads, PutObject, Selector,
    UploadId, Versioning,
};
use two_buckets_objects::{
    Algorithm, ByteRange, Checksum, ChecksumKind, ETag, ObjectRef, PART_SIZE_BYTES_MIN,
    WriteCondition,
};

use crate::harness::{TestStore, bucket, object};
use crate::moves::{to_archive, version};

const PART: usize = 5 << 20;

impl TestStore {
    fn begin(&self, to: &ObjectRef) -> UploadId {
        self.begin_with(to, None)
    }

    fn begin_with(
        &self,
        to: &ObjectRef,
        checksum: Option<(Algorithm, Option<ChecksumKind>)>,
    ) -> UploadId {
        let options = CreateUpload {
            checksum,
            ..CreateUpload::default()
        };
        self.depot.create_upload(to, options).unwrap().id
    }

    fn part(&self, to: &ObjectRef, id: &UploadId, number: u32, bytes: &[u8]) -> CompletePart {
        let part = self
            .depot
            .put_part(to, id, number, self.body(bytes))
            .unwrap();
        CompletePart {
            number,
            etag: part.etag,
            checksum: part.checksum,
        }
    }

    fn complete(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        parts: &[CompletePart],
    ) -> two_buckets_depot::Result<two_buckets_objects::Written> {
        self.depot
            .complete_upload(to, id, parts, &WriteCondition::None, None)
            .map(|(_, written)| written)
    }
}

fn checksum(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
    let mut hasher = algorithm.hasher();
    hasher.update(bytes);
    hasher.finish()
}

#[test]
fn a_multipart_upload_that_ends_late_is_born_non_current_and_as_old_as_its_beginning() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    let initiated_at = store.depot.upload(&at, &id).unwrap().initiated_at;
    let put = store.put(&at, b"put meanwhile");
    let part = store.part(&at, &id, 1, b"late");
    let late = store.complete(&at, &id, &[part]).unwrap();
    assert_eq!(late.last_modified, initiated_at);
    assert!(late.last_modified < put.last_modified);
    assert_eq!(
        store.bytes(&at, &Selector::Current).unwrap(),
        b"put meanwhile"
    );
    let listed = store.versions("staging");
    assert_eq!(listed[0].version_id, put.version_id);
    assert_eq!(listed[1].version_id, late.version_id);
    assert!(listed[0].is_latest && !listed[1].is_latest);
    let created = store.created.lock().unwrap();
    assert_eq!(
        created
            .iter()
            .map(|created| (&created.at.version_id, created.is_latest))
            .collect::<Vec<_>>(),
        [(&put.version_id, true), (&late.version_id, false)]
    );
}

#[test]
fn the_upload_begun_last_is_current_though_it_is_completed_first() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let first = store.begin(&at);
    let second = store.begin(&at);
    for (id, bytes) in [(&second, b"second"), (&first, b"first!")] {
        let part = store.part(&at, id, 1, bytes);
        store.complete(&at, id, &[part]).unwrap();
    }
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"second");
}

#[test]
fn parts_may_be_sent_in_any_order_and_again_and_those_not_named_are_dropped() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    let (one, three) = (vec![1_u8; PART], vec![3_u8; 10]);
    let last = store.part(&at, &id, 7, &three);
    store.part(&at, &id, 2, b"sent first");
    let first = store.part(&at, &id, 2, &one);
    store.part(&at, &id, 5, b"never named");
    let listed = store
        .depot
        .list_parts(
            &at,
            &id,
            &ListParts {
                after: 2,
                limit: Some(1),
            },
        )
        .unwrap();
    assert_eq!((listed.parts[0].number, listed.next), (5, Some(5)));
    let written = store
        .complete(&at, &id, &[first.clone(), last.clone()])
        .unwrap();
    assert!(written.etag.as_str().ends_with("-2"));
    let found = store.head(&at).unwrap();
    assert_eq!(found.info.size_bytes, PART as u64 + 10);
    assert_eq!(
        found
            .parts
            .iter()
            .map(|part| (part.number, part.size_bytes))
            .collect::<Vec<_>>(),
        [(2, PART_SIZE_BYTES_MIN), (7, 10)]
    );
    assert_eq!(
        store.bytes(&at, &Selector::Current).unwrap(),
        [one, three].concat()
    );
    let across = ByteRange::FromTo {
        first: PART as u64 - 1,
        last: PART as u64,
    };
    let (_, mut reader) = store
        .depot
        .read(&at, &Selector::Current, Some(across))
        .unwrap();
    assert_eq!(reader.remaining_bytes(), 2);
    let pieces = [
        reader.next_piece(100).unwrap(),
        reader.next_piece(100).unwrap(),
    ];
    assert_eq!(pieces.concat(), [1, 3]);
}

#[test]
fn a_full_object_crc_needs_no_byte_read_and_a_wrong_one_completes_nothing() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let (one, two) = (vec![7_u8; PART], b"the end".to_vec());
    let whole = [one.clone(), two.clone()].concat();
    for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
        let id = store.begin_with(&at, Some((algorithm, Some(ChecksumKind::FullObject))));
        let parts = [store.part(&at, &id, 1, &one), store.part(&at, &id, 2, &two)];
        let right = checksum(algorithm, &whole);
        let complete = |expected: &Checksum| {
            store
                .depot
                .complete_upload(&at, &id, &parts, &WriteCondition::None, Some(expected))
        };
        assert!(matches!(
            complete(&checksum(algorithm, &one)),
            Err(Error::BadDigest { .. })
        ));
        assert!(matches!(
            complete(&checksum(Algorithm::Sha1, &whole)),
            Err(Error::InvalidArgument(_))
        ));
        let (completed, _) = complete(&right).unwrap();
        assert_eq!(completed.checksum, right);
        assert_eq!(completed.size_bytes, whole.len() as u64);
        let crc64 = checksum(Algorithm::Crc64Nvme, &whole);
        let kept = store.head(&at).unwrap().info.checksums;
        assert_eq!((&kept[0], kept.last()), (&right, Some(&crc64)));
    }
}

#[test]
fn a_composite_checksum_counts_its_parts() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin_with(&at, Some((Algorithm::Sha256, None)));
    let part = store.part(&at, &id, 1, b"only");
    let mut wrong = part.clone();
    wrong.checksum = Some(checksum(Algorithm::Sha256, b"other"));
    assert!(matches!(
        store.complete(&at, &id, &[wrong]),
        Err(Error::InvalidPart(1))
    ));
    store.complete(&at, &id, &[part]).unwrap();
    let kept = store.head(&at).unwrap().info.checksums[0].clone();
    assert_eq!(kept.kind, ChecksumKind::Composite { parts: 1 });
    let inner = checksum(Algorithm::Sha256, b"only").value;
    assert_eq!(kept.value, checksum(Algorithm::Sha256, &inner).value);
}

#[test]
fn every_object_in_parts_has_a_crc_of_all_of_it_beside_the_checksum_it_shows() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let (one, two) = (vec![7_u8; PART], b"the end".to_vec());
    let whole = checksum(Algorithm::Crc64Nvme, &[one.clone(), two.clone()].concat());
    let source = object("staging", "source");
    store.put(&source, &two);
    for algorithm in Algorithm::ALL {
        for is_copied in [false, true] {
            let id = store.begin_with(&at, Some((algorithm, None)));
            let first = store.part(&at, &id, 1, &one);
            let second = if is_copied {
                let (_, part) = store
                    .depot
                    .put_part_copy(&at, &id, 2, &source, &Selector::Current, None)
                    .unwrap();
                CompletePart {
                    number: 2,
                    etag: part.etag,
                    checksum: None,
                }
            } else {
                store.part(&at, &id, 2, &two)
            };
            store.complete(&at, &id, &[first, second]).unwrap();
            let kept = store.head(&at).unwrap().info.checksums;
            assert_eq!(kept[0].algorithm, algorithm);
            assert_eq!(kept.last(), Some(&whole), "{algorithm}");
        }
    }
}

#[test]
fn completing_again_gives_the_same_answer_whatever_became_of_the_object() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    let parts = [
        store.part(&at, &id, 1, &vec![1; PART]),
        store.part(&at, &id, 3, b"three"),
    ];
    let complete = |store: &TestStore| {
        store
            .depot
            .complete_upload(&at, &id, &parts, &WriteCondition::IfNoneMatch, None)
    };
    let first = complete(&store).unwrap();
    assert_eq!(complete(&store).unwrap(), first);
    assert_eq!(store.created.lock().unwrap().len(), 1);
    let refused = |store: &TestStore| {
        let other_tag = CompletePart {
            etag: ETag::new("00000000000000000000000000000000"),
            ..parts[1].clone()
        };
        let other_number = CompletePart {
            number: 2,
            ..parts[1].clone()
        };
        let no_tag = CompletePart {
            etag: ETag::new("x"),
            ..parts[1].clone()
        };
        for other in [
            vec![parts[0].clone()],
            vec![parts[0].clone(), other_tag],
            vec![parts[0].clone(), other_number],
            vec![parts[0].clone(), no_tag],
        ] {
            assert!(matches!(
                store.complete(&at, &id, &other),
                Err(Error::NoSuchUpload)
            ));
        }
        assert!(matches!(
            store.complete(&object("staging", "b"), &id, &parts),
            Err(Error::NoSuchUpload)
        ));
        let wrong = checksum(Algorithm::Crc64Nvme, b"other");
        assert!(matches!(
            store
                .depot
                .complete_upload(&at, &id, &parts, &WriteCondition::None, Some(&wrong)),
            Err(Error::BadDigest { .. })
        ));
        assert!(matches!(
            store.depot.abort_upload(&at, &id),
            Err(Error::NoSuchUpload)
        ));
    };
    refused(&store);
    // Overwritten, moved to the archive, opened again, and the grace of what was just moved over.
    store.put(&at, b"newer");
    store
        .move_version(to_archive(version(&at, &first.1.version_id)))
        .unwrap();
    assert_eq!(complete(&store).unwrap(), first);
    let store = store.reopened();
    store.clock.pass(Duration::from_hours(23));
    assert_eq!(complete(&store).unwrap(), first);
    refused(&store);
    assert_eq!(store.depot.forget_completions().unwrap(), 0);
    assert_eq!(complete(&store).unwrap(), first);
    store.clock.pass(Duration::from_hours(1));
    assert!(matches!(complete(&store), Err(Error::NoSuchUpload)));
    assert_eq!(store.depot.forget_completions().unwrap(), 1);
    assert_eq!(store.depot.forget_completions().unwrap(), 0);
    assert!(matches!(complete(&store), Err(Error::NoSuchUpload)));
}

#[test]
fn while_the_object_is_there_a_completion_can_be_repeated_for_longer() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    let parts = [store.part(&at, &id, 1, b"one")];
    let first = store.complete(&at, &id, &parts).unwrap();
    store.clock.pass(COMPLETED_KEPT);
    assert_eq!(store.depot.forget_completions().unwrap(), 1);
    assert_eq!(store.complete(&at, &id, &parts).unwrap(), first);
    store.delete_version(&at, &first.version_id);
    assert!(matches!(
        store.complete(&at, &id, &parts),
        Err(Error::NoSuchUpload)
    ));
}

#[test]
fn a_bucket_made_anew_knows_nothing_of_the_completions_in_the_one_before() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    let parts = [store.part(&at, &id, 1, b"one")];
    let first = store.complete(&at, &id, &parts).unwrap();
    store.delete_version(&at, &first.version_id);
    store.depot.delete_bucket(&bucket("staging")).unwrap();
    assert!(matches!(
        store.complete(&at, &id, &parts),
        Err(Error::NoSuchBucket(_))
    ));
    store.depot.create_bucket(&bucket("staging")).unwrap();
    assert!(matches!(
        store.complete(&at, &id, &parts),
        Err(Error::NoSuchUpload)
    ));
}

#[test]
fn parts_are_listed_by_the_thousand_unless_more_are_asked_for() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    for number in 1..=1003 {
        store.part(&at, &id, number * 9, b"");
    }
    let list = |after, limit| {
        let page = store
            .depot
            .list_parts(&at, &id, &ListParts { after, limit })
            .unwrap();
        let numbers: Vec<u32> = page.parts.iter().map(|part| part.number).collect();
        (numbers, page.next)
    };
    let all: Vec<u32> = (1..=1003).map(|number| number * 9).collect();
    assert_eq!(list(0, None), (all[..1000].to_vec(), Some(9000)));
    assert_eq!(list(9000, None), (all[1000..].to_vec(), None));
    assert_eq!(list(0, Some(1003)), (all.clone(), None));
    assert_eq!(list(0, Some(1002)), (all[..1002].to_vec(), Some(9018)));
    assert_eq!(list(0, Some(usize::MAX)), (all, None));
    assert_eq!(list(9027, None), (vec![], None));
}

#[test]
fn a_refused_completion_leaves_the_upload_as_it_was() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    let small = store.part(&at, &id, 1, b"small");
    let last = store.part(&at, &id, 2, b"last");
    let refused = |parts: &[CompletePart]| store.complete(&at, &id, parts).unwrap_err();
    assert!(matches!(
        refused(&[small.clone(), last.clone()]),
        Error::EntityTooSmall {
            part: 1,
            size_bytes: 5,
            ..
        }
    ));
    assert!(matches!(
        refused(&[last.clone(), small.clone()]),
        Error::InvalidPartOrder
    ));
    assert!(matches!(
        refused(&[small.clone(), small.clone()]),
        Error::InvalidPartOrder
    ));
    assert!(matches!(refused(&[]), Error::InvalidArgument(_)));
    let missing = CompletePart {
        number: 9,
        ..last.clone()
    };
    assert!(matches!(refused(&[missing]), Error::InvalidPart(9)));
    store.put(&at, b"there");
    assert!(matches!(
        store
            .depot
            .complete_upload(
                &at,
                &id,
                std::slice::from_ref(&last),
                &WriteCondition::IfNoneMatch,
                None
            )
            .unwrap_err(),
        Error::ConditionFailed
    ));
    let parts = store
        .depot
        .list_parts(&at, &id, &ListParts::default())
        .unwrap()
        .parts;
    assert_eq!(parts.len(), 2);
    store.complete(&at, &id, &[last]).unwrap();
}

#[test]
fn part_numbers_go_from_1_to_10000() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    store.part(&at, &id, 1, b"");
    store.part(&at, &id, 10_000, b"");
    for wrong in [0, 10_001] {
        assert!(matches!(
            store.depot.put_part(&at, &id, wrong, store.body(b"")),
            Err(Error::InvalidArgument(_))
        ));
    }
}

#[test]
fn a_part_can_be_a_range_of_any_version_and_shares_a_whole_one() {
    let store = TestStore::new();
    let source = object("staging", "source");
    let old = store.put(&source, b"0123456789");
    store.put(&source, b"newer");
    let at = object("staging", "a");
    let id = store.begin(&at);
    let version = Selector::Version(old.version_id.clone());
    let range = Some(ByteRange::FromTo { first: 2, last: 4 });
    let (found, part) = store
        .depot
        .put_part_copy(&at, &id, 1, &source, &version, range)
        .unwrap();
    assert_eq!(found.info.at.version_id, old.version_id);
    assert_eq!(part.size_bytes, 3);
    let (_, whole) = store
        .depot
        .put_part_copy(&at, &id, 2, &source, &version, None)
        .unwrap();
    // The body stays though its first owner goes.
    store.delete_version(&source, &old.version_id);
    let named = CompletePart {
        number: 2,
        etag: whole.etag,
        checksum: whole.checksum,
    };
    store.complete(&at, &id, &[named]).unwrap();
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"0123456789");
    assert!(matches!(
        store.depot.put_part_copy(
            &at,
            &store.begin(&at),
            1,
            &source,
            &Selector::Current,
            Some(ByteRange::From { first: 5 })
        ),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn without_versioning_a_completion_takes_the_place_of_the_object() {
    let store = TestStore::new();
    store.depot.create_bucket(&bucket("plain")).unwrap();
    let at = object("plain", "a");
    let id = store.begin(&at);
    store.put(&at, b"meanwhile");
    let part = store.part(&at, &id, 1, b"completed");
    assert!(
        store
            .complete(&at, &id, &[part])
            .unwrap()
            .version_id
            .is_null()
    );
    assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), b"completed");
    assert_eq!(store.versions("plain").len(), 1);
}

#[test]
fn uploads_left_lying_are_aborted_by_age_and_prefix_only() {
    let store = TestStore::new();
    let old = store.begin(&object("staging", "logs/old"));
    store.part(&object("staging", "logs/old"), &old, 1, b"part");
    store.begin(&object("staging", "other/old"));
    store.clock.pass(Duration::from_hours(48));
    store.begin(&object("staging", "logs/young"));
    let aborted = store
        .depot
        .abort_uploads_older_than(&bucket("staging"), "logs/", Duration::from_hours(24))
        .unwrap();
    assert_eq!(
        aborted.iter().map(|upload| &upload.id).collect::<Vec<_>>(),
        [&old]
    );
    let left = store
        .depot
        .list_uploads(&bucket("staging"), &ListUploads::default())
        .unwrap()
        .uploads;
    let keys: Vec<_> = left.iter().map(|upload| upload.key.as_str()).collect();
    assert_eq!(keys, ["logs/young", "other/old"]);
    assert!(matches!(
        store.depot.delete_bucket(&bucket("staging")),
        Err(Error::BucketNotEmpty(_))
    ));
}

#[test]
fn an_upload_belongs_to_its_key_and_its_store() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    let elsewhere = object("staging", "b");
    for (at, id) in [
        (&elsewhere, &id),
        (&at, &UploadId("no such id".into())),
        (&at, &UploadId("0".repeat(32))),
    ] {
        assert!(matches!(
            store.depot.put_part(at, id, 1, store.body(b"x")),
            Err(Error::NoSuchUpload)
        ));
    }
    store.depot.abort_upload(&at, &id).unwrap();
    assert!(matches!(
        store.depot.abort_upload(&at, &id),
        Err(Error::NoSuchUpload)
    ));
}

#[test]
fn a_part_needs_the_checksum_its_upload_keeps() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin_with(&at, Some((Algorithm::Sha1, None)));
    let mut writer = store.depot.body_writer(&[], 100);
    writer.write(&Bytes::from_static(b"x")).unwrap();
    let body = writer.finish().unwrap();
    assert!(matches!(
        store.depot.put_part(&at, &id, 1, body),
        Err(Error::InvalidArgument(_))
    ));
    let body = store.depot.body_writer(&[], 100).finish().unwrap();
    let options = PutObject {
        checksum: Some(Algorithm::Sha1),
        ..PutObject::default()
    };
    assert!(matches!(
        store.depot.put(&at, body, options),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn where_versioning_is_suspended_a_late_completion_is_null_in_its_old_place() {
    let store = TestStore::new();
    let at = object("staging", "a");
    let id = store.begin(&at);
    let newer = store.put(&at, b"newer");
    store
        .depot
        .set_versioning(&bucket("staging"), Versioning::Suspended)
        .unwrap();
    let part = store.part(&at, &id, 1, b"late");
    assert!(
        store
            .complete(&at, &id, &[part])
            .unwrap()
            .version_id
            .is_null()
    );
    let listed = store.versions("staging");
    assert_eq!(listed[0].version_id, newer.version_id);
    assert!(listed[1].version_id.is_null() && !listed[1].is_latest);
}
