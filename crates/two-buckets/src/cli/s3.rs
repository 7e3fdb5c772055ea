//! Requests to the server's S3 endpoint.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::mpsc;

use super::api::{Api, SentBody};
use crate::failure::Failure;

/// The largest answer read; what we ask for is answered by short documents.
const ANSWER_SIZE_BYTES_MAX: usize = 1 << 20;
/// How often a request is sent when the server says that it wrote nothing and is busy (S3: 503 `SlowDown`).
const ATTEMPTS_MAX: u32 = 5;
/// The first wait before sending again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest time without progress before a request is given up.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// An answer that says yes.
pub(super) struct Sent {
    headers: HeaderMap,
    body: Bytes,
}

impl Sent {
    /// A header's value, if it is there and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where a completion carries the object's tag in its document, puts it where a PUT has it.
    pub(super) fn take_tag_from_body(&mut self) {
        if let Some(tag) = self.element("ETag").and_then(|tag| tag.parse().ok()) {
            self.headers.insert(http::header::ETAG, tag);
        }
    }

    /// The text of the first element of this name.
    pub(super) fn element(&self, name: &str) -> Option<String> {
        element(&self.body, name)
    }
}

/// Sends a request, again if the server was busy, and gives its answer if that says yes.
/// `sent` hears of the bytes handed to the connection, and never of more than the body has.
pub(super) async fn send(
    api: &Api,
    sent: &(dyn Fn(u64) + Sync),
    request: impl Fn(mpsc::UnboundedSender<u64>) -> Result<Request<SentBody>, http::Error>,
) -> Result<Sent, Failure> {
    let mut pause = FIRST_PAUSE;
    let mut counted = 0;
    for attempt in 1.. {
        let (progress, mut pieces) = mpsc::unbounded_channel();
        let request = request(progress)
            .map_err(|error| Failure::failed(format!("the request cannot be built: {error}")))?;
        let answer = answer(api, request);
        tokio::pin!(answer);
        let mut this_time = 0;
        let (status, headers, body) = loop {
            tokio::select! {
                answer = &mut answer => break answer?,
                Some(bytes) = pieces.recv() => {
                    this_time += bytes;
                    if this_time > counted {
                        sent(this_time - counted);
                        counted = this_time;
                    }
                }
                () = tokio::time::sleep(STALL_TIMEOUT) => {
                    return Err(Failure::failed(format!(
                        "nothing moved for {} s, so it was given up",
                        STALL_TIMEOUT.as_secs()
                    )));
                }
            }
        };
        // A completion may answer 200 and carry its failure in the body (S3 API, CompleteMultipartUpload).
        let code = element(&body, "Code");
        if status.is_success() && code.is_none() {
            return Ok(Sent { headers, body });
        }
        let is_busy = status == StatusCode::SERVICE_UNAVAILABLE
            || code
                .as_deref()
                .is_some_and(|code| matches!(code, "SlowDown" | "ServiceUnavailable"));
        if !is_busy || attempt == ATTEMPTS_MAX {
            return Err(Failure::failed(refusal(status, &body)));
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    unreachable!("the loop ends by its attempts")
}

async fn answer(
    api: &Api,
    request: Request<SentBody>,
) -> Result<(StatusCode, HeaderMap, Bytes), Failure> {
    let (head, body) = api
        .http
        .request(request)
        .await
        .map_err(|error| api.unreachable(&error))?
        .into_parts();
    let body = Limited::new(body, ANSWER_SIZE_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| Failure::failed(format!("the answer of S3 broke off: {error}")))?;
    Ok((head.status, head.headers, body.to_bytes()))
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    match (element(body, "Code"), element(body, "Message")) {
        (Some(code), Some(message)) => format!("S3 refuses: {message} ({code})"),
        _ => format!("S3 refuses: {status}"),
    }
}

/// The text of the first element of this name in a document of S3's, which has no attributes on those we ask for.
fn element(document: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(document).ok()?;
    let (_, behind) = text.split_once(&format!("<{name}>"))?;
    let (inside, _) = behind.split_once(&format!("</{name}>"))?;
    let mut plain = inside.to_owned();
    // The ampersand last, or a text that had been `&lt;` itself would be read twice.
    for (escaped, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(escaped, character);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::element;

    #[test]
    fn the_text_of_an_element_is_unescaped_once() {
        let document =
            b"<Error><Code>NoSuchKey</Code><Message>a &amp;lt; &quot;b&quot;</Message></Error>";
        assert_eq!(element(document, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(
            element(document, "Message").as_deref(),
            Some("a &lt; \"b\"")
        );
        assert_eq!(element(document, "UploadId"), None);
    }
}
