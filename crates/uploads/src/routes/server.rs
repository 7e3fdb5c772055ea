use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::{Answer, From, answer};
use crate::service::Api;
use crate::wire::ServerJson;
use crate::{Grants, OPENAPI, Tracker};

pub(crate) async fn facts<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    let facts = api.tracker.server().await?;
    Ok(answer(ServerJson::new(facts, caller)))
}

pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
