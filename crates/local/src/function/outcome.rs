//! What an invocation's end means for the upload.

use serde_json::{Value, json};
use two_buckets_lambda_host::Failure;
use two_buckets_pipeline::{ProcessError, Report};

/// What the function returned, as the report that is kept. What is no JSON is kept as text, and what is too long by its
/// size only: the file is archived in any case, because the function succeeded.
pub(super) fn report(payload: &[u8]) -> Report {
    let text = match serde_json::from_slice::<Value>(payload) {
        Ok(Value::Null) => return Report::default(),
        Ok(Value::Object(_)) => String::from_utf8_lossy(payload).into_owned(),
        Ok(returned) => json!({ "returned": returned }).to_string(),
        Err(_) => json!({ "returned": String::from_utf8_lossy(payload) }).to_string(),
    };
    Report::new(text).unwrap_or_else(|_| {
        let note = format!(
            "the function returned {} bytes; at most {} are kept",
            payload.len(),
            Report::BYTES_MAX
        );
        Report::new(json!({ "note": note }).to_string()).unwrap_or_default()
    })
}

/// What a failed invocation means. An error that the function itself reports, its time-out and what goes wrong around it
/// may pass; it is tried again after a pause. A runtime that died left no answer: a crash.
pub(super) fn failure(failure: &Failure, permanent_errors: &[String]) -> ProcessError {
    let reason = failure.to_string();
    match failure {
        Failure::Function { error_type, .. } if is_permanent(error_type, permanent_errors) => {
            ProcessError::Permanent(reason)
        }
        // The same file makes the same event and, as a rule, the same answer.
        Failure::PayloadTooLarge { .. } | Failure::ResponseTooLarge => {
            ProcessError::Permanent(reason)
        }
        Failure::Exited { .. } => ProcessError::Crashed(reason),
        _ => ProcessError::Transient(reason),
    }
}

/// Says whether an error type is among those named; a name without a module means it in any.
fn is_permanent(error_type: &str, permanent_errors: &[String]) -> bool {
    permanent_errors.iter().any(|named| {
        error_type == named
            || error_type
                .strip_suffix(named.as_str())
                .is_some_and(|module| module.ends_with(['.', ':']))
    })
}

/// The uploads that a function names as failed of a batch, by their version ids:
/// `{"batchItemFailures": [{"itemIdentifier": "..."}]}`, as functions for queues answer. None if it says nothing of them.
/// The error is what Lambda makes of a list it cannot read: all have failed.
pub(super) fn named_failures(payload: &[u8]) -> Result<Option<Vec<String>>, ProcessError> {
    let Ok(Value::Object(answer)) = serde_json::from_slice::<Value>(payload) else {
        return Ok(None);
    };
    let Some(failures) = answer.get("batchItemFailures") else {
        return Ok(None);
    };
    let unreadable = || {
        ProcessError::Transient(
            "the function's batchItemFailures is no list of {\"itemIdentifier\": version id}"
                .to_owned(),
        )
    };
    failures
        .as_array()
        .ok_or_else(unreadable)?
        .iter()
        .map(|failure| {
            failure["itemIdentifier"]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(unreadable)
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Why a function of this name does not start, with the last line that it wrote where the failure itself says little.
pub(super) fn why_not_started(name: &str, failure: &Failure) -> String {
    match failure {
        Failure::Init { cause, output } => {
            let said = String::from_utf8_lossy(output);
            let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
            let last = last.filter(|_| !matches!(**cause, Failure::Function { .. }));
            let last = last.map_or_else(String::new, |last| format!(": {last}"));
            format!("the function {name} does not start: {cause}{last}")
        }
        other => format!("the function {name} does not start: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_an_object_whatever_was_returned() {
        for (payload, kept) in [
            (&b"{\"a\":1}"[..], "{\"a\":1}"),
            (b"null", ""),
            (b"\"done\"", "{\"returned\":\"done\"}"),
            (b"[1]", "{\"returned\":[1]}"),
            (b"no json", "{\"returned\":\"no json\"}"),
            (b"", "{\"returned\":\"\"}"),
        ] {
            assert_eq!(report(payload).as_str(), kept);
        }
        let long = format!("\"{}\"", "x".repeat(Report::BYTES_MAX));
        assert!(report(long.as_bytes()).as_str().contains("at most 65536"));
    }

    #[test]
    fn a_permanent_error_is_named_with_or_without_its_module() {
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
            assert_eq!(is_permanent(error_type, &named), is, "{error_type}");
        }
    }

    #[test]
    fn failures_of_a_batch_are_read_strictly() {
        assert_eq!(named_failures(b"{\"ok\":1}").unwrap(), None);
        assert_eq!(named_failures(b"null").unwrap(), None);
        assert_eq!(
            named_failures(b"{\"batchItemFailures\":[]}").unwrap(),
            Some(vec![])
        );
        assert_eq!(
            named_failures(b"{\"batchItemFailures\":[{\"itemIdentifier\":\"v1\"}]}").unwrap(),
            Some(vec!["v1".to_owned()])
        );
        for bad in [
            &b"{\"batchItemFailures\":{}}"[..],
            b"{\"batchItemFailures\":[1]}",
            b"{\"batchItemFailures\":[{\"itemIdentifier\":null}]}",
        ] {
            named_failures(bad).unwrap_err();
        }
    }
}
