use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Request;

use super::steering::may_steer_all;
use super::{Answer, From, answer, json_body};
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::pausing::{PauseRequest, ProcessingJson};
use crate::{Counts, Grants, ListUploads, Paused, Tracker};

pub(crate) async fn pause<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    request: Request<Body>,
) -> Answer {
    may_steer_all(&caller, "a pause")?;
    let PauseRequest { reason } = json_body(request).await?;
    let reason = reason.map(|reason| reason.trim().to_owned());
    let reason = reason.filter(|reason| !reason.is_empty());
    if let Some(reason) = &reason
        && reason.len() > Paused::REASON_BYTES_MAX
    {
        return Err(Problem::BadRequest(format!(
            "the reason may have at most {} bytes",
            Paused::REASON_BYTES_MAX
        )));
    }
    let paused = api.tracker.pause(reason).await?;
    let counts = counts(&api.tracker).await?;
    Ok(answer(ProcessingJson::new(Some(paused), counts)))
}

pub(crate) async fn resume<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    may_steer_all(&caller, "a pause")?;
    api.tracker.resume().await?;
    let counts = counts(&api.tracker).await?;
    Ok(answer(ProcessingJson::new(None, counts)))
}

async fn counts<T: Tracker>(tracker: &T) -> Result<Counts, Problem> {
    let query = ListUploads {
        limit: 1,
        ..ListUploads::default()
    };
    Ok(tracker.list(query).await?.counts)
}
