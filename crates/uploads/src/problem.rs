use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use serde::Serialize;

use crate::Error;
use crate::limits::OverLimit;

/// Everything that makes an answer an error.
pub(crate) enum Problem {
    /// What the caller sent cannot be understood; the words say what.
    BadRequest(String),
    /// The body has more bytes than this call takes.
    BodyTooLarge { bytes_max: usize },
    /// The body is not said to be JSON.
    NotJson,
    /// No address of the API.
    NoSuchRoute,
    /// An address of the API, but not with this method.
    MethodNotAllowed(Method),
    /// No byte of the upload lies in the range.
    RangeNotSatisfiable { size_bytes: u64 },
    /// The request came for another host than this.
    ForeignHost { public: Option<String> },
    /// A page of somebody else asked for a change.
    ForeignOrigin,
    /// A change was asked for with no sign of who asks.
    NobodyKnown,
    /// The token is not ours.
    WrongToken,
    /// The caller may not do this; the words say what they may.
    Forbidden(String),
    /// The caller began too many uploads.
    TooManyUploads { per_minute: u32, wait: Duration },
    /// Only known callers may ask, and nothing says who this is.
    TokenNeeded,
    /// The token is not believed; the words say why.
    TokenRefused(String),
    /// Nobody can say whether the token is good.
    IssuerAway,
    /// The caller has asked too often.
    TooOften { wait: Duration },
    /// The other side of a trait said no.
    Of(Error),
}

#[derive(Serialize)]
struct ProblemJson<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// What each problem is in HTTP and in words: the one place where that is decided.
    fn status_and_detail(&self) -> (StatusCode, String) {
        use StatusCode as Status;
        match self {
            Self::BadRequest(detail) => (Status::BAD_REQUEST, detail.clone()),
            Self::BodyTooLarge { bytes_max } => (
                Status::PAYLOAD_TOO_LARGE,
                format!("the body of this call may have at most {bytes_max} bytes; files go to the signed URL"),
            ),
            Self::NotJson => (
                Status::UNSUPPORTED_MEDIA_TYPE,
                "this call takes JSON: send it with the header Content-Type: application/json".into(),
            ),
            Self::NoSuchRoute => (
                Status::NOT_FOUND,
                "there is no such address in this API; /api/openapi.json lists what there is".into(),
            ),
            Self::MethodNotAllowed(method) => (
                Status::METHOD_NOT_ALLOWED,
                format!("this address does not take {method}"),
            ),
            Self::RangeNotSatisfiable { size_bytes } => (
                Status::RANGE_NOT_SATISFIABLE,
                format!("no byte of the upload lies in the range; it has {size_bytes} bytes"),
            ),
            Self::ForeignHost { public: None } => (
                Status::FORBIDDEN,
                "this server answers under its loopback address only, such as http://localhost with its port".into(),
            ),
            Self::ForeignHost { public: Some(public) } => (
                Status::FORBIDDEN,
                format!("this server answers as {public}, and under its own address, only"),
            ),
            Self::ForeignOrigin => (
                Status::FORBIDDEN,
                "another site's page may not change anything here".into(),
            ),
            Self::NobodyKnown => (
                Status::UNAUTHORIZED,
                "calls that change something need the admin token from server.json in the data folder, as Authorization: Bearer".into(),
            ),
            Self::WrongToken => (
                Status::UNAUTHORIZED,
                "the admin token is not the one this server was started with; it is in server.json in the data folder".into(),
            ),
            Self::Forbidden(detail) => (Status::FORBIDDEN, detail.clone()),
            Self::TooManyUploads { per_minute, wait } => (
                Status::TOO_MANY_REQUESTS,
                format!(
                    "you may begin {per_minute} uploads a minute; try again in {} s",
                    whole_seconds(*wait)
                ),
            ),
            Self::TokenNeeded => (
                Status::UNAUTHORIZED,
                "this server only answers callers it knows: send your token as Authorization: Bearer".into(),
            ),
            Self::TokenRefused(reason) => (Status::UNAUTHORIZED, reason.clone()),
            Self::IssuerAway => (
                Status::SERVICE_UNAVAILABLE,
                "whoever issued the token cannot be asked about it now; try again soon".into(),
            ),
            Self::TooOften { wait } => (
                Status::TOO_MANY_REQUESTS,
                format!("too many requests; try again in {} s", whole_seconds(*wait)),
            ),
            Self::Of(Error::NotFound { what }) => (Status::NOT_FOUND, format!("{what} not found")),
            Self::Of(Error::Conflict { reason }) => (Status::CONFLICT, reason.clone()),
            Self::Of(Error::Refused { reason }) => (Status::BAD_REQUEST, reason.clone()),
            Self::Of(error @ Error::Unavailable { .. }) => {
                (Status::SERVICE_UNAVAILABLE, error.to_string())
            }
            Self::Of(Error::Broken { .. }) => (
                Status::INTERNAL_SERVER_ERROR,
                "something broke on the server; its log says what".into(),
            ),
        }
    }
}

/// Rounded up: who comes back after so long is not sent away again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl From<OverLimit> for Problem {
    fn from(over: OverLimit) -> Self {
        Self::Forbidden(over.to_string())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Of(error)
    }
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        if let Self::Of(error @ (Error::Broken { .. } | Error::Unavailable { .. })) = &self {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(cause, "{error}");
        }
        let (status, detail) = self.status_and_detail();
        let json = serde_json::to_vec(&ProblemJson {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &detail,
        })
        .expect("text and a number always serialise");
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match self {
            Self::RangeNotSatisfiable { size_bytes } => {
                let whole = HeaderValue::from_str(&format!("bytes */{size_bytes}"))
                    .expect("digits are a header value");
                headers.insert(CONTENT_RANGE, whole);
            }
            Self::NobodyKnown | Self::WrongToken | Self::TokenNeeded => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TokenRefused(_) => {
                // RFC 6750, section 3.1.
                headers.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer error=\"invalid_token\""),
                );
            }
            Self::IssuerAway => {
                headers.insert(RETRY_AFTER, HeaderValue::from(10));
            }
            Self::TooOften { wait } | Self::TooManyUploads { wait, .. } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
            }
            _ => {}
        }
        response
    }
}
