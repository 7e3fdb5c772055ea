use proptest::prelude::*;
use proptest::sample::select;
use two_buckets_objects::{Algorithm, Checksum, ChecksumKind, ETag, Metadata, Tags, Timestamp};

use super::{
    BucketRecord, CompletedRecord, Content, Manifest, ManifestPart, ObjectRecord, PartRecord,
    UploadRecord, VersionRecord, VersionState,
};
use crate::engine::BodyId;
use crate::row_keys::Order;
use crate::{Error, PartOfObject, Result, Versioning};

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn kind() -> impl Strategy<Value = ChecksumKind> {
    prop_oneof![
        Just(ChecksumKind::FullObject),
        (0..=10_000_u32).prop_map(|parts| ChecksumKind::Composite { parts }),
    ]
}

fn checksum() -> impl Strategy<Value = Checksum> {
    (select(&Algorithm::ALL[..]), kind(), any::<[u8; 32]>()).prop_map(|(algorithm, kind, bytes)| {
        Checksum {
            algorithm,
            kind,
            value: bytes[..algorithm.length_bytes()].into(),
        }
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let text = || prop::option::of(".{0,8}");
    let pairs = prop::collection::btree_map(".{0,4}", ".{0,4}", 0..4);
    (
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        pairs,
    )
        .prop_map(|(a, b, c, d, e, f, g, user)| Metadata {
            content_type: a,
            content_encoding: b,
            content_disposition: c,
            content_language: d,
            cache_control: e,
            expires: f,
            website_redirect_location: g,
            user,
        })
}

fn tags() -> impl Strategy<Value = Tags> {
    prop::collection::btree_map(".{0,4}", ".{0,4}", 0..4).prop_map(Tags)
}

fn version() -> impl Strategy<Value = VersionRecord> {
    let content = prop_oneof![
        any::<u64>().prop_map(|id| Content::Body(BodyId::new(id))),
        any::<u64>().prop_map(|order| Content::Parts(Order(order))),
    ];
    let object = (
        any::<u64>(),
        "[0-9a-f]{32}",
        prop_oneof![
            prop::option::of(checksum()).prop_map(|shown| (shown, None)),
            (checksum(), checksum()).prop_map(|(shown, crc64)| (Some(shown), Some(crc64))),
        ],
        metadata(),
        tags(),
        content,
    )
        .prop_map(
            |(size_bytes, etag, (checksum, crc64), metadata, tags, content)| {
                VersionState::Object(Box::new(ObjectRecord {
                    size_bytes,
                    etag: ETag::new(&etag),
                    checksum,
                    crc64,
                    metadata,
                    tags,
                    content,
                }))
            },
        );
    let state = prop_oneof![1 => Just(VersionState::DeleteMarker), 4 => object];
    (any::<bool>(), time(), state).prop_map(|(is_null, last_modified, state)| VersionRecord {
        is_null,
        last_modified,
        state,
    })
}

fn upload() -> impl Strategy<Value = UploadRecord> {
    let algorithm = select(&Algorithm::ALL[..]);
    (time(), algorithm, kind(), metadata(), tags()).prop_map(
        |(initiated_at, algorithm, kind, metadata, tags)| UploadRecord {
            initiated_at,
            algorithm,
            kind,
            metadata,
            tags,
        },
    )
}

fn part() -> impl Strategy<Value = PartRecord> {
    let numbers = (any::<u64>(), any::<u64>());
    let checksums = (checksum(), prop::option::of(checksum()));
    (time(), numbers, any::<[u8; 16]>(), checksums).prop_map(
        |(last_modified, (size_bytes, body), md5, (checksum, crc64))| PartRecord {
            last_modified,
            size_bytes,
            md5,
            checksum,
            crc64,
            body: BodyId::new(body),
        },
    )
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let numbers = (any::<u32>(), any::<u64>(), any::<u64>());
    let part = (numbers, prop::option::of(checksum())).prop_map(
        |((number, size_bytes, body), checksum)| ManifestPart {
            shown: PartOfObject {
                number,
                size_bytes,
                checksum,
            },
            body: BodyId::new(body),
        },
    );
    prop::collection::vec(part, 0..5).prop_map(|parts| Manifest { parts })
}

fn completed() -> impl Strategy<Value = CompletedRecord> {
    let times = (time(), time());
    (
        times,
        any::<bool>(),
        any::<u64>(),
        "[0-9a-f]{32}-[0-9]",
        checksum(),
        any::<[u8; 32]>(),
    )
        .prop_map(
            |((completed_at, last_modified), is_null, size_bytes, etag, checksum, parts_sha256)| {
                CompletedRecord {
                    completed_at,
                    is_null,
                    last_modified,
                    size_bytes,
                    etag: ETag::new(&etag),
                    checksum,
                    parts_sha256,
                }
            },
        )
}

/// Whole it reads back; cut anywhere or with a byte more it is corrupt.
fn is_read_back<T: PartialEq + std::fmt::Debug>(
    record: &T,
    row: &[u8],
    decode: impl Fn(&[u8]) -> Result<T>,
) {
    assert_eq!(decode(row).unwrap(), *record);
    for length in 0..row.len() {
        assert!(matches!(decode(&row[..length]), Err(Error::Corrupt { .. })));
    }
    let longer = [row, &[0]].concat();
    assert!(matches!(decode(&longer), Err(Error::Corrupt { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_read_back_as_written_and_never_when_cut_or_longer(
        version in version(), upload in upload(), part in part(), manifest in manifest(),
        completed in completed(),
    ) {
        is_read_back(&version, &version.encode(), VersionRecord::decode);
        is_read_back(&upload, &upload.encode(), UploadRecord::decode);
        is_read_back(&part, &part.encode(), PartRecord::decode);
        is_read_back(&manifest, &manifest.encode(), Manifest::decode);
        is_read_back(&completed, &completed.encode(), CompletedRecord::decode);
    }

    #[test]
    fn whatever_a_row_holds_reading_it_does_not_panic(
        row in prop::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(),
        bit in 0..8_u32, version in version(),
    ) {
        for first in [0, 1, 2, 3] {
            let row = [&[first][..], &row].concat();
            drop((VersionRecord::decode(&row), UploadRecord::decode(&row)));
            drop((PartRecord::decode(&row), Manifest::decode(&row)));
            drop((BucketRecord::decode(&row), CompletedRecord::decode(&row)));
        }
        let mut flipped = version.encode();
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        drop(VersionRecord::decode(&flipped));
    }
}

#[test]
fn a_length_beyond_the_row_reserves_nothing() {
    let mut row = vec![1];
    row.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Manifest::decode(&row), Err(Error::Corrupt { .. })));
}

/// These bytes are on people's disks: a change here needs a new version byte and a reader for the old one.
#[test]
fn rows_have_the_bytes_the_format_says() {
    let bucket = BucketRecord {
        created_at: Timestamp::from_millis(0x0102),
        versioning: Versioning::Suspended,
    };
    assert_eq!(bucket.encode(), [1, 2, 1, 0, 0, 0, 0, 0, 0, 2]);
    let version = VersionRecord {
        is_null: true,
        last_modified: Timestamp::from_millis(-1),
        state: VersionState::Object(Box::new(ObjectRecord {
            size_bytes: 5,
            etag: ETag::new("e"),
            checksum: Some(Checksum {
                algorithm: Algorithm::Crc32,
                kind: ChecksumKind::Composite { parts: 2 },
                value: [0xA, 0xB, 0xC, 0xD].into(),
            }),
            crc64: None,
            metadata: Metadata {
                content_type: Some("t".into()),
                user: [("k".to_owned(), "v".to_owned())].into(),
                ..Metadata::default()
            },
            tags: Tags::default(),
            content: Content::Parts(Order(9)),
        })),
    };
    let expected: Vec<u8> = [
        &[1, 1][..],
        &[0xFF; 8],
        &[1],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, b'e'],
        &[1, 0, 0, 0],
        &[1, 3, 0, 0, 0, 0xA, 0xB, 0xC, 0xD],
        &[1, 1, 0, 0, 0, b't'],
        &[0; 6],
        &[1, 0, 0, 0, 1, 0, 0, 0, b'k', 1, 0, 0, 0, b'v'],
        &[0, 0, 0, 0],
        &[1, 9, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!(version.encode(), expected);
    assert_eq!(VersionRecord::decode(&expected).unwrap(), version);
    let crc64 = Checksum {
        algorithm: Algorithm::Crc64Nvme,
        kind: ChecksumKind::FullObject,
        value: [1, 2, 3, 4, 5, 6, 7, 8].into(),
    };
    let mut version = version;
    if let VersionState::Object(object) = &mut version.state {
        object.crc64 = Some(crc64.clone());
    }
    let expected: Vec<u8> = [
        &[2],
        &expected[1..24],
        &[2, 0, 0, 0],
        &expected[28..37],
        &[3, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        &expected[37..],
    ]
    .concat();
    assert_eq!(version.encode(), expected);

    let mut part = PartRecord {
        last_modified: Timestamp::from_millis(1),
        size_bytes: 2,
        md5: [3; 16],
        checksum: Checksum {
            algorithm: Algorithm::Crc32,
            kind: ChecksumKind::FullObject,
            value: [0xA, 0xB, 0xC, 0xD].into(),
        },
        crc64: None,
        body: BodyId::new(4),
    };
    let first: Vec<u8> = [
        &[1, 1, 0, 0, 0, 0, 0, 0, 0][..],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[3; 16],
        &[1, 1, 0, 0, 0, 0, 0xA, 0xB, 0xC, 0xD],
        &[4, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!(part.encode(), first);
    assert_eq!(PartRecord::decode(&first).unwrap(), part);
    part.crc64 = Some(crc64);
    let second: Vec<u8> = [
        &[2],
        &first[1..43],
        &[3, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        &first[43..],
    ]
    .concat();
    assert_eq!(part.encode(), second);
}

#[test]
fn a_completed_upload_has_the_bytes_the_format_says() {
    let completed = CompletedRecord {
        completed_at: Timestamp::from_millis(3),
        is_null: true,
        last_modified: Timestamp::from_millis(2),
        size_bytes: 5,
        etag: ETag::new("e-1"),
        checksum: Checksum {
            algorithm: Algorithm::Crc32,
            kind: ChecksumKind::FullObject,
            value: [0xA, 0xB, 0xC, 0xD].into(),
        },
        parts_sha256: [7; 32],
    };
    let expected: Vec<u8> = [
        &[1][..],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        &[1],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[3, 0, 0, 0, b'e', b'-', b'1'],
        &[1, 0, 0, 0, 0, 0xA, 0xB, 0xC, 0xD],
        &[7; 32],
    ]
    .concat();
    assert_eq!(completed.encode(), expected);
}
