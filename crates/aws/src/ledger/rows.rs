//! Uploads as items. `docs/decisions/0006-dynamodb-ledger.md` says why they are where they are.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use two_buckets_objects::{
    Checksum, ChecksumKind, ETag, ObjectRef, Timestamp, VersionId, VersionRef,
};
use two_buckets_pipeline::archive::Replay;
use two_buckets_pipeline::ledger::Result;
use two_buckets_pipeline::{
    ArchiveRecord, Attempt, AttemptOutcome, Expectation, Order, ProgressAt, Report, Staged, State,
    Upload, UploadId,
};

use super::id::{Parts, parts};
use super::item::{Item, Reader, Writer, corrupt, place_of};
use super::schema::SCHEMA;
use super::table::At;

/// Which of an upload's places its row is in: the part of the table that is read for it, and nothing else, when somebody
/// asks for such rows. A row moves when what it says changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Home {
    /// Its key was minted and nothing of it was listed.
    Expected,
    /// Unfinished, and none of the next two.
    Open,
    /// Pending until a moment.
    Waiting,
    /// A job's, pending or processing.
    Job,
    /// Set aside.
    Failed,
    /// Closed.
    Done,
}

impl Home {
    pub(super) const ALL: [Self; 6] = [
        Self::Expected,
        Self::Open,
        Self::Waiting,
        Self::Job,
        Self::Failed,
        Self::Done,
    ];
    /// Where the unfinished are.
    pub(super) const UNFINISHED: [Self; 3] = [Self::Open, Self::Waiting, Self::Job];

    pub(super) fn of(upload: &Upload) -> Self {
        let is_owed = matches!(upload.state, State::Pending | State::Processing);
        if upload.state == State::Failed {
            Self::Failed
        } else if upload.is_expected() {
            Self::Expected
        } else if upload.closed {
            Self::Done
        } else if upload.is_job && is_owed {
            Self::Job
        } else if upload.state == State::Pending && upload.next_attempt_at.is_some() {
            Self::Waiting
        } else {
            Self::Open
        }
    }

    /// Where a row in this state can be.
    pub(super) fn of_state(state: State) -> &'static [Self] {
        match state {
            State::Pending => &[Self::Expected, Self::Open, Self::Waiting, Self::Job],
            State::Processing => &[Self::Open, Self::Job],
            State::Failed => &[Self::Failed],
            State::Archived | State::Late | State::Duplicate => &[Self::Open, Self::Done],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Job => "job",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }

    /// The partition of a shard.
    pub(super) fn partition(self, shard: u8) -> String {
        format!("{}#{shard:02x}", self.name())
    }

    /// The place of a row in it.
    pub(super) fn at(self, id: &UploadId, parts: Parts) -> At {
        At {
            pk: self.partition(parts.shard),
            sk: id.as_str().to_owned(),
        }
    }
}

/// A row as the table has it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) upload: Upload,
    /// The name of its last change: another one writes only while it is this.
    pub(super) change: String,
    pub(super) at: At,
}

/// The name of an upload's attribute for [`Kept::change`].
pub(super) const CHANGE: &str = "change";

/// From when on the table may forget a row that has ended, and what finds it: so long after its end, but not while
/// permissions for its key are good or a repeat that came by one may wait in staging.
pub(super) fn forget_at(upload: &Upload, history: Duration) -> Option<Timestamp> {
    if Home::of(upload) != Home::Done {
        return None;
    }
    let over = upload.finished_at?.after(history);
    let expectation = upload.expectation.as_ref();
    let granted = expectation.map(|expectation| expectation.until.after(REPEAT_WAITS_MAX));
    Some(granted.map_or(over, |granted| granted.max(over)))
}

/// How long a repeat may wait in staging, behind a backlog or a pause, that came while its key was granted.
const REPEAT_WAITS_MAX: Duration = Duration::from_hours(7 * 24);

/// A time to live, in seconds.
pub(super) fn seconds(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(1_000).saturating_add(1)
}

pub(super) fn upload_to(upload: &Upload, at: &At, change: &str, history: Duration) -> Item {
    let mut row = Writer::item(at);
    row.text(CHANGE, change);
    row.text("bucket", upload.key.bucket.as_str());
    row.text("key", upload.key.key.as_str());
    row.text("state", upload.state.name());
    if let Some(staged) = &upload.staged {
        row.text("version_id", staged.version_id.as_str());
        row.moment_if("last_modified", Some(staged.order.last_modified));
        row.number("number", staged.order.number);
        row.number("size_bytes", staged.size_bytes);
        row.text("etag", staged.etag.as_str());
    }
    row.flag("minted", upload.minted);
    if let Some(expectation) = &upload.expectation {
        row.moment_if("expected_until", Some(expectation.until));
        row.number_if("expected_size_bytes", expectation.size_bytes);
        row.text_if("expected_media_type", expectation.media_type.as_deref());
        row.text_if(
            "expected_checksum",
            expectation.checksum.as_ref().map(checksum_to),
        );
    }
    row.flag("closed", upload.closed);
    row.flag("look_in_archive", upload.look_in_archive);
    row.flag("job", upload.is_job);
    if let Some(replay) = &upload.replay {
        let mut map = Writer::map();
        map.text("bucket", replay.bucket.as_str());
        map.text("version_id", replay.version_id.as_str());
        map.text_if("upload", replay.upload.as_ref().map(UploadId::as_str));
        map.moment_if("last_modified", Some(replay.order.last_modified));
        map.number("number", replay.order.number);
        row.value("replay", AttributeValue::M(map.done()));
    }
    row.text_if("checksum", upload.checksum.as_ref().map(checksum_to));
    row.text_if("media_type", upload.media_type.as_deref());
    row.number("attempts", upload.attempts);
    row.number("attempts_ever", upload.attempts_ever);
    row.number_if(
        "deferrals",
        (upload.deferrals > 0).then_some(upload.deferrals),
    );
    if !upload.log.is_empty() {
        let log = upload.log.iter().map(attempt_to).collect();
        row.value("log", AttributeValue::L(log));
    }
    if let Some(progress) = &upload.progress {
        let mut map = Writer::map();
        map.number("done", progress.done);
        map.number_if("total", progress.total);
        map.text("words", progress.words.as_str());
        row.value("progress", AttributeValue::M(map.done()));
    }
    row.moment_if("next_attempt_at", upload.next_attempt_at);
    row.text_if("reason", upload.reason.as_deref());
    if let Some(record) = &upload.archive {
        row.text("archive_bucket", record.at.bucket.as_str());
        // Most often it is the key in staging, and a row below 1 KB costs half of what one above costs.
        if record.at.key != upload.key.key {
            row.text("archive_key", record.at.key.as_str());
        }
        row.text("archive_version_id", record.at.version_id.as_str());
        row.text_if(
            "archive_checksum",
            record.checksum.as_ref().map(checksum_to),
        );
    }
    row.text_if("report", upload.report.as_ref().map(Report::as_str));
    row.moment_if("received_at", Some(upload.received_at));
    row.moment_if("started_at", upload.started_at);
    row.moment_if("finished_at", upload.finished_at);
    row.number_if(SCHEMA.time_to_live, forget_at(upload, history).map(seconds));
    row.done()
}

pub(super) fn upload_from(item: &Item) -> Result<Kept> {
    let row = Reader::item(item)?;
    let at = place_of(item)?;
    let id = UploadId::new(&at.sk)
        .filter(|id| parts(id).is_some())
        .ok_or_else(|| corrupt("an id"))?;
    let key = ObjectRef {
        bucket: row.parsed("bucket")?,
        key: row.parsed("key")?,
    };
    let staged = match row.text_if("version_id")? {
        Some(version_id) => Some(Staged {
            version_id: VersionId::new(version_id),
            order: Order {
                last_modified: row.moment("last_modified")?,
                number: row.number("number")?,
            },
            size_bytes: row.number("size_bytes")?,
            etag: ETag::new(row.text("etag")?),
        }),
        None => None,
    };
    let expectation = match row.moment_if("expected_until")? {
        Some(until) => Some(Expectation {
            until,
            size_bytes: row.number_if("expected_size_bytes")?,
            media_type: row.text_if("expected_media_type")?.map(Into::into),
            checksum: checksum_if(&row, "expected_checksum")?,
        }),
        None => None,
    };
    let replay = match row.map_if("replay")? {
        Some(map) => Some(Replay {
            bucket: map.parsed("bucket")?,
            version_id: VersionId::new(map.text("version_id")?),
            upload: match map.text_if("upload")? {
                Some(id) => Some(UploadId::new(id).ok_or_else(|| corrupt("an id"))?),
                None => None,
            },
            order: Order {
                last_modified: map.moment("last_modified")?,
                number: map.number("number")?,
            },
        }),
        None => None,
    };
    let progress = match row.map_if("progress")? {
        Some(map) => Some(ProgressAt {
            done: map.number("done")?,
            total: map.number_if("total")?,
            words: map.text("words")?.into(),
        }),
        None => None,
    };
    let archive = match row.text_if("archive_version_id")? {
        Some(version_id) => Some(ArchiveRecord {
            at: VersionRef {
                bucket: row.parsed("archive_bucket")?,
                key: match row.text_if("archive_key")? {
                    Some(other) => other.parse().map_err(|_| corrupt("archive_key"))?,
                    None => key.key.clone(),
                },
                version_id: VersionId::new(version_id),
            },
            checksum: checksum_if(&row, "archive_checksum")?,
        }),
        None => None,
    };
    let report = match row.text_if("report")? {
        Some(text) => Some(Report::new(text.into()).map_err(|_| corrupt("report"))?),
        None => None,
    };
    let log = row.maps("log")?;
    let upload = Upload {
        id,
        key,
        staged,
        minted: row.flag("minted")?,
        expectation,
        state: row.parsed("state")?,
        closed: row.flag("closed")?,
        look_in_archive: row.flag("look_in_archive")?,
        is_job: row.flag("job")?,
        replay,
        checksum: checksum_if(&row, "checksum")?,
        media_type: row.text_if("media_type")?.map(Into::into),
        attempts: row.number("attempts")?,
        attempts_ever: row.number("attempts_ever")?,
        deferrals: row.number_if("deferrals")?.unwrap_or(0),
        log: log.iter().map(attempt_from).collect::<Result<_>>()?,
        progress,
        next_attempt_at: row.moment_if("next_attempt_at")?,
        reason: row.text_if("reason")?.map(Into::into),
        archive,
        report,
        received_at: row.moment("received_at")?,
        started_at: row.moment_if("started_at")?,
        finished_at: row.moment_if("finished_at")?,
    };
    Ok(Kept {
        upload,
        change: row.text(CHANGE)?.into(),
        at,
    })
}

fn attempt_to(attempt: &Attempt) -> AttributeValue {
    let mut map = Writer::map();
    map.number("number", attempt.number);
    map.moment_if("started_at", Some(attempt.started_at));
    if let Some((at, outcome)) = attempt.ended {
        map.moment_if("ended_at", Some(at));
        map.text("outcome", outcome.name());
    }
    map.text_if("reason", attempt.reason.as_deref());
    AttributeValue::M(map.done())
}

fn attempt_from(map: &Reader<'_>) -> Result<Attempt> {
    let ended = match map.moment_if("ended_at")? {
        Some(at) => Some((at, outcome_from(map.text("outcome")?)?)),
        None => None,
    };
    Ok(Attempt {
        number: map.number("number")?,
        started_at: map.moment("started_at")?,
        ended,
        reason: map.text_if("reason")?.map(Into::into),
    })
}

fn outcome_from(name: &str) -> Result<AttemptOutcome> {
    [
        AttemptOutcome::Succeeded,
        AttemptOutcome::Transient,
        AttemptOutcome::Permanent,
        AttemptOutcome::Crashed,
    ]
    .into_iter()
    .find(|outcome| outcome.name() == name)
    .ok_or_else(|| corrupt("outcome"))
}

/// `{algorithm}:{base64}`, and of a composite one `-{parts}` behind it.
fn checksum_to(checksum: &Checksum) -> String {
    let value = BASE64_STANDARD.encode(&checksum.value);
    match checksum.kind {
        ChecksumKind::FullObject => format!("{}:{value}", checksum.algorithm),
        ChecksumKind::Composite { parts } => format!("{}:{value}-{parts}", checksum.algorithm),
    }
}

fn checksum_if(row: &Reader<'_>, name: &str) -> Result<Option<Checksum>> {
    let text = row.text_if(name)?;
    text.map(|text| checksum_from(text).ok_or_else(|| corrupt(name)))
        .transpose()
}

fn checksum_from(text: &str) -> Option<Checksum> {
    let (algorithm, value) = text.split_once(':')?;
    let (value, kind) = match value.split_once('-') {
        Some((value, parts)) => (
            value,
            ChecksumKind::Composite {
                parts: parts.parse().ok()?,
            },
        ),
        None => (value, ChecksumKind::FullObject),
    };
    Some(Checksum {
        algorithm: algorithm.parse().ok()?,
        kind,
        value: BASE64_STANDARD.decode(value).ok()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use two_buckets_objects::Algorithm;

    use super::*;

    const TABLE: &str = include_str!("../../../../docs/table.md");

    fn ms(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// An upload of which everything is known at once, whatever that would mean.
    fn full() -> Upload {
        let bucket = "archive".parse().unwrap();
        let checksum = Checksum {
            algorithm: Algorithm::Crc32,
            value: vec![1, 2, 3, 4].into(),
            kind: ChecksumKind::Composite { parts: 3 },
        };
        let order = Order {
            last_modified: ms(1),
            number: 2,
        };
        Upload {
            id: UploadId::new("800000000000000a-000000000000000b-0100c0ffee").unwrap(),
            key: ObjectRef {
                bucket: "staging".parse().unwrap(),
                key: "a".parse().unwrap(),
            },
            staged: Some(Staged {
                version_id: VersionId::new("v"),
                order,
                size_bytes: 3,
                etag: ETag::new("e-3"),
            }),
            minted: true,
            expectation: Some(Expectation {
                until: ms(4),
                size_bytes: Some(5),
                media_type: Some("text/plain".into()),
                checksum: Some(checksum.clone()),
            }),
            state: State::Archived,
            closed: true,
            look_in_archive: true,
            is_job: true,
            replay: Some(Replay {
                bucket,
                version_id: VersionId::new("w"),
                upload: UploadId::new("an-id"),
                order,
            }),
            checksum: Some(Checksum {
                kind: ChecksumKind::FullObject,
                ..checksum.clone()
            }),
            media_type: Some("text/html".into()),
            attempts: 6,
            attempts_ever: 7,
            deferrals: 8,
            log: vec![Attempt {
                number: 7,
                started_at: ms(9),
                ended: Some((ms(10), AttemptOutcome::Permanent)),
                reason: Some("bad".into()),
            }],
            progress: Some(ProgressAt {
                done: 11,
                total: Some(12),
                words: "on its way".into(),
            }),
            next_attempt_at: Some(ms(-13)),
            reason: Some("worse".into()),
            archive: Some(ArchiveRecord {
                at: VersionRef {
                    bucket: "archive".parse().unwrap(),
                    key: "b".parse().unwrap(),
                    version_id: VersionId::new("x"),
                },
                checksum: Some(checksum),
            }),
            report: Some(Report::new("{}".into()).unwrap()),
            received_at: ms(14),
            started_at: Some(ms(15)),
            finished_at: Some(ms(16)),
        }
    }

    #[test]
    fn what_is_written_is_read_and_is_what_the_docs_list() {
        let upload = full();
        let at = Home::of(&upload).at(&upload.id, parts(&upload.id).unwrap());
        let item = upload_to(&upload, &at, "a change", Duration::from_secs(1));
        assert_eq!(upload_from(&item).unwrap().upload, upload);

        let written: BTreeSet<&str> = item
            .keys()
            .map(String::as_str)
            .filter(|name| !["pk", "sk", "format"].contains(name))
            .collect();
        let (_, section) = TABLE.split_once("\n| attribute | type |").unwrap();
        let (section, _) = section.split_once("\n\n").unwrap();
        let listed: BTreeSet<&str> = section
            .lines()
            .skip(2)
            .filter_map(|line| line.split('|').nth(1))
            .flat_map(|names| names.split(',').map(|name| name.trim().trim_matches('`')))
            .collect();
        assert_eq!(written, listed);
    }
}
