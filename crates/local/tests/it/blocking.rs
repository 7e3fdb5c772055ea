//! Work that blocks on its own thread, over the real store: what it reads and writes, and what becomes of its errors.

use std::io::{BufRead as _, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_local::DepotStore;
use two_buckets_objects::{
    Algorithm, Body, BucketName, ByteRange, Capabilities, ChecksumKind, CopyOptions, ListVersions,
    ObjectInfo, ObjectRef, ObjectStore, PutOptions, Result, VersionPage, VersionRef, Written,
};
use two_buckets_pipeline::{
    Blocking, CancelOnDrop, Cancellation, Content, FencingToken, Incoming, Outputs, ProcessError,
};

use crate::bench::{self, Bench, archive, bucket, staging};

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server has: a store, and an upload of these bytes in it.
struct Case {
    bench: Bench,
    upload: Incoming,
    guard: CancelOnDrop,
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect()
}

async fn case(body: &[u8], change: impl FnOnce(&mut ObjectInfo)) -> Case {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let version_id = bench.put("a", body);
    let store = Arc::new(DepotStore::new(bench.depot.clone()));
    let at = VersionRef {
        bucket: bucket("staging"),
        key: staging("a").key,
        version_id,
    };
    let mut source = store.head_version(&at).await.unwrap();
    change(&mut source);
    let (upload, guard) =
        Incoming::of_version(&store, bucket("archive"), source, 1, FencingToken(1));
    Case {
        bench,
        upload,
        guard,
    }
}

/// The source claims a checksum that its bytes do not have.
fn of_other_bytes(source: &mut ObjectInfo) {
    let mut hasher = Algorithm::Crc64Nvme.hasher();
    hasher.update(b"other bytes");
    source.checksums = vec![hasher.finish()];
    assert_eq!(source.checksums[0].kind, ChecksumKind::FullObject);
}

fn outputs(case: &Case) -> Vec<String> {
    let versions = case.bench.versions("archive");
    versions.iter().map(|it| it.key.to_string()).collect()
}

async fn read_all(upload: &Incoming) -> Result<Vec<u8>, ProcessError> {
    let read = |upload: Blocking| {
        let mut all = Vec::new();
        upload.reader().read_to_end(&mut all)?;
        Ok(all)
    };
    upload.blocking(read).await
}

#[tokio::test]
async fn a_reader_reads_all_of_it_however_long_or_short() {
    for length in [0, 1, 3 << 20] {
        let body = bytes(length);
        let case = case(&body, |_| {}).await;
        assert!(read_all(&case.upload).await.unwrap() == body);
        let held = case.upload.blocking(move |upload| upload.bytes(length));
        assert!(held.await.unwrap() == body);
    }
}

#[tokio::test]
async fn a_seek_reader_reads_at_every_place_and_nothing_behind_the_end() {
    let body = bytes(700_001);
    let case = case(&body, |_| {}).await;
    let work = move |upload: Blocking| {
        let mut file = upload.seek_reader();
        let mut all = Vec::new();
        file.read_to_end(&mut all)?;
        assert!(all == body);
        for at in [0, 262_143, 262_144, 699_990, 5] {
            file.seek(SeekFrom::Start(at))?;
            let mut few = [0; 11];
            file.read_exact(&mut few)?;
            let from = usize::try_from(at).unwrap();
            assert_eq!(few[..], body[from..from + 11]);
        }
        assert_eq!(file.seek(SeekFrom::End(-1))?, 700_000);
        assert_eq!(file.fill_buf()?, &body[700_000..]);
        assert_eq!(file.seek(SeekFrom::Current(10))?, 700_010);
        assert_eq!(file.read(&mut [0; 5])?, 0);
        assert!(file.seek(SeekFrom::End(-700_002)).is_err());
        Ok(())
    };
    case.upload.blocking(work).await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_not_those_that_came_are_an_error_to_the_reader_and_again_when_it_reads_on()
{
    let body = bytes(1 << 20);
    let case = case(&body, of_other_bytes).await;
    let length = body.len();
    let work = move |upload: Blocking| {
        let mut file = upload.reader();
        let mut all = Vec::new();
        let error = file.read_to_end(&mut all).unwrap_err();
        assert_eq!(all.len(), length, "the error comes at the end");
        assert!(file.read(&mut [0; 5]).is_err(), "it never becomes an end");
        Err::<(), _>(error.into())
    };
    let failure = case.upload.blocking(work).await.unwrap_err();
    let ProcessError::Permanent(reason) = failure else {
        panic!("{failure:?}")
    };
    assert!(reason.contains("CRC64NVME"), "{reason}");
}

#[tokio::test]
async fn what_failed_is_the_reason_whatever_a_library_makes_of_it() {
    let case = case(&bytes(1 << 20), of_other_bytes).await;
    let swallow = |upload: Blocking| {
        let mut all = Vec::new();
        _ = upload.reader().read_to_end(&mut all);
        Ok(all.len())
    };
    let mistake = |upload: Blocking| match std::io::copy(&mut upload.reader(), &mut std::io::sink())
    {
        Err(_) => Err(ProcessError::transient("the file is malformed")),
        Ok(length) => Ok(length),
    };
    let failure = case.upload.blocking(swallow).await.unwrap_err();
    assert!(failure.to_string().contains("CRC64NVME"), "{failure}");
    let failure = case.upload.blocking(mistake).await.unwrap_err();
    assert!(failure.to_string().contains("CRC64NVME"), "{failure}");
    let early = |upload: Blocking| {
        let mut file = upload.reader();
        file.read_exact(&mut [0; 10])?;
        file.finish()
    };
    let failure = case.upload.blocking(early).await.unwrap_err();
    assert!(failure.to_string().contains("CRC64NVME"), "{failure}");
}

#[tokio::test]
async fn an_output_that_is_finished_is_whole_and_of_its_type() {
    let body = bytes(3 << 20);
    let case = case(&body, |_| {}).await;
    let work = |upload: Blocking| {
        let mut copy = upload.output("copies/a.bin", "application/x-copy")?;
        // As libraries do, some bytes at a time and a flush between.
        for (n, piece) in upload.bytes(3 << 20)?.chunks(1_000).enumerate() {
            copy.write_all(piece)?;
            if n % 100 == 0 {
                copy.flush()?;
            }
        }
        copy.finish()
    };
    let at = case.upload.blocking(work).await.unwrap();
    assert_eq!(at.key, case.upload.outputs.key("copies/a.bin").unwrap());
    let written = case.bench.contents(&archive(at.key.as_str()));
    assert!(written == [body]);
    let store = DepotStore::new(case.bench.depot.clone());
    let info = store.head_version(&at).await.unwrap();
    assert_eq!(info.metadata.content_type.unwrap(), "application/x-copy");
    let nothing = |upload: Blocking| upload.output("empty", "text/plain")?.finish();
    let at = case.upload.blocking(nothing).await.unwrap();
    assert!(case.bench.contents(&archive(at.key.as_str())) == [b""]);
    assert_eq!(case.upload.log.written_bytes(), 0);
}

#[tokio::test]
async fn an_output_that_is_not_finished_is_not_there_and_the_log_says_so() {
    let case = case(b"x", |_| {}).await;
    for length in [10, 3 << 20] {
        let forget = move |upload: Blocking| {
            let mut half = upload.output("half.bin", "text/plain")?;
            half.write_all(&bytes(length))?;
            half.flush()?;
            drop(half);
            // All that was handed over before this is answered.
            upload.bytes(1)
        };
        case.upload.blocking(forget).await.unwrap();
        let fail = move |upload: Blocking| {
            let mut half = upload.output("half.bin", "text/plain")?;
            half.write_all(&bytes(length))?;
            half.flush()?;
            Err::<(), _>(ProcessError::permanent("no more"))
        };
        let failure = case.upload.blocking(fail).await.unwrap_err();
        assert_eq!(failure.to_string(), "no more");
    }
    assert_eq!(outputs(&case), Vec::<String>::new());
    let log = case.upload.log.excerpt().first;
    let said = "[the output half.bin was not finished and is not kept]\n";
    assert_eq!(String::from_utf8_lossy(&log), said.repeat(4));
}

#[tokio::test]
async fn an_output_that_cannot_be_called_that_or_stored_is_an_error() {
    let case = case(b"x", |_| {}).await;
    let name = |upload: Blocking| upload.output("/a", "text/plain").map(drop);
    let failure = case.upload.blocking(name).await.unwrap_err();
    assert!(failure.to_string().contains("name"), "{failure}");
    // The archive bucket is gone.
    let mut upload = case.upload.clone();
    let store = Arc::new(DepotStore::new(case.bench.depot.clone()));
    upload.outputs = Outputs::of_version(store, bucket("nowhere"), upload.source.at.clone());
    let swallow = |upload: Blocking| {
        let mut output = upload.output("a.bin", "text/plain")?;
        let written = output.write_all(&bytes(9 << 20)).map(drop);
        assert!(output.finish().is_err() || written.is_err());
        Ok(())
    };
    let failure = upload.blocking(swallow).await.unwrap_err();
    assert!(
        failure.to_string().starts_with("the output a.bin: "),
        "{failure}"
    );
}

/// Work that says when it has begun and then goes on, and with what that ended.
async fn cut_off(
    case: Case,
    is_by_guard: bool,
    goes_on: impl FnOnce(Blocking) -> Result<(), ProcessError> + Send + 'static,
) -> (Case, ProcessError) {
    let (tell, ended) = mpsc::channel();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let upload = case.upload.clone();
    let working = tokio::spawn(async move {
        let work = move |upload: Blocking| {
            begun.send(()).unwrap();
            let gone_on = goes_on(upload);
            tell.send(gone_on.clone()).unwrap();
            gone_on
        };
        upload.blocking(work).await
    });
    has_begun.await.unwrap();
    let Case {
        bench,
        upload,
        guard,
    } = case;
    let guard = if is_by_guard {
        drop(guard);
        let worked = tokio::time::timeout(PATIENCE, working).await;
        let failure = worked.expect("it ends").unwrap().unwrap_err();
        assert!(matches!(failure, ProcessError::Transient(_)), "{failure}");
        Cancellation::new().0
    } else {
        working.abort();
        assert!(working.await.unwrap_err().is_cancelled());
        guard
    };
    let ended = tokio::task::spawn_blocking(move || ended.recv_timeout(PATIENCE).unwrap());
    let failure = ended.await.unwrap().unwrap_err();
    let case = Case {
        bench,
        upload,
        guard,
    };
    (case, failure)
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_waits_for_any_more_can_neither_read_nor_write_on() {
    for is_by_guard in [true, false] {
        let body = bytes(1 << 20);
        let read = |upload: Blocking| loop {
            std::io::copy(&mut upload.reader(), &mut std::io::sink())?;
        };
        let case_1 = case(&body, |_| {}).await;
        let (_, failure) = cut_off(case_1, is_by_guard, read).await;
        assert!(failure.to_string().contains("cancelled"), "{failure}");

        let seek = |upload: Blocking| loop {
            upload.seek_reader().read_exact(&mut [0; 9])?;
        };
        let case_2 = case(&body, |_| {}).await;
        let (_, failure) = cut_off(case_2, is_by_guard, seek).await;
        assert!(failure.to_string().contains("cancelled"), "{failure}");

        let write = |upload: Blocking| {
            let mut endless = upload.output("endless", "text/plain")?;
            while endless.write_all(&[0; 8 << 10]).is_ok() {}
            endless.finish().map(drop)
        };
        let case_3 = case(&body, |_| {}).await;
        let (case_3, failure) = cut_off(case_3, is_by_guard, write).await;
        assert!(failure.to_string().contains("cancelled"), "{failure}");
        assert_eq!(outputs(&case_3), Vec::<String>::new());

        let compute = |upload: Blocking| loop {
            upload.still_wanted()?;
        };
        let case_4 = case(&body, |_| {}).await;
        let (_, failure) = cut_off(case_4, is_by_guard, compute).await;
        assert!(failure.to_string().contains("cancelled"), "{failure}");
    }
}

#[tokio::test]
async fn a_panic_of_the_work_is_a_panic_of_the_run() {
    let case = case(b"x", |_| {}).await;
    let upload = case.upload.clone();
    let work = |_: Blocking| -> Result<(), ProcessError> { panic!("told to") };
    let ended = tokio::spawn(async move { upload.blocking(work).await }).await;
    let panic = ended.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"told to"));
    drop(case.guard);
}

/// A store with one long version that counts the pieces it is asked for.
#[derive(Default)]
struct Counting(Arc<AtomicUsize>);

impl ObjectStore for Counting {
    fn capabilities(&self) -> Capabilities {
        panic!("it is only read")
    }
    async fn head(&self, _: &ObjectRef) -> Result<ObjectInfo> {
        panic!("it is only read")
    }
    async fn head_version(&self, _: &VersionRef) -> Result<ObjectInfo> {
        panic!("it is only read")
    }
    async fn read_version(&self, _: &VersionRef, range: Option<ByteRange>) -> Result<Body> {
        let piece = Bytes::from(bytes(1 << 10));
        let pieces = if range.is_some() { 256 } else { 1 << 14 };
        let counted = Arc::clone(&self.0);
        Ok(Box::pin(futures::stream::iter(0..pieces).map(move |_| {
            if range.is_none() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(piece.clone())
        })))
    }
    async fn put(&self, _: &ObjectRef, _: Body, _: PutOptions) -> Result<Written> {
        panic!("it is only read")
    }
    async fn copy_version(&self, _: &VersionRef, _: &ObjectRef, _: CopyOptions) -> Result<Written> {
        panic!("it is only read")
    }
    async fn delete_version(&self, _: &VersionRef) -> Result<()> {
        panic!("it is only read")
    }
    async fn list_versions(&self, _: &BucketName, _: ListVersions) -> Result<VersionPage> {
        panic!("it is only read")
    }
}

#[tokio::test]
async fn a_file_that_is_read_slowly_is_not_held_in_memory_meanwhile() {
    let case = case(b"", |source| source.size_bytes = 1 << 24).await;
    let store = Counting::default();
    let counted = Arc::clone(&store.0);
    let mut upload = case.upload.clone();
    upload.content = Content::of_version(Arc::new(store), &upload.source);
    let work = move |upload: Blocking| {
        let mut file = upload.reader();
        file.read_exact(&mut [0; 1])?;
        // Each of these waits its turn behind what reads ahead, which has had every chance.
        for _ in 0..100 {
            upload.seek_reader().read_exact(&mut [0; 1])?;
        }
        Ok(counted.load(Ordering::Relaxed))
    };
    let pieces = upload.blocking(work).await.unwrap();
    assert!((1..=4).contains(&pieces), "{pieces} of 16384 pieces");
}
