//! The clauses of [`Ledger`].

mod attempts;
mod expected;
mod jobs;
mod leases;
mod lists;
mod said;

use std::time::Duration;

use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ETag, ListedVersion, ObjectRef, Timestamp, VersionId,
    VersionRef,
};
use two_buckets_pipeline::ledger::{Claim, ClaimKey, Error, Result, SourceFacts};
use two_buckets_pipeline::{
    ArchiveRecord, AttemptOutcome, Begin, End, Holder, Lease, Ledger, Report, Upload, UploadId,
};

pub use attempts::*;
pub use expected::*;
pub use jobs::*;
pub use leases::*;
pub use lists::*;
pub use said::*;

const LIFE: Duration = Duration::from_secs(10);

fn ms(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn key(name: &str) -> ObjectRef {
    ObjectRef {
        bucket: "staging".parse().unwrap(),
        key: name.parse().unwrap(),
    }
}

async fn claim<L: Ledger>(ledger: &L, name: &str, now: i64) -> Claim {
    ledger
        .claim(&ClaimKey {
            key: key(name),
            holder: Holder("a worker".into()),
            now: ms(now),
            life: LIFE,
            job: None,
        })
        .await
        .unwrap()
}

async fn hold<L: Ledger>(ledger: &L, name: &str, now: i64) -> Lease {
    match claim(ledger, name, now).await {
        Claim::Held(lease) => lease,
        Claim::Busy => panic!("nobody else holds {name}"),
    }
}

fn listed(name: &str, version: &str, last_modified: i64) -> ListedVersion {
    ListedVersion {
        key: name.parse().unwrap(),
        version_id: VersionId::new(version),
        is_latest: true,
        is_delete_marker: false,
        last_modified: ms(last_modified),
        size_bytes: 3,
        etag: Some(ETag::new("tag")),
    }
}

async fn note<L: Ledger>(ledger: &L, lease: &Lease, version: &str, last_modified: i64) -> Upload {
    let version = listed(lease.key.key.as_str(), version, last_modified);
    let noted = ledger.note(lease, &[version]).await.unwrap();
    noted.uploads.into_iter().next().unwrap()
}

async fn begin<L: Ledger>(ledger: &L, lease: &Lease, id: &UploadId, now: i64) -> Result<Begin> {
    let facts = SourceFacts {
        checksum: Some(checksum()),
        media_type: Some("text/plain".into()),
        replay: None,
    };
    ledger.begin_attempt(lease, id, &facts, 3, ms(now)).await
}

async fn begun<L: Ledger>(ledger: &L, lease: &Lease, id: &UploadId, now: i64) -> Upload {
    match begin(ledger, lease, id, now).await.unwrap() {
        Begin::Begun(upload) => upload,
        other => panic!("{other:?}"),
    }
}

fn checksum() -> Checksum {
    Checksum {
        algorithm: Algorithm::Crc64Nvme,
        kind: ChecksumKind::FullObject,
        value: [1, 2, 3, 4, 5, 6, 7, 8].into(),
    }
}

fn record(version: &str) -> ArchiveRecord {
    ArchiveRecord {
        at: VersionRef {
            bucket: "archive".parse().unwrap(),
            key: "a".parse().unwrap(),
            version_id: VersionId::new(version),
        },
        checksum: Some(checksum()),
    }
}

fn failed(reason: &str) -> End {
    End::Failed {
        reason: reason.into(),
        outcome: AttemptOutcome::Permanent,
        look_in_archive: false,
    }
}

fn deferred(next_attempt_at: i64) -> End {
    End::Deferred {
        reason: "later".into(),
        next_attempt_at: ms(next_attempt_at),
        is_counted: true,
        look_in_archive: false,
    }
}

async fn archive<L: Ledger>(ledger: &L, lease: &Lease, id: &UploadId) -> Result<Upload> {
    let report = Report::new("{\"lines\":1}".into()).unwrap();
    ledger
        .record_archived(lease, id, &record("x"), false, Some(&report), ms(50))
        .await
}

async fn row<L: Ledger>(ledger: &L, id: &UploadId) -> Upload {
    ledger.get(id).await.unwrap().unwrap()
}

fn is_fenced_off<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| matches!(error, Error::FencedOff))
}
