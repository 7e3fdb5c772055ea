//! One request to a target and what it answers, in bounds.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;

use super::message::Outcome;
use crate::failure::causes;
use crate::tls_client::{self, Connector};

/// How much of an answer is read: enough for an error of SQS.
const ANSWER_BYTES_MAX: usize = 8 << 10;
/// How much of it is shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Sends to all targets. Keeps connections.
pub(super) type Client = HyperClient<Connector, Full<Bytes>>;

/// How we call ourselves.
pub(super) const USER_AGENT: &str = concat!("two-buckets/", env!("CARGO_PKG_VERSION"));

/// A client that trusts the authorities of this machine.
pub(super) fn client() -> Result<Client, String> {
    let connector = tls_client::connector(Box::new(|| None))?;
    Ok(HyperClient::builder(TokioExecutor::new()).build(connector))
}

/// Sends a request, and says what its answer means. `words` makes a sentence of the body of one that says no.
pub(super) async fn send(
    client: &Client,
    request: Request<Full<Bytes>>,
    timeout: Duration,
    words: impl FnOnce(&[u8]) -> String,
) -> Outcome {
    let away = |why: String| Outcome::Away {
        why,
        retry_after: None,
    };
    let asking = async {
        let answer = client
            .request(request)
            .await
            .map_err(|error| causes(&error))?;
        let status = answer.status().as_u16();
        let retry_after = retry_after(answer.headers());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        // What was accepted is, whatever else is said.
        let said = match body {
            Ok(body) if !(200..300).contains(&status) => shown(&words(&body.to_bytes())),
            _ => String::new(),
        };
        Ok::<_, String>(Outcome::of_status(status, &said, retry_after))
    };
    match tokio::time::timeout(timeout, asking).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(reason)) => away(reason),
        Err(_) => away(format!("did not answer within {} s", timeout.as_secs())),
    }
}

/// `Retry-After` in seconds; a date there says nothing that our own waits do not.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// One short line of what a stranger said.
fn shown(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_CHARS_MAX)
        .collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
