//! The errors that runtimes report: `{"errorType", "errorMessage", "stackTrace"}` in the body, or in trailers after a
//! streamed response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::Value;

use crate::failure::Failure;

const ERROR_TYPE: &str = "Lambda-Runtime-Function-Error-Type";
const ERROR_BODY: &str = "Lambda-Runtime-Function-Error-Body";
const RESPONSE_MODE: &str = "Lambda-Runtime-Function-Response-Mode";

/// What is kept of each part of an error; a stack of a deep recursion is long.
const TYPE_BYTES_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
const TRACE_LINES_MAX: usize = 200;
const LINE_BYTES_MAX: usize = 4 * 1024;

/// An error as `/error` and `/init/error` get it. The body's type counts for more than the header's, which most runtimes
/// fill with `Unhandled`; a body that is no such JSON is itself the message.
pub(crate) fn reported(headers: &HeaderMap, body: &[u8]) -> Failure {
    let header = headers
        .get(ERROR_TYPE)
        .map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    let said: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |name: &str| said.get(name).map(words).filter(|it| !it.is_empty());
    let error_type = text("errorType")
        .or(header.filter(|it| !it.is_empty()))
        .unwrap_or_else(|| "Unhandled".to_owned());
    let message = match &said {
        Value::Object(_) => text("errorMessage").unwrap_or_default(),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let trace = match said.get("stackTrace").or_else(|| said.get("trace")) {
        Some(Value::Array(lines)) => lines
            .iter()
            .take(TRACE_LINES_MAX)
            .map(|line| cut(words(line).trim_end().to_owned(), LINE_BYTES_MAX))
            .collect(),
        Some(Value::String(lines)) => lines
            .lines()
            .take(TRACE_LINES_MAX)
            .map(|line| cut(line.to_owned(), LINE_BYTES_MAX))
            .collect(),
        _ => Vec::new(),
    };
    Failure::Function {
        error_type: cut(error_type, TYPE_BYTES_MAX),
        message: cut(message, MESSAGE_BYTES_MAX),
        trace,
    }
}

/// The error that ends a streamed response, if one does: as HTTP trailers, which the API describes and Node's runtime
/// sends, or, as Rust's `lambda_runtime` 1 sends it, as text in the shape of trailers at the end of the body.
pub(crate) fn at_the_end(
    headers: &HeaderMap,
    trailers: &HeaderMap,
    body: &[u8],
) -> Option<Failure> {
    let is_streamed = headers
        .get(RESPONSE_MODE)
        .is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"streaming"));
    if !is_streamed {
        return None;
    }
    if trailers.contains_key(ERROR_TYPE) || trailers.contains_key(ERROR_BODY) {
        let said = trailers.get(ERROR_BODY).map(|it| decoded(it.as_bytes()));
        return Some(reported(trailers, &said.unwrap_or_default()));
    }
    let end = &body[body.len().saturating_sub(MESSAGE_BYTES_MAX)..];
    let starts = find_last(end, format!("{ERROR_TYPE}: ").as_bytes())?;
    let text = std::str::from_utf8(&end[starts..]).ok()?;
    let (type_line, rest) = text.strip_suffix("\r\n")?.split_once("\r\n")?;
    let error_type = type_line.strip_prefix(&format!("{ERROR_TYPE}: "))?;
    let said = rest.strip_prefix(&format!("{ERROR_BODY}: "))?;
    if said.contains("\r\n") {
        return None;
    }
    let mut as_trailers = HeaderMap::new();
    as_trailers.insert(ERROR_TYPE, error_type.parse().ok()?);
    Some(reported(&as_trailers, &decoded(said.as_bytes())))
}

/// An error's body in a trailer is base64.
fn decoded(text: &[u8]) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_else(|_| text.to_vec())
}

fn find_last(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).rposition(|it| it == wanted)
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}
