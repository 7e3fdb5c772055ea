use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use two_buckets_objects::{BucketName, Checksum, ETag, Key, Timestamp, VersionId, VersionRef};

/// The opaque name of an upload in this API: 1 to [`UploadId::LENGTH_MAX`] letters, digits, `-`, `_`, `.` and `~`,
/// so that it is itself in a URL.
/// Whoever implements [`Tracker`](crate::Tracker) chooses it; it must stay the same for as long as the upload is known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UploadId(Box<str>);

impl UploadId {
    /// The longest id: room for bucket, key and version id in base64.
    pub const LENGTH_MAX: usize = 2_048;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no upload's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an upload's id has 1 to 2048 letters, digits, hyphens, underscores, dots and tildes")]
pub struct InvalidUploadId;

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(id: &str) -> Result<Self, InvalidUploadId> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        // A URL's dot segments are taken away by clients before they send it.
        let dots = matches!(id, "." | "..");
        if (1..=Self::LENGTH_MAX).contains(&id.len()) && id.bytes().all(unreserved) && !dots {
            Ok(Self(id.into()))
        } else {
            Err(InvalidUploadId)
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an upload is on its way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UploadState {
    /// In staging, waiting for its turn or its next attempt.
    Pending,
    /// A worker has it.
    Processing,
    /// In the archive.
    Archived,
    /// Set aside in staging with its reason until somebody retries it.
    Failed,
    /// Archived beside, because a newer upload of its key was archived before it.
    Late,
    /// A client's repetition of an upload that was archived and is the archive's current version; removed.
    Duplicate,
}

impl UploadState {
    /// Every state, in the order of an upload's life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::Archived,
        Self::Failed,
        Self::Late,
        Self::Duplicate,
    ];

    /// The word for it everywhere: JSON, CLI, logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Archived => "archived",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for UploadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the state must be one of pending, processing, archived, failed, late, duplicate")]
pub struct UnknownState;

impl FromStr for UploadState {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or(UnknownState)
    }
}

/// One upload as the ledger knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Its name in this API.
    pub id: UploadId,
    /// The bucket it came to.
    pub bucket: BucketName,
    /// Its key.
    pub key: Key,
    /// Its version; none before it has arrived.
    pub version_id: Option<VersionId>,
    /// Where it is.
    pub state: UploadState,
    /// Whether it has not arrived: a grant was given and the bytes are awaited, or never came.
    pub is_expected: bool,
    /// Whether it was routed to a job: a process of its own works on it, for as long as it takes, and can be cancelled.
    pub is_job: bool,
    /// Where it was copied from, if it is a replay; known once its first attempt has begun.
    pub replay_of: Option<ReplayOf>,
    /// Its size; before it has arrived as the client said it, or 0.
    pub size_bytes: u64,
    /// Its entity tag; empty before it has arrived.
    pub etag: ETag,
    /// Its checksum: the archive's, else what was verified or announced before.
    pub checksum: Option<Checksum>,
    /// When it arrived, as the store reports it; before that, when its key was minted.
    pub received_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was archived or set aside for good.
    pub finished_at: Option<Timestamp>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// How far the attempt that runs said it is.
    pub progress: Option<Progress>,
    /// When it is tried again; only while pending.
    pub next_attempt_at: Option<Timestamp>,
    /// Why it failed, or why its last attempt did.
    pub reason: Option<String>,
    /// Where it is archived.
    pub archive: Option<VersionRef>,
    /// The media type its processor found.
    pub media_type: Option<String>,
    /// The SHA-256 of its bytes in lower-case hexadecimal, as its processor computed it.
    pub sha256: Option<String>,
    /// Its processor's report: JSON text.
    pub report: Option<String>,
}

/// Where a replay was copied from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayOf {
    /// The archived version.
    pub at: VersionRef,
    /// The upload that was archived as that, if it was known when the replay was made.
    pub upload: Option<UploadId>,
}

/// An upload with what happened to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadHistory {
    /// The upload.
    pub upload: Upload,
    /// Its attempts, oldest first; the ledger may keep only the last ones.
    pub attempts_log: Vec<Attempt>,
}

/// One attempt to process an upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it runs or if nobody saw its end.
    pub ended_at: Option<Timestamp>,
    /// How it ended; none while it runs.
    pub outcome: Option<AttemptOutcome>,
    /// What the function or the worker said.
    pub reason: Option<String>,
}

/// How far an attempt is, in a unit of its processor's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// How much there is to do, if it is known.
    pub total: Option<u64>,
    /// What is counted or being done; may be empty.
    pub words: String,
}

/// What is kept of what an attempt wrote for people to read: any bytes, mostly lines of UTF-8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptLog {
    /// The attempt's number.
    pub attempt: u32,
    /// What it wrote first.
    pub first: Bytes,
    /// How many bytes behind that were dropped.
    pub dropped_bytes: u64,
    /// What it wrote last, behind those.
    pub last: Bytes,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AttemptOutcome {
    /// The function was content.
    Succeeded,
    /// It failed in a way that another attempt may mend.
    Transient,
    /// It failed in a way that no attempt mends.
    Permanent,
    /// The worker died or lost its lease.
    Crashed,
}

impl AttemptOutcome {
    /// The word for it in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Crashed => "crashed",
        }
    }
}
