//! What `put` prints on standard output: for programs a line of JSON for each file as soon as it is done, for people a
//! table at the end.

use serde_json::json;

use super::accepted::Accepted;
use super::wait::Ended;
use crate::cli::meaning::Output;
use crate::cli::print;
use crate::failure::Failure;

/// A file that was accepted, and where it ended.
pub(super) struct Done {
    /// What people know it by.
    pub(super) file: String,
    pub(super) accepted: Accepted,
    pub(super) ended: Ended,
}

/// Prints a file that is done.
pub(super) fn done(output: Output, done: &Done) -> Result<(), Failure> {
    if output == Output::Person {
        return Ok(());
    }
    let Done {
        file,
        accepted,
        ended,
    } = done;
    let mut line = json!({
        "file": file,
        "key": accepted.key,
        "version_id": accepted.version_id,
        "etag": accepted.etag,
        "size": accepted.size_bytes,
        "checksum": accepted.checksum.as_ref().map(super::accepted::Checksum::json),
        "state": ended.state,
    });
    if ended.is_failure() {
        line["reason"] = json!(ended.reason);
    }
    print::text(&format!("{line}\n"))
}

/// Prints a file that was not accepted, or of which nobody knows where it ended.
pub(super) fn failed(output: Output, file: &str, why: &str) -> Result<(), Failure> {
    match output {
        Output::Person => Ok(()),
        Output::Program => print::text(&format!("{}\n", json!({"file": file, "error": why}))),
    }
}

/// Prints all that is done.
pub(super) fn all(output: Output, done: &[Done]) -> Result<(), Failure> {
    if output == Output::Program || done.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = done
        .iter()
        .map(|done| {
            vec![
                print::harmless(&done.file),
                print::size(done.accepted.size_bytes),
                done.ended.state.clone(),
                print::harmless(&done.accepted.key),
            ]
        })
        .collect();
    print::table(&["FILE", "SIZE", "STATE", "KEY"], &rows)
}
