use std::time::Duration;

use super::accepted::{Accepted, uploads_of};
use crate::cli::api::Api;
use crate::cli::patience::Patience;
use crate::cli::trouble::Trouble;
use crate::cli::wire::{Page, Upload, read};

/// The first wait before asking again; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Where an upload ended, or that nobody waited for it.
pub(super) struct Ended {
    /// The word for it.
    pub(super) state: String,
    /// Why it was set aside.
    pub(super) reason: Option<String>,
}

impl Ended {
    /// It is on the server's disk, and nobody waited for more.
    pub(super) fn accepted() -> Self {
        Self {
            state: "accepted".to_owned(),
            reason: None,
        }
    }

    /// Says whether it was set aside.
    pub(super) fn is_failure(&self) -> bool {
        self.state == "failed"
    }
}

/// Asks until the upload is archived or set aside. It has no limit of its own: a function may take its time, and
/// whoever waits can stop waiting.
pub(super) async fn until_finished(
    api: &Api,
    patience: &Patience,
    accepted: &Accepted,
) -> Result<Ended, Trouble> {
    let path = uploads_of(&accepted.key);
    let mut pause = FIRST_PAUSE;
    loop {
        let page: Page = read(api.get_patiently(&path, patience).await?)?;
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
        pause = (pause * 2).min(api.look_every(PAUSE_MAX));
    }
}
