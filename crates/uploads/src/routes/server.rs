use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::{Answer, answer};
use crate::wire::ServerJson;
use crate::{Grants, OPENAPI, Tracker, UploadApi};

pub(crate) async fn facts<T: Tracker, G: Grants>(
    State(api): State<Arc<UploadApi<T, G>>>,
) -> Answer {
    Ok(answer(ServerJson::from(api.tracker.server().await?)))
}

pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
