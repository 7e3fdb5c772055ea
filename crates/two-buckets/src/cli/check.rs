//! `config check`: which route takes a file, and why not another.

use serde_json::json;
use two_buckets_objects::Key;

use super::meaning::Output;
use super::print;
use crate::config::{DEFAULT, Settings};
use crate::failure::Failure;
use crate::route::rule::Facts;

/// The file that is asked about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Its key.
    pub(crate) key: Key,
    /// Its media type, as an uploader would name it.
    pub(crate) media_type: Option<String>,
    /// Its size in bytes.
    pub(crate) size_bytes: u64,
    /// How to print.
    pub(crate) output: Output,
}

/// Prints what each route says of the file, up to the one that takes it.
pub(super) fn run(check: &Check, settings: &Settings) -> Result<(), Failure> {
    let file = Facts {
        key: check.key.as_str(),
        media_type: check.media_type.as_deref(),
        size_bytes: check.size_bytes,
    };
    let mut asked = Vec::new();
    let mut taken = None;
    for route in &settings.routes.routes {
        match route.rule.check(file) {
            Ok(()) => {
                taken = Some(route);
                break;
            }
            Err(mismatch) => asked.push((route.name.as_str(), mismatch.to_string())),
        }
    }
    let processor = taken.map_or(DEFAULT, |route| route.processor.as_str());
    let from_bytes = settings.job.from_bytes.value;
    let is_large = from_bytes.is_some_and(|least| check.size_bytes >= least);
    let is_job = is_large || taken.is_some_and(|route| route.is_job);
    match check.output {
        Output::Program => {
            let passed: Vec<_> = asked
                .iter()
                .map(|(route, why)| json!({"route": route, "why_not": why}))
                .collect();
            print::json(&json!({
                "key": check.key.as_str(),
                "route": taken.map(|route| &route.name),
                "processor": processor,
                "job": is_job,
                "passed_by": passed,
            }))
        }
        Output::Person => {
            let mut lines: Vec<String> = asked
                .iter()
                .map(|(route, why)| format!("{route}: no, {why}"))
                .collect();
            lines.push(match taken {
                Some(route) => format!("{}: yes, it goes to {processor}", route.name),
                None => "no route takes it; it goes to the default".to_owned(),
            });
            if is_job {
                lines.push(match from_bytes.filter(|_| is_large) {
                    Some(least) => format!("it is a job, as it has at least {least} bytes"),
                    None => "it is a job, as its route says".to_owned(),
                });
            }
            let lines: Vec<String> = lines.iter().map(|line| print::harmless(line)).collect();
            print::text(&format!("{}\n", lines.join("\n")))
        }
    }
}
