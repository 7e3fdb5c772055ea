//! Bodies on their way in.

use bytes::Bytes;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{BodyWriter, Depot, Error, Options, PutObject, Selector};
use two_buckets_objects::Algorithm;

use crate::harness::{TestClock, TestStore, bucket, bytes, object};

/// Small enough for the log, and of more than one chunk of a file.
const SIZES: [usize; 3] = [0, 5_000, 700_000];

fn some_bytes(size: usize) -> Bytes {
    (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn a_body_is_the_same_whether_one_thread_hashes_and_writes_it_or_two() {
    let store = TestStore::new();
    for size in SIZES {
        let bytes = some_bytes(size);
        let whole = store.body(&bytes);
        let (mut hashes, mut storer) = store.depot.body_writer(&Algorithm::ALL, 5 << 30).split();
        for from in (0..size).step_by(90_000) {
            let piece = bytes.slice(from..size.min(from + 90_000));
            let hashed = piece.clone();
            std::thread::scope(|threads| {
                let hashing = threads.spawn(|| hashes.update(&hashed));
                storer.write(&piece).unwrap();
                hashing.join().unwrap();
            });
        }
        let body = BodyWriter::join(hashes, storer).finish().unwrap();
        assert_eq!(body.size_bytes(), whole.size_bytes());
        assert_eq!(body.md5(), whole.md5());
        for algorithm in Algorithm::ALL {
            assert_eq!(body.checksum(algorithm), whole.checksum(algorithm));
        }
        let at = object("staging", &size.to_string());
        store.depot.put(&at, body, PutObject::default()).unwrap();
        assert_eq!(store.bytes(&at, &Selector::Current).unwrap(), bytes);
    }
}

#[test]
fn a_body_that_was_hashed_by_other_bytes_than_were_written_is_none() {
    let store = TestStore::new();
    let bytes = some_bytes(5_000);
    let (mut hashes, mut storer) = store.depot.body_writer(&[], 5 << 30).split();
    storer.write(&bytes).unwrap();
    hashes.update(&bytes.slice(1..));
    assert!(matches!(
        BodyWriter::join(hashes, storer).finish(),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn pieces_that_waited_for_more_than_a_chunk_keep_their_order() {
    let clock = TestClock::default();
    let options = Options {
        small_body_bytes_max: 1 << 20,
        ..clock.options()
    };
    let storage = std::sync::Arc::new(MemoryStorage::new());
    let depot = Depot::open_on(storage, options).unwrap();
    depot.create_bucket(&bucket("staging")).unwrap();
    let sent = some_bytes(1_500_000);
    let mut writer = depot.body_writer(&[], 5 << 30);
    for from in (0..sent.len()).step_by(90_000) {
        let piece = sent.slice(from..sent.len().min(from + 90_000));
        writer.write(&piece).unwrap();
    }
    let at = object("staging", "a");
    let body = writer.finish().unwrap();
    depot.put(&at, body, PutObject::default()).unwrap();
    assert_eq!(bytes(&depot, &at, &Selector::Current).unwrap(), sent);
}
