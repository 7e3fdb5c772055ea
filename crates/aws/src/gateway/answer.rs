//! An answer as the gateway takes it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, TRANSFER_ENCODING,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Map, Value, json};

/// The most bytes of an answer's JSON: Lambda carries 6 MB (Lambda quotas, "Invocation payload"), and a function that
/// answers more has failed.
pub(super) const ANSWER_BYTES_MAX: usize = 6_000_000;
/// A byte of a body becomes at most so many in JSON: `\u0000`.
const INFLATION_MAX: usize = 6;
/// Room for the head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Headers that the gateway writes itself: of what it sends, which need not be what it was given.
const OF_THE_CONNECTION: [HeaderName; 3] = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION];

/// The answer in JSON; none where it is more than Lambda carries.
pub(super) fn answer(parts: &Parts, body: &Bytes) -> Option<Value> {
    let (body_text, is_base64) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64.encode(body), true),
    };
    let (headers, cookies) = headers(&parts.headers);
    let answer = json!({
        "statusCode": parts.status.as_u16(),
        "headers": headers,
        "cookies": cookies,
        "body": body_text,
        "isBase64Encoded": is_base64,
    });
    let is_small = body.len() <= (ANSWER_BYTES_MAX - HEAD_BYTES_MAX) / INFLATION_MAX;
    let fits =
        is_small || serde_json::to_vec(&answer).is_ok_and(|json| json.len() <= ANSWER_BYTES_MAX);
    fits.then_some(answer)
}

/// A header that is there more than once becomes one (RFC 9110, section 5.3), but for cookies, which have a field.
fn headers(all: &HeaderMap) -> (Map<String, Value>, Vec<String>) {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers = Map::new();
    for name in all.keys() {
        if *name == SET_COOKIE || OF_THE_CONNECTION.contains(name) {
            continue;
        }
        let values: Vec<String> = all.get_all(name).iter().map(text).collect();
        headers.insert(name.to_string(), values.join(", ").into());
    }
    (headers, all.get_all(SET_COOKIE).iter().map(text).collect())
}

/// An answer of the function's own, in problem JSON (RFC 9457).
pub(super) fn problem(status: StatusCode, detail: &str, retry_after: Option<Duration>) -> Value {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({
        "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail,
    });
    let mut headers = json!({
        (CONTENT_TYPE.as_str()): "application/problem+json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    });
    if let Some(wait) = retry_after {
        headers[RETRY_AFTER.as_str()] = wait.as_secs().to_string().into();
    }
    json!({
        "statusCode": status.as_u16(),
        "headers": headers,
        "cookies": [],
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn of(response: http::response::Builder, body: &'static [u8]) -> Value {
        let (parts, ()) = response.body(()).unwrap().into_parts();
        answer(&parts, &Bytes::from_static(body)).unwrap()
    }

    #[test]
    fn text_stays_text_and_other_bytes_become_base64() {
        let text = of(Response::builder().status(201), "ü".as_bytes());
        assert_eq!(
            (&text["body"], &text["isBase64Encoded"]),
            (&json!("ü"), &json!(false))
        );
        assert_eq!(text["statusCode"], 201);
        let bytes = of(Response::builder(), &[0, 255]);
        assert_eq!(
            (&bytes["body"], &bytes["isBase64Encoded"]),
            (&json!("AP8="), &json!(true))
        );
    }

    #[test]
    fn repeated_headers_are_joined_and_cookies_are_not() {
        let response = Response::builder()
            .header("vary", "Origin")
            .header("vary", "Accept")
            .header("set-cookie", "a=1; Path=/")
            .header("set-cookie", "b=2")
            .header("content-length", "17");
        let answer = of(response, b"");
        assert_eq!(answer["headers"], json!({"vary": "Origin, Accept"}));
        assert_eq!(answer["cookies"], json!(["a=1; Path=/", "b=2"]));
    }

    #[test]
    fn what_lambda_does_not_carry_is_no_answer() {
        let (parts, ()) = Response::builder().body(()).unwrap().into_parts();
        let carried = |body: Vec<u8>| answer(&parts, &Bytes::from(body)).is_some();
        assert!(carried(vec![b'a'; 5_900_000]));
        assert!(!carried(vec![b'a'; 6_000_000]));
        // Each of them is two bytes in JSON.
        assert!(!carried(vec![b'"'; 3_000_000]));
        assert!(!carried(vec![255; 5_000_000]));
    }
}
