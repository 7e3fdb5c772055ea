//! What functions answer, by the same rules on every host.

use serde_json::{Value, json};

/// What a function returned, as the JSON text that is kept of it; empty if it had nothing to say (`null`).
///
/// An object is kept as it is; what is none, or no JSON at all, as `{"returned": …}`. Of what would be longer than
/// `bytes_max` only the size is kept: the function succeeded, so its file is archived in any case.
pub fn kept(payload: &[u8], bytes_max: usize) -> String {
    let text = match serde_json::from_slice::<Value>(payload) {
        Ok(Value::Null) => return String::new(),
        Ok(Value::Object(_)) => String::from_utf8_lossy(payload).into_owned(),
        Ok(returned) => json!({ "returned": returned }).to_string(),
        Err(_) => json!({ "returned": String::from_utf8_lossy(payload) }).to_string(),
    };
    if text.len() <= bytes_max {
        return text;
    }
    let bytes = payload.len();
    let note = format!("the function returned {bytes} bytes; at most {bytes_max} are kept");
    json!({ "note": note }).to_string()
}

/// Says whether an error type is among those named; a name without a module means it in any.
pub fn is_among(error_type: &str, named: &[String]) -> bool {
    named.iter().any(|named| {
        error_type == named
            || error_type
                .strip_suffix(named.as_str())
                .is_some_and(|module| module.ends_with(['.', ':']))
    })
}

/// A list of failures that is none. Lambda takes all for failed then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the function's batchItemFailures is no list of {{\"itemIdentifier\": version id}}")]
pub struct NoFailures;

/// The uploads that a function names as failed of those it was told of, by their version ids:
/// `{"batchItemFailures": [{"itemIdentifier": "..."}]}`, as functions for queues answer. None if it says nothing of
/// them. Whether they are its own is for whoever knows what it was told of.
pub fn named_failures(payload: &[u8]) -> Result<Option<Vec<String>>, NoFailures> {
    let Ok(Value::Object(answer)) = serde_json::from_slice::<Value>(payload) else {
        return Ok(None);
    };
    let Some(failures) = answer.get("batchItemFailures") else {
        return Ok(None);
    };
    failures
        .as_array()
        .ok_or(NoFailures)?
        .iter()
        .map(|failure| {
            failure["itemIdentifier"]
                .as_str()
                .map(str::to_owned)
                .ok_or(NoFailures)
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_an_object_whatever_was_returned() {
        for (payload, text) in [
            (&b"{\"a\":1}"[..], "{\"a\":1}"),
            (b"null", ""),
            (b"\"done\"", "{\"returned\":\"done\"}"),
            (b"[1]", "{\"returned\":[1]}"),
            (b"no json", "{\"returned\":\"no json\"}"),
            (b"", "{\"returned\":\"\"}"),
        ] {
            assert_eq!(kept(payload, 64), text);
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(65_536));
        let note = kept(long.as_bytes(), 65_536);
        assert!(note.contains("65544 bytes; at most 65536"), "{note}");
    }

    #[test]
    fn an_error_type_is_named_with_or_without_its_module() {
        let named = ["ValueError".to_owned(), "my.Broken".to_owned()];
        for (error_type, is) in [
            ("ValueError", true),
            ("json.decoder.ValueError", true),
            ("Runtime::ValueError", true),
            ("MyValueError", false),
            ("my.Broken", true),
            ("your.my.Broken", true),
            ("Broken", false),
        ] {
            assert_eq!(is_among(error_type, &named), is, "{error_type}");
        }
    }

    #[test]
    fn named_failures_are_read_strictly() {
        assert_eq!(named_failures(b"{\"ok\":1}"), Ok(None));
        assert_eq!(named_failures(b"null"), Ok(None));
        assert_eq!(
            named_failures(b"{\"batchItemFailures\":[]}"),
            Ok(Some(vec![]))
        );
        assert_eq!(
            named_failures(b"{\"batchItemFailures\":[{\"itemIdentifier\":\"v1\"}]}"),
            Ok(Some(vec!["v1".to_owned()]))
        );
        for bad in [
            &b"{\"batchItemFailures\":{}}"[..],
            b"{\"batchItemFailures\":[1]}",
            b"{\"batchItemFailures\":[{\"itemIdentifier\":null}]}",
        ] {
            assert_eq!(named_failures(bad), Err(NoFailures));
        }
    }
}
