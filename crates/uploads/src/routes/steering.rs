use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::Request;

use super::uploads::visible;
use super::{Answer, From, answer, json_body, upload_id};
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::{RetriedJson, RetryRequest, SweptJson, UploadJson};
use crate::{
    Caller, Error, Grants, InvalidReasonPattern, KeyPrefix, ListUploads, PAGE_MAX, Retried,
    RetryMany, RetrySelection, Tracker, Upload, UploadState,
};

pub(crate) async fn retry<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let id = upload_id(id)?;
    may_steer(&caller)?;
    visible(&api.tracker, &caller, &id).await?;
    let upload = api.tracker.retry(&id).await?;
    Ok(answer(UploadJson::from(upload)))
}

pub(crate) async fn cancel<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let id = upload_id(id)?;
    may_steer(&caller)?;
    visible(&api.tracker, &caller, &id).await?;
    let upload = api.tracker.cancel(&id).await?;
    Ok(answer(UploadJson::from(upload)))
}

pub(crate) async fn retry_many<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    request: Request<Body>,
) -> Answer {
    may_steer(&caller)?;
    let retry = selected(json_body(request).await?)?;
    let retried = match &caller.prefix {
        None => api.tracker.retry_many(retry).await?,
        Some(prefix) => retry_below(&api.tracker, prefix, &retry).await?,
    };
    Ok(answer(RetriedJson::from(retried)))
}

pub(crate) async fn sweep<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    may_steer_all(&caller, "a sweep")?;
    Ok(answer(SweptJson::from(api.tracker.sweep().await?)))
}

/// Refuses who may not do what touches everybody's uploads.
pub(super) fn may_steer_all(caller: &Caller, what: &str) -> Result<(), Problem> {
    may_steer(caller)?;
    match caller.prefix {
        None => Ok(()),
        Some(_) => Err(Problem::Forbidden(format!(
            "{what} touches everybody's uploads, and you may see only your own"
        ))),
    }
}

fn may_steer(caller: &Caller) -> Result<(), Problem> {
    if caller.may_steer {
        Ok(())
    } else {
        Err(Problem::Forbidden(
            "you may upload and look, but not retry, replay, cancel, sweep or pause".into(),
        ))
    }
}

/// Retries what is selected of the uploads below a prefix, one by one, a page at a time.
async fn retry_below<T: Tracker>(
    tracker: &T,
    prefix: &KeyPrefix,
    retry: &RetryMany,
) -> Result<Retried, Problem> {
    let mut query = ListUploads {
        state: Some(UploadState::Failed),
        prefix: Some(prefix.to_string()),
        limit: PAGE_MAX,
        ..ListUploads::default()
    };
    let mut done = Retried::default();
    loop {
        let page = tracker.list(query.clone()).await?;
        // Asked for below the prefix, and looked at again: this is what keeps tenants apart.
        let ours = |upload: &Upload| prefix.covers(upload.key.as_str());
        let chosen = page.uploads.into_iter().filter(|upload| {
            ours(upload) && retry.selection.means(&upload.key, upload.reason.as_deref())
        });
        for upload in chosen {
            done.matched += 1;
            if retry.is_dry_run {
                continue;
            }
            match tracker.retry(&upload.id).await {
                Ok(_) => done.retried += 1,
                // Somebody else retried it, or it is gone: nothing is left to do for it.
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(done),
        }
    }
}

fn selected(request: RetryRequest) -> Result<RetryMany, Problem> {
    let selection = match (request.key, request.all, request.reason) {
        (Some(key), None, None) => {
            let key = key
                .parse()
                .map_err(|error: two_buckets_objects::InvalidName| {
                    Problem::BadRequest(error.to_string())
                })?;
            RetrySelection::Key(key)
        }
        (None, Some(true), None) => RetrySelection::All,
        (None, None, Some(reason)) => {
            let pattern = reason.parse();
            RetrySelection::Reason(
                pattern.map_err(|error: InvalidReasonPattern| {
                    Problem::BadRequest(error.to_string())
                })?,
            )
        }
        _ => {
            return Err(Problem::BadRequest(
                "say which uploads to retry, by one of \"key\", \"reason\" or \"all\": true".into(),
            ));
        }
    };
    Ok(RetryMany {
        selection,
        is_dry_run: request.dry_run,
    })
}
