use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::header::CONTENT_TYPE;

use super::{Answer, From};
use crate::metrics::METRICS_CONTENT_TYPE;
use crate::problem::Problem;
use crate::service::Api;
use crate::{Error, Grants, ListUploads, Tracker, UploadFigures};

pub(crate) async fn text<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    // The figures are of everybody's uploads together. To look is not to steer, so whoever collects them need not.
    if caller.prefix.is_some() {
        return Err(Problem::Forbidden(
            "metrics are shown to callers who see everybody's uploads; this one sees those below its prefix"
                .into(),
        ));
    }
    let what = "metrics: this server has none,".into();
    let metrics = api.metrics.as_deref();
    let metrics = metrics.ok_or(Problem::Of(Error::NotFound { what }))?;
    let query = ListUploads {
        limit: 1,
        ..ListUploads::default()
    };
    let page = api.tracker.list(query).await?;
    let now = (api.sources.now)();
    let oldest = page.oldest_unfinished;
    let text = metrics.text(&UploadFigures {
        counts: page.counts,
        oldest_unfinished_age: oldest.map(|oldest| now.since(oldest.received_at)),
        is_paused: page.paused.is_some(),
    });
    Ok(([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], text).into_response())
}
