//! What is said of a pause.

use serde::{Deserialize, Serialize};

use super::CountsJson;
use crate::{Counts, Paused};

#[derive(Serialize)]
pub(crate) struct PausedJson {
    since: String,
    reason: Option<String>,
}

impl From<Paused> for PausedJson {
    fn from(paused: Paused) -> Self {
        Self {
            since: paused.since.to_string(),
            reason: paused.reason,
        }
    }
}

/// What `POST /api/pause` and `POST /api/resume` answer: whether it is paused now, and what waits.
#[derive(Serialize)]
pub(crate) struct ProcessingJson {
    paused: Option<PausedJson>,
    counts: CountsJson,
}

impl ProcessingJson {
    pub(crate) fn new(paused: Option<Paused>, counts: Counts) -> Self {
        Self {
            paused: paused.map(Into::into),
            counts: counts.into(),
        }
    }
}

/// What `POST /api/pause` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseRequest {
    pub(crate) reason: Option<String>,
}
