use std::cell::RefCell;

use bytes::Bytes;
use futures::stream;
use two_buckets_objects::{Body, ByteRange, Error, body_from_bytes};
use two_buckets_pipeline::ProcessError;

use super::super::examination::SizeDiffers;
use super::super::processor::describe as drive;
use super::super::{Examination, PREFIX_BYTES_MAX, Structure};
use super::{describe, zip_of};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

fn read(file: &Bytes, range: Option<ByteRange>) -> Body {
    match range {
        None => {
            let pieces: Vec<_> = file
                .chunks(100_000)
                .map(|piece| Ok(file.slice_ref(piece)))
                .collect();
            Box::pin(stream::iter(pieces))
        }
        Some(range) => {
            let range = range.within(file.len() as u64).expect("inside the file");
            let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
            body_from_bytes(file.slice(start.expect("small")..end.expect("small")))
        }
    }
}

#[test]
fn a_small_file_is_read_once_and_a_large_zip_again_at_its_end() {
    let small = Bytes::from(zip_of(&[("a", b"b")]));
    let name = "n".repeat(200);
    let many: Vec<(String, Vec<u8>)> = (0..3_000)
        .map(|i| (format!("{name}{i}"), vec![1; 10]))
        .collect();
    let entries: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(name, content)| (&**name, &**content))
        .collect();
    let large = Bytes::from(zip_of(&entries));
    assert!(large.len() > 2 * PREFIX_BYTES_MAX);
    for (file, entries, reads_max) in [(small, 1, 1), (large, 3_000, 6)] {
        let asked = RefCell::new(Vec::new());
        let description = block_on(drive("a.zip", file.len() as u64, |range| {
            asked.borrow_mut().push(range);
            let body = read(&file, range);
            async { Ok(body) }
        }));
        let description = description.expect("readable");
        assert_eq!(description, describe("a.zip", &file));
        assert!(
            matches!(description.structure, Some(Structure::Zip { entries: found, complete: true, .. }) if found == entries)
        );
        let asked = asked.into_inner();
        assert!(asked.len() <= reads_max && asked[0].is_none(), "{asked:?}");
    }
}

#[test]
fn only_a_file_that_cannot_be_read_is_an_error() {
    let integrity = || Error::Integrity {
        reason: "the checksum differs".into(),
    };
    let unknown = || Error::Unknown {
        reason: "cut off".into(),
        source: None,
    };
    let broken_off = |error: Error| -> Body {
        Box::pin(stream::iter([Ok(Bytes::from_static(b"ab")), Err(error)]))
    };
    for (answer, permanent) in [
        (Err(integrity()), true),
        (Err(unknown()), false),
        (Ok(broken_off(integrity())), true),
        (Ok(broken_off(unknown())), false),
        (Ok(body_from_bytes(Bytes::from_static(b"ab"))), false),
    ] {
        let answer = RefCell::new(Some(answer));
        let failed = block_on(drive("a", 4, |_| {
            let answer = answer.borrow_mut().take().expect("one read");
            async { answer }
        }));
        match failed.expect_err("not all of the file was read") {
            ProcessError::Permanent(reason) => assert!(permanent, "{reason}"),
            ProcessError::Transient(reason) => assert!(!permanent, "{reason}"),
            ProcessError::Crashed(reason) | ProcessError::NotRun(reason) => panic!("{reason}"),
        }
    }
}

#[test]
fn a_file_of_another_size_is_not_described() {
    let mut examination = Examination::new("a", 3);
    examination.update(b"ab");
    assert_eq!(
        examination.finish().err(),
        Some(SizeDiffers { seen: 2, size: 3 })
    );
}
