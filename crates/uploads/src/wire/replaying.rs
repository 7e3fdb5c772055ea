//! What is said of replays.

use serde::{Deserialize, Serialize};

use crate::{ReplayOf, Replayed};

#[derive(Serialize)]
pub(crate) struct ReplayOfJson {
    bucket: String,
    key: String,
    version_id: String,
    upload: Option<String>,
}

impl From<ReplayOf> for ReplayOfJson {
    fn from(replay: ReplayOf) -> Self {
        Self {
            bucket: replay.at.bucket.to_string(),
            key: replay.at.key.to_string(),
            version_id: replay.at.version_id.to_string(),
            upload: replay.upload.map(|id| id.to_string()),
        }
    }
}

/// What `POST /api/replay` takes. A misspelt selection must not select something else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    pub(crate) prefix: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) version_id: Option<String>,
    #[serde(default)]
    pub(crate) dry_run: bool,
    #[serde(default)]
    pub(crate) anew: bool,
}

#[derive(Serialize)]
pub(crate) struct ReplayedJson {
    matched: u64,
    replayed: u64,
    size: u64,
    continued_since: Option<String>,
    has_more: bool,
}

impl From<Replayed> for ReplayedJson {
    fn from(replayed: Replayed) -> Self {
        Self {
            matched: replayed.matched,
            replayed: replayed.replayed,
            size: replayed.size_bytes,
            continued_since: replayed.continued_since.map(|at| at.to_string()),
            has_more: replayed.has_more,
        }
    }
}
