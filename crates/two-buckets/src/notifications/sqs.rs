//! A message to a queue: `SendMessage` by SQS's query protocol, which AWS and everything that stands in for it speaks
//! (SQS API, "Making Query API requests").

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::notifications::Waiting;
use two_buckets_s3_api::sign::{self, Service, sha256_hex, sign_headers_for};

use super::http::USER_AGENT;
use crate::cli::xml;
use crate::config::{NotificationTarget, Secret, Sender};

/// The version of the API.
const VERSION: &str = "2012-11-05";
const FORM: &str = "application/x-www-form-urlencoded";

/// A queue and who sends to it.
pub(super) struct Queue<'a> {
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) name: &'a str,
    pub(super) sender: Option<&'a Sender>,
}

/// The request that hands a message over.
pub(super) fn request(
    target: &NotificationTarget,
    queue: &Queue<'_>,
    event: &Waiting,
    now: Timestamp,
) -> Result<Request<Full<Bytes>>, String> {
    let Queue { account, name, .. } = queue;
    let authority = target.url.uri.authority().ok_or("its url has no host")?;
    let sender = queue.sender.ok_or("nobody is named who sends")?;
    let message = std::str::from_utf8(&event.message).map_err(|_| "it is no text")?;
    let queue_url = format!("{}/{account}/{name}", target.url.origin);
    let parameters = [
        ("Action", "SendMessage"),
        ("Version", VERSION),
        ("QueueUrl", &queue_url),
        ("MessageBody", message),
    ];
    let body = parameters
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .join("&");
    let signed = sign::Request {
        method: &Method::POST,
        host: authority.as_str(),
        bucket: Some(account),
        key: Some(name),
        query: &[],
        headers: &[("content-type", FORM)],
    };
    let headers = sign_headers_for(
        Service::Sqs,
        &sender.credentials,
        sender.session_token.as_ref().map(|Secret(token)| &**token),
        queue.region,
        &signed,
        &sha256_hex(body.as_bytes()),
        now,
    );
    let mut request = Request::post(format!("{}{}", target.url.origin, signed.target()))
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, FORM)
        .header(header::USER_AGENT, USER_AGENT);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
        .body(Full::new(body.into()))
        .map_err(|error| error.to_string())
}

/// What an error says: its code and message.
pub(super) fn words(answer: &[u8]) -> String {
    match (
        xml::element(answer, "Code"),
        xml::element(answer, "Message"),
    ) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => String::from_utf8_lossy(answer).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn an_error_is_told_by_its_code_and_message() {
        let error = "<ErrorResponse><Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>\
            <Message>The specified queue does not exist.</Message></Error></ErrorResponse>";
        assert_eq!(
            words(error.as_bytes()),
            "AWS.SimpleQueueService.NonExistentQueue: The specified queue does not exist."
        );
        assert_eq!(words(b"Bad Gateway"), "Bad Gateway");
    }
}
