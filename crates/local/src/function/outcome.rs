//! What an invocation's end means for the upload.

use two_buckets_events::answer::{self, is_among, kept};
use two_buckets_lambda_host::Failure;
use two_buckets_pipeline::{ProcessError, Report};

/// What the function returned, as the report that is kept.
pub(super) fn report(payload: &[u8]) -> Report {
    Report::new(kept(payload, Report::BYTES_MAX)).unwrap_or_default()
}

/// What a failed invocation means. An error that the function itself reports, its time-out and what goes wrong around it
/// may pass; it is tried again after a pause. A runtime that died left no answer: a crash.
pub(super) fn failure(failure: &Failure, permanent_errors: &[String]) -> ProcessError {
    let reason = failure.to_string();
    match failure {
        Failure::Function { error_type, .. } if is_among(error_type, permanent_errors) => {
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

/// The uploads that a function names as failed of a batch, by their version ids. The error is what Lambda makes of a list
/// it cannot read: all have failed.
pub(super) fn named_failures(payload: &[u8]) -> Result<Option<Vec<String>>, ProcessError> {
    answer::named_failures(payload).map_err(ProcessError::transient)
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
