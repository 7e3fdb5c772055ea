//! The JSON of the API. Domain types become these and nothing else, so a renamed field cannot reach the wire by accident.

mod faults;
pub(crate) mod grants;
pub(crate) mod logs;
mod notifications;
pub(crate) mod pausing;
pub(crate) mod replaying;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use two_buckets_objects::{Checksum, ChecksumKind, Timestamp};

use self::pausing::PausedJson;
use self::replaying::ReplayOfJson;

use crate::{
    Attempt, Caller, Counts, MediaRange, Oldest, Retried, ServerFacts, Swept, Upload,
    UploadHistory, UploadPage,
};
pub(crate) use faults::FaultsJson;
pub(crate) use notifications::NotificationsJson;

#[derive(Serialize)]
pub(crate) struct ServerJson {
    version: String,
    page_url: Option<String>,
    s3: S3Json,
    staging: String,
    archive: String,
    processor: String,
    paused: Option<PausedJson>,
    limits: LimitsJson,
    caller: CallerJson,
}

#[derive(Serialize)]
struct LimitsJson {
    size_bytes_max: Option<u64>,
    types: Vec<String>,
    uploads_per_minute: Option<u32>,
}

#[derive(Serialize)]
struct CallerJson {
    name: String,
    prefix: Option<String>,
    may_steer: bool,
}

#[derive(Serialize)]
struct S3Json {
    endpoint: String,
    region: String,
}

impl ServerJson {
    pub(crate) fn new(facts: ServerFacts, caller: Caller) -> Self {
        Self {
            version: facts.version,
            page_url: facts.page_url,
            s3: S3Json {
                endpoint: facts.s3.endpoint,
                region: facts.s3.region,
            },
            staging: facts.staging.to_string(),
            archive: facts.archive.to_string(),
            processor: facts.processor,
            paused: facts.paused.map(Into::into),
            limits: LimitsJson {
                size_bytes_max: caller.limits.size_bytes_max,
                types: caller
                    .limits
                    .types
                    .iter()
                    .map(MediaRange::to_string)
                    .collect(),
                uploads_per_minute: caller.limits.uploads_per_minute,
            },
            caller: CallerJson {
                name: caller.name,
                prefix: caller.prefix.map(|prefix| prefix.to_string()),
                may_steer: caller.may_steer,
            },
        }
    }
}

#[derive(Serialize)]
pub(crate) struct UploadJson {
    id: String,
    bucket: String,
    key: String,
    version_id: Option<String>,
    state: &'static str,
    expected: bool,
    job: bool,
    replay_of: Option<ReplayOfJson>,
    size: u64,
    etag: String,
    checksum: Option<ChecksumJson>,
    received_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    attempts: u32,
    progress: Option<ProgressJson>,
    next_attempt_at: Option<String>,
    reason: Option<String>,
    archive: Option<ArchiveJson>,
    media_type: Option<String>,
    sha256: Option<String>,
    report: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct ChecksumJson {
    algorithm: &'static str,
    value: String,
    kind: &'static str,
}

impl From<Checksum> for ChecksumJson {
    /// In S3's own words (S3 API, `ChecksumType`), the number of parts behind a composite's value.
    fn from(checksum: Checksum) -> Self {
        let value = BASE64.encode(&checksum.value);
        let (value, kind) = match checksum.kind {
            ChecksumKind::FullObject => (value, "FULL_OBJECT"),
            ChecksumKind::Composite { parts } => (format!("{value}-{parts}"), "COMPOSITE"),
        };
        Self {
            algorithm: checksum.algorithm.name(),
            value,
            kind,
        }
    }
}

#[derive(Serialize)]
struct ProgressJson {
    done: u64,
    total: Option<u64>,
    words: String,
}

#[derive(Serialize)]
struct ArchiveJson {
    bucket: String,
    key: String,
    version_id: String,
}

fn rfc3339(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

impl From<Upload> for UploadJson {
    fn from(upload: Upload) -> Self {
        Self {
            id: upload.id.to_string(),
            bucket: upload.bucket.to_string(),
            key: upload.key.to_string(),
            version_id: upload.version_id.map(|id| id.to_string()),
            state: upload.state.name(),
            expected: upload.is_expected,
            job: upload.is_job,
            replay_of: upload.replay_of.map(Into::into),
            size: upload.size_bytes,
            etag: upload.etag.to_string(),
            checksum: upload.checksum.map(Into::into),
            received_at: upload.received_at.to_string(),
            started_at: rfc3339(upload.started_at),
            finished_at: rfc3339(upload.finished_at),
            attempts: upload.attempts,
            progress: upload.progress.map(|progress| ProgressJson {
                done: progress.done,
                total: progress.total,
                words: progress.words,
            }),
            next_attempt_at: rfc3339(upload.next_attempt_at),
            reason: upload.reason,
            archive: upload.archive.map(|at| ArchiveJson {
                bucket: at.bucket.to_string(),
                key: at.key.to_string(),
                version_id: at.version_id.to_string(),
            }),
            media_type: upload.media_type,
            sha256: upload.sha256,
            report: upload.report.as_deref().map(report),
        }
    }
}

/// A function may call anything its report; what is no JSON object is shown as text rather than hidden.
fn report(text: &str) -> serde_json::Value {
    match serde_json::from_str(text) {
        Ok(report @ serde_json::Value::Object(_)) => report,
        _ => serde_json::json!({ "text": text }),
    }
}

#[derive(Serialize)]
pub(crate) struct UploadHistoryJson {
    #[serde(flatten)]
    upload: UploadJson,
    attempts_log: Vec<AttemptJson>,
}

#[derive(Serialize)]
struct AttemptJson {
    number: u32,
    started_at: String,
    ended_at: Option<String>,
    outcome: Option<&'static str>,
    reason: Option<String>,
}

impl From<Attempt> for AttemptJson {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_string(),
            ended_at: rfc3339(attempt.ended_at),
            outcome: attempt.outcome.map(crate::AttemptOutcome::name),
            reason: attempt.reason,
        }
    }
}

impl From<UploadHistory> for UploadHistoryJson {
    fn from(history: UploadHistory) -> Self {
        Self {
            upload: history.upload.into(),
            attempts_log: history.attempts_log.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct PageJson {
    uploads: Vec<UploadJson>,
    next: Option<String>,
    counts: CountsJson,
    oldest_unfinished: Option<OldestJson>,
    paused: Option<PausedJson>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    counts_are_least: bool,
}

#[derive(Serialize)]
pub(crate) struct CountsJson {
    pending: u64,
    processing: u64,
    archived: u64,
    failed: u64,
    late: u64,
    duplicate: u64,
}

impl From<Counts> for CountsJson {
    fn from(counts: Counts) -> Self {
        let Counts {
            pending,
            processing,
            archived,
            failed,
            late,
            duplicate,
        } = counts;
        Self {
            pending,
            processing,
            archived,
            failed,
            late,
            duplicate,
        }
    }
}

#[derive(Serialize)]
struct OldestJson {
    key: String,
    received_at: String,
    age_s: u64,
}

impl OldestJson {
    fn at(oldest: &Oldest, now: Timestamp) -> Self {
        Self {
            key: oldest.key.to_string(),
            received_at: oldest.received_at.to_string(),
            age_s: now.since(oldest.received_at).as_secs(),
        }
    }
}

impl PageJson {
    pub(crate) fn at(page: UploadPage, caller: &Caller, now: Timestamp) -> Self {
        Self {
            uploads: page.uploads.into_iter().map(Into::into).collect(),
            next: page.next.map(|cursor| cursor.0),
            counts: page.counts.into(),
            oldest_unfinished: page
                .oldest_unfinished
                .filter(|oldest| caller.sees(&oldest.key))
                .map(|oldest| OldestJson::at(&oldest, now)),
            paused: page.paused.map(Into::into),
            counts_are_least: page.counts_are_least,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct RetriedJson {
    matched: u64,
    retried: u64,
}

impl From<Retried> for RetriedJson {
    fn from(Retried { matched, retried }: Retried) -> Self {
        Self { matched, retried }
    }
}

#[derive(Serialize)]
pub(crate) struct SweptJson {
    listed: u64,
    woken: u64,
    finished: u64,
    explained: u64,
    passed_over: u64,
}

impl From<Swept> for SweptJson {
    fn from(swept: Swept) -> Self {
        let Swept {
            listed,
            woken,
            finished,
            explained,
            passed_over,
        } = swept;
        Self {
            listed,
            woken,
            finished,
            explained,
            passed_over,
        }
    }
}

/// What `POST /api/retry` takes. A misspelt selection must not select something else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryRequest {
    pub(crate) key: Option<String>,
    pub(crate) all: Option<bool>,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// What `GET /api/uploads` takes in its query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    pub(crate) state: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) q: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<String>,
}
