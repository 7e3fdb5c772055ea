use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};

use super::{Answer, From, answer, no_such_upload, upload_id};
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::{ListQuery, PageJson, UploadHistoryJson};
use crate::{
    Caller, Cursor, Error, Grants, ListUploads, PAGE_DEFAULT, PAGE_MAX, SEARCH_BYTES_MAX, Tracker,
    UploadHistory, UploadId,
};

pub(crate) async fn list<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|error| Problem::BadRequest(error.body_text()))?;
    let page = api.tracker.list(asked(query, &caller)?).await?;
    Ok(answer(PageJson::at(page, &caller, (api.sources.now)())))
}

pub(crate) async fn one<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let history = visible(&api.tracker, &caller, &upload_id(id)?).await?;
    Ok(answer(UploadHistoryJson::from(history)))
}

/// The upload, if there is one that the caller may see: of another one they do not even learn that it is there.
pub(super) async fn visible<T: Tracker>(
    tracker: &T,
    caller: &Caller,
    id: &UploadId,
) -> Result<UploadHistory, Problem> {
    // One sentence for what is not there and what is another's, whatever the tracker calls it.
    let history = tracker.get(id).await.map_err(|error| match error {
        Error::NotFound { .. } => no_such_upload(),
        error => error.into(),
    })?;
    if caller.sees(&history.upload.key) {
        Ok(history)
    } else {
        Err(no_such_upload())
    }
}

/// Parameters that are there but empty are left out, as a form with empty fields means them.
fn asked(query: ListQuery, caller: &Caller) -> Result<ListUploads, Problem> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let state = given(query.state).map(|state| state.parse::<crate::UploadState>());
    let state = state
        .transpose()
        .map_err(|error| Problem::BadRequest(error.to_string()))?;
    let key = given(query.key).map(|key| key.parse::<two_buckets_objects::Key>());
    let key = key
        .transpose()
        .map_err(|error| Problem::BadRequest(error.to_string()))?;
    let search = given(query.q);
    if search.as_ref().is_some_and(|q| q.len() > SEARCH_BYTES_MAX) {
        return Err(Problem::BadRequest(format!(
            "the search text may have at most {SEARCH_BYTES_MAX} bytes"
        )));
    }
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::BadRequest(format!(
            "the limit must be 1 to {PAGE_MAX}"
        )));
    }
    let after = given(query.after);
    if after
        .as_ref()
        .is_some_and(|after| after.len() > Cursor::LENGTH_BYTES_MAX)
    {
        return Err(Problem::BadRequest(
            "after must be the next of an earlier page".into(),
        ));
    }
    Ok(ListUploads {
        state,
        key,
        prefix: caller.prefix.as_ref().map(ToString::to_string),
        search,
        limit,
        after: after.map(Cursor),
    })
}
