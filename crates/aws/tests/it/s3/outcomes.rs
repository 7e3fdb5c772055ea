//! What comes out when a write fails: in the words by which its caller decides.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use two_buckets_aws::S3StoreOptions;
use two_buckets_objects::{
    CopyOptions, ETag, Error, ListVersions, ObjectStore as _, PutOptions, Result, VersionId,
    VersionRef, WriteCondition, Written, body_from_bytes,
};
use two_buckets_s3_api::Fault;
use two_buckets_s3_api::faults::Code;

use super::copies::{at, put};
use super::server::{Served, answer, answering, bucket, served};

/// A word for each kind of outcome, and whether it is true of what is there afterwards.
fn word<T>(outcome: &Result<T>) -> &'static str {
    match outcome {
        Ok(_) => "done",
        Err(Error::NotFound { .. }) => "not found",
        Err(Error::ConditionFailed { .. }) => "condition",
        Err(Error::NotWritten { .. }) => "not written",
        Err(Error::Unknown { .. }) => "unknown",
        Err(Error::Integrity { .. }) => "integrity",
        Err(Error::Refused { .. }) => "refused",
        Err(Error::Unavailable { .. }) => "unavailable",
        Err(_) => "another",
    }
}

async fn versions(store: &Served, key: &str) -> usize {
    let options = ListVersions {
        prefix: key.into(),
        ..ListVersions::default()
    };
    let page = store.list_versions(&bucket(), options).await.unwrap();
    page.versions.len()
}

async fn copy(store: &Served) -> Result<Written> {
    let source = put(store, "source", vec![7; 100], PutOptions::default()).await;
    store.server.calls();
    let options = CopyOptions {
        condition: WriteCondition::IfNoneMatch,
        ..CopyOptions::default()
    };
    store.copy_version(&source, &at("target"), options).await
}

async fn put_to(store: &Served, length: usize) -> Result<Written> {
    let options = PutOptions {
        condition: WriteCondition::IfNoneMatch,
        ..PutOptions::default()
    };
    let body = body_from_bytes(Bytes::from(vec![7; length]));
    store.put(&at("target"), body, options).await
}

fn brief() -> S3StoreOptions {
    S3StoreOptions {
        write_time_max: Duration::from_millis(400),
        ..S3StoreOptions::default()
    }
}

fn in_parts() -> S3StoreOptions {
    S3StoreOptions {
        single_copy_bytes_max: 10,
        ..brief()
    }
}

/// Fault, outcome, versions of the target afterwards, and how often the write was asked for.
const OUTCOMES: [(Fault, &str, usize, usize); 9] = [
    (Fault::Refused(Code::PreconditionFailed), "condition", 0, 1),
    (
        Fault::Refused(Code::ConditionalRequestConflict),
        "not written",
        0,
        1,
    ),
    (Fault::Refused(Code::OperationAborted), "not written", 0, 1),
    (Fault::Refused(Code::InternalError), "not written", 0, 1),
    // Repeated by the SDK, for S3 did nothing.
    (Fault::Refused(Code::SlowDown), "not written", 0, 3),
    // Never repeated: it may have landed.
    (Fault::Cut { took_effect: true }, "unknown", 1, 1),
    (Fault::Cut { took_effect: false }, "unknown", 0, 1),
    (
        Fault::Delayed {
            by: Duration::from_mins(1),
            took_effect: true,
        },
        "unknown",
        1,
        1,
    ),
    (Fault::ErrorInside200, "not written", 0, 1),
];

/// Which of the three writes of one object to have struck, and how.
async fn check<F>(
    operation: &'static str,
    options: S3StoreOptions,
    outcomes: &[(Fault, &str, usize, usize)],
    write: impl Fn(Served) -> F,
) where
    F: Future<Output = (Served, Result<Written>)>,
{
    for &(fault, outcome, landed, asked) in outcomes {
        let store = served(options).await;
        let strikes_source = operation == "PutObject";
        store.server.strike(move |name, before| {
            let is_source = !strikes_source && before == 0 && name == "PutObject";
            (name == operation && !is_source).then_some(fault)
        });
        let (store, result) = write(store).await;
        let calls = store.server.calls();
        assert_eq!(word(&result), outcome, "{fault:?}: {result:?} {calls:?}");
        let count = calls.iter().filter(|call| **call == operation).count();
        assert_eq!(count, asked, "{fault:?}: {calls:?}");
        assert_eq!(versions(&store, "target").await, landed, "{fault:?}");
        // What is left of an upload of parts is removed, unless its completion may be under way.
        let is_left = store.has_open_multipart(&at("target")).await.unwrap();
        assert!(!is_left || outcome == "unknown", "{fault:?}: {calls:?}");
    }
}

#[tokio::test]
async fn a_failed_copy_says_whether_it_may_have_landed() {
    check("CopyObject", brief(), &OUTCOMES, async |store| {
        let copied = copy(&store).await;
        (store, copied)
    })
    .await;
}

#[tokio::test]
async fn a_failed_copy_in_parts_says_whether_it_may_have_landed() {
    let operation = "CompleteMultipartUpload";
    check(operation, in_parts(), &OUTCOMES, async |store| {
        let copied = copy(&store).await;
        (store, copied)
    })
    .await;
}

#[tokio::test]
async fn a_failed_put_says_whether_it_may_have_landed() {
    // S3 answers a put in one piece.
    let outcomes = &OUTCOMES[..OUTCOMES.len() - 1];
    check("PutObject", brief(), outcomes, async |store| {
        let put = put_to(&store, 100).await;
        (store, put)
    })
    .await;
}

/// A part that fails is no more than that: it is tried again by the SDK whatever happened, and in the end nothing is
/// there to be seen.
#[tokio::test]
async fn a_part_that_fails_for_good_leaves_nothing_and_one_that_fails_once_is_not_noticed() {
    for (fault, word_for_good) in [
        (Fault::Refused(Code::InternalError), "not written"),
        (Fault::Cut { took_effect: true }, "not written"),
        (Fault::Refused(Code::SlowDown), "not written"),
    ] {
        let store = served(in_parts()).await;
        store
            .server
            .strike(move |name, _| (name == "UploadPartCopy").then_some(fault));
        let copied = copy(&store).await;
        assert_eq!(word(&copied), word_for_good, "{fault:?}: {copied:?}");
        assert_eq!(versions(&store, "target").await, 0);
        assert!(!store.has_open_multipart(&at("target")).await.unwrap());
        store
            .server
            .strike(move |name, before| (name == "UploadPartCopy" && before == 0).then_some(fault));
        assert_eq!(word(&copy(&store).await), "done", "{fault:?}");
        assert_eq!(versions(&store, "target").await, 1);
    }
}

/// Under `If-Match` S3 says 404 of a source that is gone and of a target that is not there (ours says 412 of the latter);
/// taking the one for the other would give up a file, or copy for ever.
#[tokio::test]
async fn a_404_under_if_match_is_told_apart_by_one_more_look() {
    for (source_is_there, outcome) in [(true, "condition"), (false, "not found")] {
        let heads = AtomicUsize::new(0);
        let (store, asked) = answering(move |method| {
            if method != "HEAD" {
                let body = "<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>";
                return answer("404 Not Found", "", body);
            }
            if heads.fetch_add(1, Ordering::Relaxed) == 0 || source_is_there {
                let headers = "etag: \"e\"\r\nx-amz-version-id: v\r\nlast-modified: Mon, 23 Nov 2026 10:50:50 GMT\r\n";
                return answer("200 OK", headers, "");
            }
            answer("404 Not Found", "", "")
        })
        .await;
        let source = VersionRef {
            bucket: bucket(),
            key: "source".parse().unwrap(),
            version_id: VersionId::new("v"),
        };
        let options = CopyOptions {
            condition: WriteCondition::IfMatch(ETag::new("f")),
            ..CopyOptions::default()
        };
        let copied = store.copy_version(&source, &at("target"), options).await;
        assert_eq!(word(&copied), outcome, "{copied:?}");
        assert_eq!(*asked.lock().unwrap(), ["HEAD", "PUT", "HEAD"]);
    }
}

/// A bucket that is missing, or a permission, is no reason to give a file up.
#[tokio::test]
async fn a_bucket_that_is_not_there_does_not_make_a_source_gone() {
    for options in [S3StoreOptions::default(), in_parts()] {
        let store = served(options).await;
        let source = put(&store, "source", vec![7; 100], PutOptions::default()).await;
        let mut to = at("target");
        to.bucket = "no-such-bucket".parse().unwrap();
        let copied = store
            .copy_version(&source, &to, CopyOptions::default())
            .await;
        assert!(
            !matches!(copied, Err(Error::NotFound { .. } | Error::Refused { .. })),
            "{copied:?}"
        );
    }
}
