//! Rows as JSON. The types here are what is on the disk and nothing else; every row carries its version.

use serde::{Deserialize, Serialize};
use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ETag, ObjectRef, Timestamp, VersionId, VersionRef,
};
use two_buckets_pipeline::archive::Replay;
use two_buckets_pipeline::ledger::Result;
use two_buckets_pipeline::{
    ArchiveRecord, Attempt, AttemptOutcome, BootId, Expectation, FencingToken, Holder, Lease,
    Order, ProgressAt, Report, Staged, State, Upload, UploadId,
};

use super::corrupt;

/// The version of leases and uploads that say nothing that was not in the first format.
const VERSION: u32 = 1;
/// The version of uploads with an expectation.
const VERSION_EXPECTED: u32 = 2;
/// The version of uploads with a progress, with or without an expectation.
const VERSION_PROGRESS: u32 = 3;
/// The version of uploads of jobs, whatever else they say: an older program would process them itself.
const VERSION_JOB: u32 = 4;
/// The version of replays, whatever else they say: an older program would archive them as newer than they are.
const VERSION_REPLAY: u32 = 5;
/// The version of uploads that a store's failure put off before an attempt, whatever else they say.
const VERSION_DEFERRED: u32 = 6;
/// The version of leases of jobs.
const VERSION_JOB_LEASE: u32 = 2;

#[derive(Serialize, Deserialize)]
struct LeaseRow {
    v: u32,
    holder: String,
    token: u64,
    expires_at: i64,
    boot: u64,
    dirty: bool,
    /// From version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each of the row it is"
)]
struct UploadRow {
    v: u32,
    bucket: String,
    key: String,
    state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    staged: Option<StagedRow>,
    #[serde(default, skip_serializing_if = "is_false")]
    minted: bool,
    /// From version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<ExpectationRow>,
    #[serde(default, skip_serializing_if = "is_false")]
    closed: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    look_in_archive: bool,
    /// From version 3 on.
    #[serde(default, skip_serializing_if = "is_false")]
    job: bool,
    /// From version 5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<ChecksumRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    attempts: u32,
    attempts_ever: u32,
    /// From version 6 on.
    #[serde(default, skip_serializing_if = "is_zero")]
    deferrals: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log: Vec<AttemptRow>,
    /// From version 3 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archive: Option<ArchiveRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    received_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayRow {
    bucket: String,
    version_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload: Option<String>,
    last_modified: i64,
    number: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StagedRow {
    version_id: String,
    last_modified: i64,
    number: u64,
    size_bytes: u64,
    etag: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectationRow {
    until: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<ChecksumRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChecksumRow {
    algorithm: String,
    /// Parts of a composite checksum; absent for one over the full object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    value: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchiveRow {
    bucket: String,
    key: String,
    version_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<ChecksumRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgressRow {
    done: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    words: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttemptRow {
    number: u32,
    started_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

pub(super) fn lease_to(lease: &Lease) -> Vec<u8> {
    serde_json::to_vec(&LeaseRow {
        v: if lease.job.is_some() {
            VERSION_JOB_LEASE
        } else {
            VERSION
        },
        holder: lease.holder.0.clone(),
        token: lease.token.0,
        expires_at: lease.expires_at.millis(),
        boot: lease.boot.0,
        dirty: lease.dirty,
        job: lease.job.as_ref().map(|id| id.as_str().to_owned()),
    })
    .expect("numbers and texts are JSON")
}

pub(super) fn lease_from(key: &ObjectRef, value: &[u8]) -> Result<Lease> {
    let row: LeaseRow = serde_json::from_slice(value).map_err(|_| corrupt("a lease"))?;
    match (row.v, &row.job) {
        (VERSION, None) | (VERSION_JOB_LEASE, Some(_)) => {}
        _ => return Err(unknown_version()),
    }
    Ok(Lease {
        key: key.clone(),
        holder: Holder(row.holder),
        token: FencingToken(row.token),
        expires_at: Timestamp::from_millis(row.expires_at),
        boot: BootId(row.boot),
        dirty: row.dirty,
        job: row
            .job
            .map(|id| UploadId::new(&id).ok_or_else(|| corrupt("an id")))
            .transpose()?,
    })
}

fn unknown_version() -> two_buckets_pipeline::ledger::Error {
    corrupt("its version is not known")
}

pub(super) fn upload_to(upload: &Upload) -> Vec<u8> {
    serde_json::to_vec(&UploadRow {
        v: if upload.deferrals > 0 {
            VERSION_DEFERRED
        } else if upload.replay.is_some() {
            VERSION_REPLAY
        } else if upload.is_job {
            VERSION_JOB
        } else if upload.progress.is_some() {
            VERSION_PROGRESS
        } else if upload.expectation.is_some() {
            VERSION_EXPECTED
        } else {
            VERSION
        },
        bucket: upload.key.bucket.to_string(),
        key: upload.key.key.to_string(),
        state: upload.state.name().into(),
        staged: upload.staged.as_ref().map(|staged| StagedRow {
            version_id: staged.version_id.to_string(),
            last_modified: staged.order.last_modified.millis(),
            number: staged.order.number,
            size_bytes: staged.size_bytes,
            etag: staged.etag.to_string(),
        }),
        minted: upload.minted,
        expected: upload
            .expectation
            .as_ref()
            .map(|expectation| ExpectationRow {
                until: expectation.until.millis(),
                size_bytes: expectation.size_bytes,
                media_type: expectation.media_type.clone(),
                checksum: expectation.checksum.as_ref().map(checksum_to),
            }),
        closed: upload.closed,
        look_in_archive: upload.look_in_archive,
        job: upload.is_job,
        replay: upload.replay.as_ref().map(replay_to),
        checksum: upload.checksum.as_ref().map(checksum_to),
        media_type: upload.media_type.clone(),
        attempts: upload.attempts,
        attempts_ever: upload.attempts_ever,
        deferrals: upload.deferrals,
        log: upload.log.iter().map(attempt_to).collect(),
        progress: upload.progress.as_ref().map(|progress| ProgressRow {
            done: progress.done,
            total: progress.total,
            words: progress.words.clone(),
        }),
        next_attempt_at: upload.next_attempt_at.map(Timestamp::millis),
        reason: upload.reason.clone(),
        archive: upload.archive.as_ref().map(|record| ArchiveRow {
            bucket: record.at.bucket.to_string(),
            key: record.at.key.to_string(),
            version_id: record.at.version_id.to_string(),
            checksum: record.checksum.as_ref().map(checksum_to),
        }),
        report: upload
            .report
            .as_ref()
            .map(|report| report.as_str().to_owned()),
        received_at: upload.received_at.millis(),
        started_at: upload.started_at.map(Timestamp::millis),
        finished_at: upload.finished_at.map(Timestamp::millis),
    })
    .expect("numbers and texts are JSON")
}

pub(super) fn upload_from(id: UploadId, value: &[u8]) -> Result<Upload> {
    let row: UploadRow = serde_json::from_slice(value).map_err(|_| corrupt("an upload"))?;
    match (row.v, &row.expected, &row.progress, row.job, &row.replay) {
        (VERSION_DEFERRED, ..) if row.deferrals > 0 => {}
        _ if row.deferrals > 0 => return Err(unknown_version()),
        (VERSION, None, None, false, None)
        | (VERSION_EXPECTED, Some(_), None, false, None)
        | (VERSION_PROGRESS, _, Some(_), false, None)
        | (VERSION_JOB, _, _, true, None)
        | (VERSION_REPLAY, _, _, _, Some(_)) => {}
        _ => return Err(unknown_version()),
    }
    Ok(Upload {
        id,
        key: ObjectRef {
            bucket: row.bucket.parse().map_err(|_| corrupt("a bucket"))?,
            key: row.key.parse().map_err(|_| corrupt("a key"))?,
        },
        staged: row.staged.map(|staged| Staged {
            version_id: VersionId::new(staged.version_id),
            order: Order {
                last_modified: Timestamp::from_millis(staged.last_modified),
                number: staged.number,
            },
            size_bytes: staged.size_bytes,
            etag: ETag::new(&staged.etag),
        }),
        minted: row.minted,
        expectation: row.expected.map(expectation_from).transpose()?,
        state: row.state.parse().map_err(|_| corrupt("a state"))?,
        closed: row.closed,
        look_in_archive: row.look_in_archive,
        is_job: row.job,
        replay: row.replay.map(replay_from).transpose()?,
        checksum: row.checksum.as_ref().map(checksum_from).transpose()?,
        media_type: row.media_type,
        attempts: row.attempts,
        attempts_ever: row.attempts_ever,
        deferrals: row.deferrals,
        log: row
            .log
            .into_iter()
            .map(attempt_from)
            .collect::<Result<_>>()?,
        progress: row.progress.map(|progress| ProgressAt {
            done: progress.done,
            total: progress.total,
            words: progress.words,
        }),
        next_attempt_at: row.next_attempt_at.map(Timestamp::from_millis),
        reason: row.reason,
        archive: row.archive.map(archive_from).transpose()?,
        report: row
            .report
            .map(|json| Report::new(json).map_err(|_| corrupt("a report")))
            .transpose()?,
        received_at: Timestamp::from_millis(row.received_at),
        started_at: row.started_at.map(Timestamp::from_millis),
        finished_at: row.finished_at.map(Timestamp::from_millis),
    })
}

fn replay_to(replay: &Replay) -> ReplayRow {
    ReplayRow {
        bucket: replay.bucket.to_string(),
        version_id: replay.version_id.to_string(),
        upload: replay.upload.as_ref().map(ToString::to_string),
        last_modified: replay.order.last_modified.millis(),
        number: replay.order.number,
    }
}

fn replay_from(row: ReplayRow) -> Result<Replay> {
    Ok(Replay {
        bucket: row.bucket.parse().map_err(|_| corrupt("a bucket"))?,
        version_id: VersionId::new(row.version_id),
        upload: row
            .upload
            .map(|id| UploadId::new(&id).ok_or_else(|| corrupt("an upload's id")))
            .transpose()?,
        order: Order {
            last_modified: Timestamp::from_millis(row.last_modified),
            number: row.number,
        },
    })
}

/// Only the key and the state of an upload, for those who count.
pub(super) fn key_and_state(value: &[u8]) -> Result<(String, State)> {
    #[derive(Deserialize)]
    struct Row {
        key: String,
        state: String,
    }
    let row: Row = serde_json::from_slice(value).map_err(|_| corrupt("an upload"))?;
    Ok((row.key, row.state.parse().map_err(|_| corrupt("a state"))?))
}

fn expectation_from(row: ExpectationRow) -> Result<Expectation> {
    Ok(Expectation {
        until: Timestamp::from_millis(row.until),
        size_bytes: row.size_bytes,
        media_type: row.media_type,
        checksum: row.checksum.as_ref().map(checksum_from).transpose()?,
    })
}

fn archive_from(row: ArchiveRow) -> Result<ArchiveRecord> {
    Ok(ArchiveRecord {
        at: VersionRef {
            bucket: row.bucket.parse().map_err(|_| corrupt("a bucket"))?,
            key: row.key.parse().map_err(|_| corrupt("a key"))?,
            version_id: VersionId::new(row.version_id),
        },
        checksum: row.checksum.as_ref().map(checksum_from).transpose()?,
    })
}

fn attempt_to(attempt: &Attempt) -> AttemptRow {
    AttemptRow {
        number: attempt.number,
        started_at: attempt.started_at.millis(),
        ended_at: attempt.ended.map(|(at, _)| at.millis()),
        outcome: attempt.ended.map(|(_, outcome)| outcome.name().into()),
        reason: attempt.reason.clone(),
    }
}

fn attempt_from(row: AttemptRow) -> Result<Attempt> {
    const OUTCOMES: [AttemptOutcome; 4] = [
        AttemptOutcome::Succeeded,
        AttemptOutcome::Transient,
        AttemptOutcome::Permanent,
        AttemptOutcome::Crashed,
    ];
    let ended = match (row.ended_at, row.outcome) {
        (None, None) => None,
        (Some(at), Some(name)) => {
            let outcome = OUTCOMES
                .into_iter()
                .find(|outcome| outcome.name() == name)
                .ok_or_else(|| corrupt("an attempt"))?;
            Some((Timestamp::from_millis(at), outcome))
        }
        _ => return Err(corrupt("an attempt")),
    };
    Ok(Attempt {
        number: row.number,
        started_at: Timestamp::from_millis(row.started_at),
        ended,
        reason: row.reason,
    })
}

fn checksum_to(checksum: &Checksum) -> ChecksumRow {
    ChecksumRow {
        algorithm: checksum.algorithm.name().into(),
        parts: match checksum.kind {
            ChecksumKind::FullObject => None,
            ChecksumKind::Composite { parts } => Some(parts),
        },
        value: hex(&checksum.value),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

fn checksum_from(row: &ChecksumRow) -> Result<Checksum> {
    let algorithm: Algorithm = row.algorithm.parse().map_err(|_| corrupt("a checksum"))?;
    let value = (0..row.value.len())
        .step_by(2)
        .map(|at| {
            row.value
                .get(at..at + 2)
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        })
        .collect::<Option<Vec<u8>>>()
        .filter(|value| value.len() == algorithm.length_bytes())
        .ok_or_else(|| corrupt("a checksum"))?;
    Ok(Checksum {
        algorithm,
        kind: row
            .parts
            .map_or(ChecksumKind::FullObject, |parts| ChecksumKind::Composite {
                parts,
            }),
        value: value.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::ListedVersion;
    use two_buckets_pipeline::{Begin, End};

    fn key() -> ObjectRef {
        ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: "a/\u{e4}\n\"".parse().unwrap(),
        }
    }

    fn checksum(kind: ChecksumKind) -> Checksum {
        Checksum {
            algorithm: Algorithm::Crc32,
            kind,
            value: vec![0, 1, 0xfe, 0xff].into(),
        }
    }

    #[test]
    fn every_upload_survives_being_a_row() {
        let at = Timestamp::from_millis;
        let id = UploadId::new("0000000000000001").unwrap();
        let bare = Upload::minted(
            id.clone(),
            key(),
            Expectation {
                until: at(1_000),
                size_bytes: Some(u64::MAX),
                media_type: Some("text/plain".into()),
                checksum: Some(checksum(ChecksumKind::FullObject)),
            },
            at(-5),
        );
        let mut given_up = Upload::minted(id.clone(), key(), Expectation::until(at(7)), at(-5));
        given_up.expire(at(8));
        let mut full = bare.clone();
        full.arrive(
            7,
            &ListedVersion {
                key: key().key,
                version_id: VersionId::new("v"),
                is_latest: true,
                is_delete_marker: false,
                last_modified: at(3),
                size_bytes: u64::MAX,
                etag: Some(ETag::new("e-2")),
            },
        );
        full.checksum = Some(checksum(ChecksumKind::Composite { parts: 3 }));
        full.media_type = Some("text/plain".into());
        let Begin::Begun(processing) = full.begin_attempt(3, at(4)) else {
            panic!("a listed upload is due");
        };
        let mut deferred = processing.clone();
        deferred.end(
            End::Deferred {
                reason: "later".into(),
                next_attempt_at: at(9),
                is_counted: true,
                look_in_archive: true,
            },
            at(5),
        );
        let mut archived = processing.clone();
        archived.record_archived(
            ArchiveRecord {
                at: VersionRef {
                    bucket: "archive".parse().unwrap(),
                    key: key().key,
                    version_id: VersionId::new("x"),
                },
                checksum: Some(checksum(ChecksumKind::FullObject)),
            },
            false,
            Some(Report::new("{\"lines\":1}".into()).unwrap()),
            at(6),
        );
        archived.close();
        let mut put_off = bare.clone();
        put_off.deferrals = 3;
        let mut speaking = processing.clone();
        let progress = ProgressAt {
            done: 3,
            total: Some(u64::MAX),
            words: "pages".into(),
        };
        speaking.say_progress(1, progress);
        let mut job = deferred.clone();
        job.next_attempt_at = None;
        job.queue_job(at(6));
        let mut foreign_job = job.clone();
        foreign_job.expectation = None;
        let mut speaking_job = speaking.clone();
        speaking_job.is_job = true;
        for upload in [
            speaking,
            speaking_job,
            put_off,
            bare,
            given_up,
            processing,
            deferred,
            archived,
            job,
            foreign_job,
        ] {
            assert_eq!(
                upload_from(id.clone(), &upload_to(&upload)).unwrap(),
                upload
            );
        }
    }

    #[test]
    fn every_lease_survives_being_a_row() {
        let lease = Lease {
            key: key(),
            holder: Holder("worker 1".into()),
            token: FencingToken(u64::MAX),
            expires_at: Timestamp::from_millis(-1),
            boot: BootId(3),
            dirty: true,
            job: None,
        };
        assert_eq!(lease_from(&key(), &lease_to(&lease)).unwrap(), lease);
        let job = Lease {
            job: UploadId::new("0000000000000001"),
            ..lease
        };
        assert_eq!(lease_from(&key(), &lease_to(&job)).unwrap(), job);
    }

    #[test]
    fn a_row_of_a_later_version_is_refused_not_guessed_at() {
        let lease = br#"{"v":2,"holder":"a","token":1,"expires_at":1,"boot":1,"dirty":false}"#;
        assert!(lease_from(&key(), lease).is_err());
        let id = UploadId::new("0000000000000001").unwrap();
        let expected = Expectation::until(Timestamp::default());
        let row = upload_to(&Upload::minted(
            id.clone(),
            key(),
            expected,
            Timestamp::default(),
        ));
        let row = String::from_utf8(row).unwrap();
        assert!(upload_from(id.clone(), row.as_bytes()).is_ok());
        for other in ["\"v\":1", "\"v\":3"] {
            let other = row.replace("\"v\":2", other);
            assert!(upload_from(id.clone(), other.as_bytes()).is_err());
        }
    }

    /// These rows were written by the first format and are on people's disks.
    #[test]
    fn rows_of_the_first_format_are_read_and_written_as_they_were() {
        let rows = [
            r#"{"v":1,"bucket":"staging","key":"a","state":"pending","staged":{"version_id":"v","last_modified":3,"number":7,"size_bytes":5,"etag":"e"},"attempts":0,"attempts_ever":0,"received_at":3}"#,
            r#"{"v":1,"bucket":"staging","key":"a","state":"processing","staged":{"version_id":"v","last_modified":3,"number":7,"size_bytes":5,"etag":"e-2"},"look_in_archive":true,"checksum":{"algorithm":"CRC32","parts":3,"value":"0001feff"},"media_type":"text/plain","attempts":2,"attempts_ever":2,"log":[{"number":1,"started_at":4,"ended_at":5,"outcome":"crashed","reason":"the worker died or lost its lease"},{"number":2,"started_at":5}],"received_at":3,"started_at":5}"#,
            r#"{"v":1,"bucket":"staging","key":"a","state":"archived","staged":{"version_id":"v","last_modified":3,"number":7,"size_bytes":5,"etag":"e"},"closed":true,"checksum":{"algorithm":"CRC64NVME","value":"0102030405060708"},"attempts":1,"attempts_ever":1,"log":[{"number":1,"started_at":4,"ended_at":6,"outcome":"succeeded"}],"archive":{"bucket":"archive","key":"a","version_id":"x","checksum":{"algorithm":"CRC64NVME","value":"0102030405060708"}},"report":"{\"lines\":1}","received_at":3,"started_at":4,"finished_at":6}"#,
            r#"{"v":1,"bucket":"staging","key":"a","state":"failed","staged":{"version_id":"v","last_modified":3,"number":7,"size_bytes":5,"etag":"e"},"attempts":1,"attempts_ever":1,"log":[{"number":1,"started_at":4,"ended_at":6,"outcome":"permanent","reason":"bad"}],"next_attempt_at":9,"reason":"bad","received_at":3,"started_at":4,"finished_at":6}"#,
            r#"{"v":1,"bucket":"staging","key":"a","state":"pending","minted":true,"attempts":0,"attempts_ever":0,"received_at":3}"#,
        ];
        let id = UploadId::new("0000000000000001").unwrap();
        for row in rows {
            let upload = upload_from(id.clone(), row.as_bytes()).unwrap();
            assert_eq!(upload.expectation, None);
            assert_eq!(String::from_utf8(upload_to(&upload)).unwrap(), row);
        }
    }
}
