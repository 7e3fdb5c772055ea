//! Where jobs ask the server: plain HTTP on a port of loopback of its own.

use std::sync::Arc;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, extract::DefaultBodyLimit};
use bytes::Bytes;
use futures::StreamExt as _;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use two_buckets_local::{JobError, Jobs};
use two_buckets_objects::{Body, ByteRange, Error as StoreError, VersionRef};
use two_buckets_pipeline::{FencingToken, Holder, Processor};

use super::ticket::Tickets;
use super::wire::{
    BASE, Begun, Claim, NONCE, Named, PROOF, Problem, Ran, Renewal, TICKET, Written,
};

/// The largest message of a job: a report and a log at their bounds, with all of it escaped.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// The service for jobs of a server with these settings, whose functions find S3 here.
pub(crate) fn service<P: Processor>(
    jobs: Jobs<P>,
    tickets: Tickets,
    settings: String,
    functions: Option<String>,
) -> Router {
    let proving = tickets.clone();
    let desk = Arc::new(Desk {
        jobs,
        tickets,
        settings,
        functions,
    });
    Router::new()
        .route(&format!("{BASE}/claim"), post(claim::<P>))
        .route(&format!("{BASE}/renew"), post(renew::<P>))
        .route(&format!("{BASE}/finish"), post(finish::<P>))
        .route(&format!("{BASE}/bytes"), get(bytes::<P>))
        .route(
            &format!("{BASE}/output"),
            put(output::<P>).layer(DefaultBodyLimit::disable()),
        )
        .layer(DefaultBodyLimit::max(MESSAGE_BYTES_MAX))
        .layer(from_fn(move |request, next| {
            prove(proving.clone(), request, next)
        }))
        .with_state(desk)
}

struct Desk<P> {
    jobs: Jobs<P>,
    tickets: Tickets,
    settings: String,
    functions: Option<String>,
}

/// Proves with each answer that it is this server's: a job must not take a stranger's at its address for it.
async fn prove(tickets: Tickets, request: Request, next: Next) -> Response {
    let nonce = request.headers().get(NONCE).cloned();
    let mut answer = next.run(request).await;
    if let Some(nonce) = nonce.as_ref().and_then(|it| it.to_str().ok())
        && let Ok(proof) = HeaderValue::from_str(&tickets.proof(nonce))
    {
        answer.headers_mut().insert(PROOF, proof);
    }
    answer
}

/// A job that has shown its ticket.
struct Known {
    at: VersionRef,
    token: Option<FencingToken>,
    name: Option<String>,
}

impl Known {
    fn token(&self) -> Result<FencingToken, Refused> {
        self.token
            .ok_or_else(|| Refused::malformed("no token is named"))
    }
}

impl<P: Processor> FromRequestParts<Arc<Desk<P>>> for Known {
    type Rejection = Refused;

    async fn from_request_parts(
        parts: &mut Parts,
        desk: &Arc<Desk<P>>,
    ) -> Result<Self, Self::Rejection> {
        let Query(named): Query<Named> = Query::try_from_uri(&parts.uri)
            .map_err(|error| Refused::malformed(&error.body_text()))?;
        let at = named.at().map_err(|problem| Refused::malformed(&problem))?;
        let ticket = parts.headers.get(TICKET).and_then(|it| it.to_str().ok());
        if !ticket.is_some_and(|ticket| desk.tickets.check(&at, ticket)) {
            return Err(Refused(
                StatusCode::UNAUTHORIZED,
                "this needs the ticket of the job that it names".to_owned(),
            ));
        }
        Ok(Self {
            at,
            token: named.token.map(FencingToken),
            name: named.name,
        })
    }
}

async fn claim<P: Processor>(
    State(desk): State<Arc<Desk<P>>>,
    known: Known,
    Json(claim): Json<Claim>,
) -> Result<Json<Begun>, Refused> {
    if claim.settings != desk.settings {
        return Err(Refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "its settings are not those of the server: start the server again if they were changed, and give a job that is started by hand the server's flags"
                .to_owned(),
        ));
    }
    let begun = desk.jobs.claim(&known.at, &Holder(claim.holder)).await?;
    let mut answer = Begun::from(&begun);
    answer.functions.clone_from(&desk.functions);
    Ok(Json(answer))
}

async fn renew<P: Processor>(
    State(desk): State<Arc<Desk<P>>>,
    known: Known,
    Json(renewal): Json<Renewal>,
) -> Result<(), Refused> {
    let token = known.token()?;
    let said = renewal.said.understood();
    let said = said.map_err(|problem| Refused::malformed(&problem))?;
    let jobs = &desk.jobs;
    Ok(jobs.renew(&known.at, token, renewal.attempt, &said).await?)
}

async fn finish<P: Processor>(
    State(desk): State<Arc<Desk<P>>>,
    known: Known,
    Json(ran): Json<Ran>,
) -> Result<(), Refused> {
    let token = known.token()?;
    let ran = ran
        .understood()
        .map_err(|problem| Refused::malformed(&problem))?;
    Ok(desk.jobs.finish(&known.at, token, ran).await?)
}

async fn bytes<P: Processor>(
    State(desk): State<Arc<Desk<P>>>,
    known: Known,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let range = match headers.get(header::RANGE) {
        None => None,
        Some(text) => Some(
            text.to_str()
                .ok()
                .and_then(range_from)
                .ok_or_else(|| Refused::malformed("the range cannot be understood"))?,
        ),
    };
    let body = desk.jobs.read(&known.at, known.token()?, range).await?;
    // What ends early is cut off, so that nobody takes it for whole.
    Ok(HttpBody::from_stream(body).into_response())
}

async fn output<P: Processor>(
    State(desk): State<Arc<Desk<P>>>,
    known: Known,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Json<Written>, Refused> {
    let name = known
        .name
        .as_deref()
        .ok_or_else(|| Refused::malformed("no name is named"))?;
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .ok_or_else(|| Refused::malformed("no media type is named"))?;
    let body: Body = Box::pin(body.into_data_stream().map(|piece: Result<Bytes, _>| {
        piece.map_err(|error| StoreError::Unavailable {
            reason: format!("the job broke off: {error}"),
            source: None,
        })
    }));
    let written = desk
        .jobs
        .put_output(&known.at, known.token()?, name, media_type, body)
        .await?;
    Ok(Json(Written {
        version_id: written.version_id.as_str().to_owned(),
    }))
}

/// Reads a range as [`range_text`] writes it.
fn range_from(text: &str) -> Option<ByteRange> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some(match (first, last) {
        ("", length) => ByteRange::Last {
            length: length.parse().ok()?,
        },
        (first, "") => ByteRange::From {
            first: first.parse().ok()?,
        },
        (first, last) => ByteRange::FromTo {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        },
    })
}

/// A range as `Range` names it.
pub(super) fn range_text(range: ByteRange) -> String {
    match range {
        ByteRange::FromTo { first, last } => format!("bytes={first}-{last}"),
        ByteRange::From { first } => format!("bytes={first}-"),
        ByteRange::Last { length } => format!("bytes=-{length}"),
    }
}

/// Why a job is not answered.
struct Refused(StatusCode, String);

impl Refused {
    fn malformed(problem: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, problem.to_owned())
    }
}

impl From<JobError> for Refused {
    fn from(error: JobError) -> Self {
        let status = match &error {
            JobError::Nothing => StatusCode::NOT_FOUND,
            JobError::Busy => StatusCode::CONFLICT,
            JobError::Gone | JobError::Store(StoreError::NotFound { .. }) => StatusCode::GONE,
            JobError::Store(StoreError::Refused { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(Problem { detail: self.1 })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_arrives_as_it_was_sent() {
        for range in [
            ByteRange::FromTo { first: 3, last: 9 },
            ByteRange::From { first: 0 },
            ByteRange::Last { length: 12 },
        ] {
            assert_eq!(range_from(&range_text(range)), Some(range));
        }
        for bad in ["", "bytes=", "bytes=a-b", "items=0-1", "bytes=-x"] {
            assert_eq!(range_from(bad), None, "{bad}");
        }
    }
}
