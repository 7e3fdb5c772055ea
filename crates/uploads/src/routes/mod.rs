//! One file for each thing a caller can ask, and how requests are taken apart.

pub(crate) mod content;
pub(crate) mod server;
pub(crate) mod signed_url;
pub(crate) mod steering;
pub(crate) mod uploads;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Body};
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::{Error, JSON_BODY_BYTES_MAX, UploadId};

type Answer = Result<Response, Problem>;

fn answer(json: impl Serialize) -> Response {
    Json(json).into_response()
}

/// The upload's id in the address. A text that no id can be names no upload.
fn upload_id(path: Result<Path<String>, PathRejection>) -> Result<UploadId, Problem> {
    path.ok()
        .and_then(|Path(id)| id.parse().ok())
        .ok_or_else(|| {
            let what = "an upload with this id".into();
            Problem::Of(Error::NotFound { what })
        })
}

/// Reads a JSON body. The content type must say so: a foreign page cannot send it without asking first.
async fn json_body<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let essence = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::NotJson);
    }
    let body = Limited::new(request.into_body(), JSON_BODY_BYTES_MAX);
    let whole = body.collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::BodyTooLarge
        } else {
            Problem::BadRequest("the body broke off".into())
        }
    })?;
    serde_json::from_slice(&whole.to_bytes()).map_err(|error| {
        Problem::BadRequest(format!("the JSON is not what this call takes: {error}"))
    })
}
