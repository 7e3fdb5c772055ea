use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Accepted;
use crate::cli::api::Api;
use crate::cli::wire::{Page, Upload, read};
use crate::failure::Failure;

/// The first wait before asking again; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Where an upload ended, or that nobody waited for it.
pub(super) struct Ended {
    state: String,
    reason: Option<String>,
}

impl Ended {
    /// It is on the server's disk, and nobody waited for more.
    pub(super) fn accepted() -> Self {
        Self {
            state: "accepted".to_owned(),
            reason: None,
        }
    }

    /// The word for it.
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// Says whether it was set aside.
    pub(super) fn is_failure(&self) -> bool {
        self.state == "failed"
    }

    /// Why it was set aside.
    pub(super) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or("no reason was recorded")
    }
}

/// Asks until the upload is archived or set aside. It has no limit of its own: a function may take its time, and
/// whoever waits can stop waiting.
pub(super) async fn until_finished(api: &Api, accepted: &Accepted) -> Result<Ended, Failure> {
    let path = format!(
        "/api/uploads?limit=1000&key={}",
        utf8_percent_encode(&accepted.key, NON_ALPHANUMERIC)
    );
    let mut pause = FIRST_PAUSE;
    loop {
        let page: Page = read(api.get(&path).await?)?;
        for upload in page.uploads {
            let upload: Upload = read(upload)?;
            let is_ours = accepted.version_id.is_none() || upload.version_id == accepted.version_id;
            if is_ours && !matches!(upload.state.as_str(), "pending" | "processing") {
                return Ok(Ended {
                    state: upload.state,
                    reason: upload.reason,
                });
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
