//! Calls in, answers out.

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tower::{Service, ServiceExt as _};
use tracing::{error, warn};
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::Clock as _;
use two_buckets_uploads::{ClaimName, PAGE_DEFAULT, Signing};

use super::answer::{ANSWER_BYTES_MAX, answer, problem};
use super::call::{NotACall, request};
use crate::lambda::{Broken, deadline};
use crate::worker::SystemClock;

/// How long before its deadline an invocation answers at the latest, so that a caller is told and the environment lives.
const ANSWER_BEFORE: Duration = Duration::from_millis(500);
/// When to come again after a call that was not answered in time.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// Has a service answer what a gateway calls a function with. Knows no runtime, so that tests call it as Lambda does.
#[derive(Clone, Debug)]
pub struct Serving<S> {
    service: S,
    signing: Signing,
    lists: Option<ClaimName>,
}

/// What an attempt came to.
enum Made {
    Answer(Value),
    TooMuch,
}

impl<S> Serving<S> {
    /// Has this service answer. `signing` is how the gateway knows callers, and `lists` a claim of which the value may be a
    /// list. The service finds what the gateway vouches for in a request's extensions, as
    /// [`Vouched`](two_buckets_uploads::Vouched).
    pub fn new(service: S, signing: Signing, lists: Option<ClaimName>) -> Self {
        Self {
            service,
            signing,
            lists,
        }
    }

    /// Answers one call, before the deadline. A call that takes longer is dropped and answered 503; what it had already
    /// asked of AWS may be done all the same.
    ///
    /// Lambda carries some 6 MB. A page of a list that would be larger is asked for again with half as many uploads; the
    /// caller finds the rest by its `next`, as always. Any other answer that is too large becomes a refusal in words.
    pub async fn handle<B>(&self, event: &Value, deadline: Timestamp) -> Result<Value, NotACall>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send,
    {
        let asked = request(event, self.signing, self.lists.as_ref())?;
        let left = deadline
            .since(SystemClock.now())
            .saturating_sub(ANSWER_BEFORE);
        let answering = self.answer(asked).boxed();
        if let Ok(answer) = tokio::time::timeout(left, answering).await {
            return Ok(answer);
        }
        warn!("a call is dropped, because its time is over");
        Ok(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "this took too long; try again soon",
            Some(COME_AGAIN),
        ))
    }

    async fn answer<B>(&self, mut asked: Request<Bytes>) -> Value
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + Send,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send,
    {
        loop {
            if let Made::Answer(answer) = self.attempt(asked.clone()).await {
                return answer;
            }
            match with_half_the_limit(asked.method(), asked.uri()) {
                Some(uri) => *asked.uri_mut() = uri,
                None => {
                    return problem(
                        StatusCode::BAD_REQUEST,
                        "the answer would be larger than what Lambda carries; ask for less at once",
                        None,
                    );
                }
            }
        }
    }

    async fn attempt<B>(&self, asked: Request<Bytes>) -> Made
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + Send,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send,
    {
        let is_head = asked.method() == Method::HEAD;
        let Ok(response) = self.service.clone().oneshot(asked.map(Full::new)).await;
        let (parts, body) = response.into_parts();
        let body = if is_head {
            Bytes::new()
        } else {
            match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
                Ok(whole) => whole.to_bytes(),
                Err(error) if error.is::<LengthLimitError>() => return Made::TooMuch,
                Err(error) => return Made::Answer(broke_off(&error)),
            }
        };
        answer(&parts, &body).map_or(Made::TooMuch, Made::Answer)
    }
}

fn broke_off(error: &dyn Display) -> Value {
    error!(%error, "an answer broke off");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "something broke on the server; its log says what",
        None,
    )
}

/// The same question for half as many uploads, where it asks for a list of more than one.
fn with_half_the_limit(method: &Method, uri: &Uri) -> Option<Uri> {
    if *method != Method::GET || uri.path() != "/api/uploads" {
        return None;
    }
    let pairs = || uri.query().unwrap_or_default().split('&');
    let limit = pairs().find_map(|pair| pair.strip_prefix("limit="));
    let limit = match limit {
        Some(limit) => limit.parse().ok()?,
        None => PAGE_DEFAULT,
    };
    let half = limit / 2;
    if half == 0 {
        return None;
    }
    let mut query = format!("limit={half}");
    for pair in pairs().filter(|pair| !pair.is_empty() && !pair.starts_with("limit=")) {
        query = format!("{query}&{pair}");
    }
    let path = PathAndQuery::try_from(format!("{}?{query}", uri.path())).ok()?;
    Some(Uri::from(path))
}

/// Serves invocations until Lambda ends the environment.
pub async fn run<S, B>(serving: Serving<S>) -> Result<(), Broken>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let serve = service_fn(move |event: LambdaEvent<Value>| {
        let serving = serving.clone();
        async move {
            let answer = serving.handle(&event.payload, deadline(&event)).await?;
            Ok::<_, lambda_runtime::Error>(answer)
        }
    });
    lambda_runtime::run(serve)
        .await
        .map_err(|error| Broken::Runtime(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde_json::json;
    use tower::service_fn;

    use super::*;

    fn event(path: &str, query: &str) -> Value {
        json!({
            "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": {},
            "requestContext": {"http": {"method": "GET"}, "stage": "$default"},
        })
    }

    async fn ask(path: &str, query: &str, in_s: u64, each_bytes: usize) -> Value {
        let service = service_fn(move |request: Request<Full<Bytes>>| async move {
            if request.uri().path() == "/slow" {
                std::future::pending::<()>().await;
            }
            let query = request.uri().query().unwrap_or_default();
            let limit = query.split('&').find_map(|it| it.strip_prefix("limit="));
            let limit: usize = limit.map_or(100, |it| it.parse().unwrap());
            let mut body = query.as_bytes().to_vec();
            body.resize(limit * each_bytes, b' ');
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
        });
        let serving = Serving::new(service, Signing::Iam, None);
        let deadline = SystemClock.now().after(Duration::from_secs(in_s));
        serving.handle(&event(path, query), deadline).await.unwrap()
    }

    #[tokio::test]
    async fn a_page_that_is_too_large_is_asked_for_again_with_fewer_uploads() {
        let answer = ask("/api/uploads", "q=a%20b&limit=1000&after=x", 30, 20_000).await;
        let body = answer["body"].as_str().unwrap();
        assert!(body.starts_with("limit=250&q=a%20b&after=x"), "{body:.40}");
        let answer = ask("/api/uploads", "", 30, 100_000).await;
        assert!(answer["body"].as_str().unwrap().starts_with("limit=50"));
        // What even one upload does not fit into, and what is no list, is refused in words.
        for (path, query) in [("/api/uploads", "limit=1"), ("/api/other", "")] {
            let answer = ask(path, query, 30, 7_000_000).await;
            assert_eq!(answer["statusCode"], 400);
            assert!(answer["body"].as_str().unwrap().contains("ask for less"));
        }
    }

    #[tokio::test]
    async fn a_call_that_takes_too_long_is_answered_before_the_deadline() {
        let answer = ask("/slow", "", 1, 1).await;
        assert_eq!(
            (&answer["statusCode"], &answer["headers"]["retry-after"]),
            (&json!(503), &json!("5"))
        );
    }
}
