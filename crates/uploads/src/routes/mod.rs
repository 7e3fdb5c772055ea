//! One file for each thing a caller can ask, and how requests are taken apart.

pub(crate) mod content;
pub(crate) mod credentials;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod form;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod notifications;
pub(crate) mod pausing;
pub(crate) mod replaying;
pub(crate) mod s3;
pub(crate) mod server;
pub(crate) mod signed_url;
mod signing;
pub(crate) mod steering;
pub(crate) mod uploads;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Body};
use http::Request;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::{Caller, Error, JSON_BODY_BYTES_MAX, UploadId};

type Answer = Result<Response, Problem>;

/// Who asks.
pub(crate) struct From(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.map(Self).ok_or(Problem::NobodyKnown)
    }
}

fn answer(json: impl Serialize) -> Response {
    Json(json).into_response()
}

/// The upload's id in the address. A text that no id can be names no upload.
fn upload_id(path: Result<Path<String>, PathRejection>) -> Result<UploadId, Problem> {
    path.ok()
        .and_then(|Path(id)| id.parse().ok())
        .ok_or_else(no_such_upload)
}

fn no_such_upload() -> Problem {
    let what = "an upload with this id".into();
    Problem::Of(Error::NotFound { what })
}

/// Reads a JSON body. The content type must say so: a foreign page cannot send it without asking first.
async fn json_body<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Problem> {
    json_body_within(JSON_BODY_BYTES_MAX, request).await
}

/// Reads a JSON body of at most so many bytes.
async fn json_body_within<T: DeserializeOwned>(
    bytes_max: usize,
    request: Request<Body>,
) -> Result<T, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let essence = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::NotJson);
    }
    let body = Limited::new(request.into_body(), bytes_max);
    let whole = body.collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::BodyTooLarge { bytes_max }
        } else {
            Problem::BadRequest("the body broke off".into())
        }
    })?;
    serde_json::from_slice(&whole.to_bytes()).map_err(|error| {
        Problem::BadRequest(format!("the JSON is not what this call takes: {error}"))
    })
}
