use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::Request;

use super::{Answer, answer, json_body, upload_id};
use crate::problem::Problem;
use crate::wire::{RetriedJson, RetryRequest, SweptJson, UploadJson};
use crate::{Grants, RetrySelection, Tracker, UploadApi};

pub(crate) async fn retry<T: Tracker, G: Grants>(
    State(api): State<Arc<UploadApi<T, G>>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let upload = api.tracker.retry(&upload_id(id)?).await?;
    Ok(answer(UploadJson::from(upload)))
}

pub(crate) async fn retry_many<T: Tracker, G: Grants>(
    State(api): State<Arc<UploadApi<T, G>>>,
    request: Request<Body>,
) -> Answer {
    let selection = selected(json_body(request).await?)?;
    let retried = api.tracker.retry_many(selection).await?;
    Ok(answer(RetriedJson { retried }))
}

pub(crate) async fn sweep<T: Tracker, G: Grants>(
    State(api): State<Arc<UploadApi<T, G>>>,
) -> Answer {
    Ok(answer(SweptJson::from(api.tracker.sweep().await?)))
}

fn selected(request: RetryRequest) -> Result<RetrySelection, Problem> {
    match (request.key, request.all, request.reason) {
        (Some(key), None, None) => {
            let key = key
                .parse()
                .map_err(|error: two_buckets_objects::InvalidName| {
                    Problem::BadRequest(error.to_string())
                })?;
            Ok(RetrySelection::Key(key))
        }
        (None, Some(true), None) => Ok(RetrySelection::All),
        (None, None, Some(reason)) if !reason.is_empty() => Ok(RetrySelection::Reason(reason)),
        _ => Err(Problem::BadRequest(
            "say which uploads to retry, by one of \"key\", \"reason\" or \"all\": true".into(),
        )),
    }
}
