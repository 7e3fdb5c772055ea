//! The API's answers, as far as commands read them. Absent fields are no reason to fail: an older server may answer.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

/// One upload.
#[derive(Deserialize, Debug)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) state: String,
    /// Whether its key was given out and nothing has arrived under it.
    #[serde(default)]
    pub(super) expected: bool,
    /// Whether a job processes it.
    #[serde(default)]
    pub(super) job: bool,
    /// Where it was copied from, if it is a replay.
    pub(super) replay_of: Option<Archived>,
    pub(super) size: Option<u64>,
    pub(super) received_at: Option<String>,
    pub(super) finished_at: Option<String>,
    #[serde(default)]
    pub(super) attempts: u32,
    pub(super) progress: Option<Progress>,
    pub(super) next_attempt_at: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) media_type: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) version_id: Option<String>,
    pub(super) checksum: Option<Checksum>,
    pub(super) archive: Option<Archived>,
    pub(super) report: Option<Value>,
    #[serde(default)]
    pub(super) attempts_log: Vec<Attempt>,
}

impl Upload {
    /// Says whether a job has it or will have it.
    pub(super) fn is_unfinished_job(&self) -> bool {
        self.job && matches!(self.state.as_str(), "pending" | "processing")
    }
}

/// How far its attempt is.
#[derive(Deserialize, Debug)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    #[serde(default)]
    pub(super) words: String,
}

/// A checksum of its bytes.
#[derive(Deserialize, Debug)]
pub(super) struct Checksum {
    pub(super) algorithm: String,
    pub(super) value: String,
}

/// Where it is kept.
#[derive(Deserialize, Debug)]
pub(super) struct Archived {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version_id: Option<String>,
}

/// One attempt at it.
#[derive(Deserialize, Debug)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) started_at: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) reason: Option<String>,
}

/// What attempts wrote.
#[derive(Deserialize, Debug)]
pub(super) struct Logs {
    pub(super) logs: Vec<AttemptLog>,
}

/// What one attempt wrote.
#[derive(Deserialize, Debug)]
pub(super) struct AttemptLog {
    pub(super) attempt: u32,
    pub(super) pieces: Vec<LogPiece>,
    pub(super) next_from: u64,
}

/// A piece of what an attempt wrote.
#[derive(Deserialize, Debug)]
pub(super) struct LogPiece {
    pub(super) from: u64,
    pub(super) text: String,
}

/// A page of uploads.
#[derive(Deserialize, Debug)]
pub(super) struct Page {
    pub(super) uploads: Vec<Value>,
    pub(super) next: Option<String>,
    #[serde(default)]
    pub(super) counts: Value,
    #[serde(default)]
    pub(super) oldest_unfinished: Value,
    #[serde(default)]
    pub(super) paused: Option<Paused>,
    #[serde(default)]
    pub(super) counts_are_least: bool,
}

/// That nothing new is processed.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Paused {
    pub(super) since: String,
    pub(super) reason: Option<String>,
}

/// The faults that are on.
#[derive(Deserialize, Debug, Default)]
pub(super) struct Faults {
    pub(super) rules: Vec<FaultRule>,
}

/// The targets of notifications.
#[derive(Deserialize, Debug, Default)]
pub(super) struct Notifications {
    pub(super) targets: Vec<NotificationTarget>,
}

/// How it stands with a target.
#[derive(Deserialize, Debug)]
pub(super) struct NotificationTarget {
    pub(super) name: String,
    #[serde(default)]
    pub(super) undelivered: u64,
    pub(super) oldest_age_s: Option<u64>,
    #[serde(default)]
    pub(super) failing: bool,
    pub(super) last_error: Option<String>,
    #[serde(default)]
    pub(super) lost: u64,
    pub(super) lost_since: Option<String>,
}

/// A rule of faults.
#[derive(Deserialize, Debug)]
pub(super) struct FaultRule {
    pub(super) name: String,
    pub(super) words: String,
    #[serde(default)]
    pub(super) matched: u64,
    #[serde(default)]
    pub(super) struck: u64,
}

/// A grant to upload one file.
#[derive(Deserialize)]
pub(super) struct Grant {
    pub(super) url: String,
    pub(super) key: String,
    #[serde(default)]
    pub(super) headers: std::collections::BTreeMap<String, String>,
}

/// Credentials that open one key for an upload. Never shown.
#[derive(Deserialize)]
pub(super) struct CredentialsGrant {
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) session_token: String,
    pub(super) key: String,
}

/// Reads an answer as what it must be.
pub(super) fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value)
        .map_err(|error| Failure::failed(format!("the server's answer is not understood: {error}")))
}
