use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::uploads::visible;
use super::{Answer, From, answer, upload_id};
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::logs::{LogJson, LogsJson};
use crate::{Grants, Tracker};

/// Which part of the logs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogsQuery {
    /// Only this attempt.
    attempt: Option<u32>,
    /// Only what is behind this many bytes of that attempt's log.
    from: Option<u64>,
}

pub(crate) async fn logs<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<LogsQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|error| Problem::BadRequest(error.body_text()))?;
    if query.from.is_some() && query.attempt.is_none() {
        return Err(Problem::BadRequest(
            "from is a place in the log of one attempt; name that by attempt".into(),
        ));
    }
    let id = upload_id(id)?;
    let history = visible(&api.tracker, &caller, &id).await?;
    // An attempt is known to have ended before its log is read, so that the log is then whole.
    let has_ended = |attempt| {
        let mut all = history.attempts_log.iter();
        all.any(|one| one.number == attempt && one.outcome.is_some())
    };
    let logs = api.tracker.logs(&id).await?;
    let wanted = logs
        .into_iter()
        .filter(|log| query.attempt.is_none_or(|attempt| attempt == log.attempt));
    Ok(answer(LogsJson {
        logs: wanted
            .map(|log| {
                let is_whole = has_ended(log.attempt);
                LogJson::of(&log, query.from.unwrap_or(0), is_whole)
            })
            .collect(),
    }))
}
