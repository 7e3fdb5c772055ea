//! `put`: uploads files, small ones by a signed URL in one piece, large ones in parts over S3.

mod multipart;
mod parts;
mod single;
mod source;
mod wait;

use std::path::Path;

use futures::StreamExt as _;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use two_buckets_objects::{Key, OBJECT_SIZE_BYTES_MAX};

use super::api::Api;
use super::env::root_key_of;
use super::meaning::{Naming, Output, Put};
use super::print;
use crate::config::{Environment, Settings};
use crate::failure::Failure;
use crate::root_key::RootKey;
use source::Source;

/// Files above this go in parts: a broken connection then costs one part.
const SINGLE_SIZE_BYTES_MAX: u64 = 32 << 20;

/// A file that was accepted: answered 200, so it is on the server's disk.
struct Accepted {
    key: String,
    version_id: Option<String>,
    etag: String,
}

/// What uploads work with.
struct Uploader<'a> {
    api: &'a Api,
    root_key: Option<RootKey>,
    naming: Naming,
    bars: MultiProgress,
    total: ProgressBar,
}

/// Uploads the files. Those that fail do not stop the others; the exit code tells.
pub(super) async fn run(
    put: Put,
    settings: &Settings,
    environment: &Environment,
) -> Result<(), Failure> {
    // Every file is looked at before the first byte goes out, so that a misspelt name uploads nothing.
    let sources = look(&put)?;
    let api = Api::find(settings)?;
    let total = ProgressBar::new(sources.iter().map(|source| source.size_bytes).sum());
    let bars = MultiProgress::with_draw_target(match put.output {
        Output::Person => ProgressDrawTarget::stderr(),
        Output::Program => ProgressDrawTarget::hidden(),
    });
    let uploader = Uploader {
        root_key: root_key_of(&api.record.access_key_id, settings, environment).ok(),
        api: &api,
        naming: put.naming.clone(),
        total: bars.add(total).with_style(style("total")),
        bars,
    };
    let results: Vec<_> = futures::stream::iter(&sources)
        .map(async |source| (source, uploader.upload(source).await))
        .buffered(put.parallel)
        .collect()
        .await;
    uploader.total.finish_and_clear();
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for (source, result) in results {
        let state = match result {
            Ok(accepted) if put.wait => wait::until_finished(&api, &accepted)
                .await
                .map(|ended| (accepted, ended)),
            Ok(accepted) => Ok((accepted, wait::Ended::accepted())),
            Err(failure) => Err(failure),
        };
        match state {
            Ok((accepted, ended)) => {
                if ended.is_failure() {
                    failures.push(format!(
                        "{} was not archived: {}",
                        source.path.display(),
                        ended.reason()
                    ));
                }
                rows.push((source, accepted, ended));
            }
            Err(failure) => failures.push(format!("{}: {failure}", source.path.display())),
        }
    }
    report(put.output, &rows, &failures)?;
    match failures.as_slice() {
        [] => Ok(()),
        [only] => Err(Failure::failed(only.clone())),
        many => Err(Failure::failed(format!(
            "{} of {} files: {}",
            many.len(),
            sources.len(),
            many.join("; ")
        ))),
    }
}

fn look(put: &Put) -> Result<Vec<Source>, Failure> {
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    for path in &put.files {
        match Source::look_at(path) {
            Ok(source) if source.size_bytes > OBJECT_SIZE_BYTES_MAX => problems.push(format!(
                "{} has {} bytes, the most is {OBJECT_SIZE_BYTES_MAX}",
                path.display(),
                source.size_bytes
            )),
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(problem),
        }
    }
    if let Naming::Prefix(prefix) = &put.naming {
        for source in &sources {
            if let Err(error) = prefixed(prefix, source) {
                problems.push(error);
            }
        }
    }
    if problems.is_empty() {
        Ok(sources)
    } else {
        Err(Failure::usage(format!(
            "nothing was uploaded: {}",
            problems.join("; ")
        )))
    }
}

impl Uploader<'_> {
    async fn upload(&self, source: &Source) -> Result<Accepted, Failure> {
        let bar = if self.total.length() == Some(source.size_bytes) || source.size_bytes == 0 {
            // It would show the same as the total.
            ProgressBar::hidden()
        } else {
            self.bars
                .insert_from_back(1, ProgressBar::new(source.size_bytes))
                .with_style(style(&print::harmless(&source.name)))
        };
        let sent = |bytes: u64| {
            bar.inc(bytes);
            self.total.inc(bytes);
        };
        let result = if source.size_bytes > SINGLE_SIZE_BYTES_MAX {
            multipart::upload(self, source, &sent).await
        } else {
            single::upload(self, source, &sent).await
        };
        bar.finish_and_clear();
        result
    }

    /// What the API is asked to sign: a key of the user's choice, or a name to mint a key from.
    fn wanted(&self, source: &Source) -> Result<serde_json::Value, Failure> {
        Ok(match &self.naming {
            Naming::Minted => json!({"filename": source.name}),
            Naming::Key(key) => json!({"key": key.as_str()}),
            Naming::Prefix(prefix) => {
                let key = prefixed(prefix, source).map_err(Failure::usage)?;
                json!({"key": key.as_str()})
            }
        })
    }
}

fn prefixed(prefix: &str, source: &Source) -> Result<Key, String> {
    format!("{prefix}{}", source.name)
        .parse()
        .map_err(|error| format!("{}: {error}", source.path.display()))
}

fn report(
    output: Output,
    rows: &[(&Source, Accepted, wait::Ended)],
    failures: &[String],
) -> Result<(), Failure> {
    match output {
        Output::Program => {
            let uploaded: Vec<_> = rows
                .iter()
                .map(|(source, accepted, ended)| {
                    json!({
                        "file": shown(&source.path),
                        "key": accepted.key,
                        "version_id": accepted.version_id,
                        "etag": accepted.etag,
                        "size": source.size_bytes,
                        "state": ended.state(),
                    })
                })
                .collect();
            print::json(&json!({"uploaded": uploaded, "failures": failures}))
        }
        Output::Person if rows.is_empty() => Ok(()),
        Output::Person => {
            let rows: Vec<_> = rows
                .iter()
                .map(|(source, accepted, ended)| {
                    vec![
                        print::harmless(&shown(&source.path)),
                        print::size(source.size_bytes),
                        ended.state().to_owned(),
                        print::harmless(&accepted.key),
                    ]
                })
                .collect();
            print::table(&["FILE", "SIZE", "STATE", "KEY"], &rows)
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn style(name: &str) -> ProgressStyle {
    // Braces would be read as fields of the template.
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, '{' | '}'))
        .take(30)
        .collect();
    ProgressStyle::with_template(&format!(
        "{name:<30} {{bar:30}} {{bytes:>11}} of {{total_bytes:<11}} {{bytes_per_sec:>13}} {{eta:>5}}"
    ))
    .unwrap_or_else(|_| ProgressStyle::default_bar())
}
