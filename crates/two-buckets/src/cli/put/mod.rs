//! `put`: uploads files, small ones by a signed URL in one piece, large ones in parts over S3.
//!
//! Every upload carries a checksum that the server compares with what arrives, and what the server says it has is
//! compared with the file again. An upload in parts that breaks off is gone on with by the next run.

mod accepted;
mod bars;
mod content;
mod crc64;
mod in_parts;
mod multipart;
mod part_size;
mod report;
mod resume;
mod single;
mod source;
mod stream;
mod there;
mod wait;
mod walk;

use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::Semaphore;
use two_buckets_s3_api::Credentials;

use super::api::Api;
use super::env::root_key_of;
use super::meaning::Put;
use super::patience::Patience;
use super::print;
use super::s3::{Heard, Signing, Staging};
use super::trouble::Trouble;
use crate::config::{Environment, Settings};
use crate::failure::Failure;
use accepted::Accepted;
use bars::Bars;
use report::Done;
use source::{Destination, Input};
use walk::Found;

/// Files above this go in parts: a broken connection then costs one part. As the page has it.
const SINGLE_SIZE_BYTES_MAX: u64 = 16 << 20;
/// How many files may be waited for beside those that are sent.
const WAITING_MAX: usize = 32;

/// What uploads work with.
struct Uploader<'a> {
    api: &'a Api,
    /// Who signs what goes in parts.
    signing: Signing,
    patience: Patience,
    bars: Bars,
    media_type: Option<String>,
    resume: bool,
}

/// Uploads the files. Those that fail do not stop the others; the exit code tells.
pub(super) async fn run(
    put: Put,
    settings: &Settings,
    environment: &Environment,
) -> Result<(), Failure> {
    // Everything is looked at before the first byte goes out, so that a misspelt name uploads nothing.
    let found = walk::look(&put);
    if !found.problems.is_empty() {
        let problems: Vec<_> = found.problems.iter().map(|p| print::harmless(p)).collect();
        return Err(Failure::usage(listed(
            "nothing was uploaded: ",
            "nothing was uploaded:",
            &problems,
        )));
    }
    let api = Api::find(settings).await?;
    // Where nobody answers the first time, there is no server to wait for.
    api.get("/api/server").await?;
    let signing = signing(&api, settings, environment);
    let bars = Bars::new(put.output, found.inputs.len(), total(&found));
    let uploader = Uploader {
        api: &api,
        signing,
        patience: Patience::new(put.retry_for, bars.total()),
        bars,
        media_type: put.media_type.clone(),
        resume: put.resume,
    };
    if found.links > 0 {
        uploader.bars.line(&format!(
            "{} in folders not followed",
            match found.links {
                1 => "1 symbolic link was".to_owned(),
                n => format!("{n} symbolic links were"),
            }
        ));
    }
    tokio::select! {
        ended = uploader.send_all(&put, &found) => ended,
        _ = tokio::signal::ctrl_c() => {
            uploader.bars.clear();
            Err(Failure::interrupted(if put.resume {
                "stopped; files that were under way in parts go on from there when they are sent again"
            } else {
                "stopped"
            }))
        }
    }
}

/// The root key pair signs, unless the server took it from its environment and it is not in ours.
fn signing(api: &Api, settings: &Settings, environment: &Environment) -> Signing {
    match api.server() {
        Some(server) => {
            let root = root_key_of(&server.record().access_key_id, settings, environment);
            root.map_or(Signing::Granted, |key| {
                Signing::Root(Credentials {
                    access_key_id: key.access_key_id,
                    secret_access_key: key.secret_access_key,
                })
            })
        }
        #[cfg(feature = "aws")]
        None => Signing::Operator,
        #[cfg(not(feature = "aws"))]
        None => Signing::Granted,
    }
}

fn total(found: &Found) -> Option<u64> {
    found
        .inputs
        .iter()
        .map(|input| match input {
            Input::File(source) => Some(source.size_bytes()),
            Input::Stream(_) => None,
        })
        .sum()
}

impl Uploader<'_> {
    async fn send_all(&self, put: &Put, found: &Found) -> Result<(), Failure> {
        // Waiting for a file to be archived keeps no other from being sent.
        let senders = Semaphore::new(put.parallel);
        let mut results = futures::stream::iter(found.inputs.iter().enumerate())
            .map(|(n, input)| {
                let senders = &senders;
                async move { (n, input, self.handle(input, put, senders).await) }
            })
            .buffer_unordered(put.parallel + if put.wait { WAITING_MAX } else { 0 });
        let mut done = Vec::new();
        let mut failures = Vec::new();
        for (file, why) in &found.left_out {
            report::failed(put.output, file, why)?;
            failures.push((0, print::harmless(&format!("{file}: {why}"))));
        }
        while let Some((n, input, result)) = results.next().await {
            let file = input.shown();
            match result {
                Ok((accepted, ended)) => {
                    if ended.is_failure() {
                        failures.push((
                            n,
                            format!(
                                "{} was not archived: {}",
                                print::harmless(&file),
                                print::harmless(
                                    ended.reason.as_deref().unwrap_or("no reason was recorded")
                                )
                            ),
                        ));
                    }
                    let this = Done {
                        file,
                        accepted,
                        ended,
                    };
                    report::done(put.output, &this)?;
                    done.push((n, this));
                }
                Err(trouble) => {
                    let why = Failure::from(trouble).to_string();
                    report::failed(put.output, &file, &why)?;
                    failures.push((n, print::harmless(&format!("{file}: {why}"))));
                }
            }
        }
        self.bars.end();
        done.sort_by_key(|(n, _)| *n);
        failures.sort_by_key(|(n, _)| *n);
        let done: Vec<_> = done.into_iter().map(|(_, done)| done).collect();
        let failures: Vec<_> = failures.into_iter().map(|(_, failure)| failure).collect();
        report::all(put.output, &done)?;
        if failures.is_empty() {
            return Ok(());
        }
        let all = found.inputs.len() + found.left_out.len();
        Err(Failure::failed(listed(
            "",
            &format!(
                "{} of {all} were not uploaded or not archived:",
                failures.len()
            ),
            &failures,
        )))
    }

    async fn handle(
        &self,
        input: &Input,
        put: &Put,
        senders: &Semaphore,
    ) -> Result<(Accepted, wait::Ended), Trouble> {
        let sending = senders
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let accepted = Box::pin(self.upload(input)).await?;
        drop(sending);
        let ended = if put.wait {
            wait::until_finished(self.api, &self.patience, &accepted).await?
        } else {
            wait::Ended::accepted()
        };
        Ok((accepted, ended))
    }

    async fn upload(&self, input: &Input) -> Result<Accepted, Trouble> {
        match input {
            Input::Stream(destination) => {
                let bar = self.bars.file("-", false, 0);
                stream::upload(self, destination, &bar).await
            }
            Input::File(source) if source.size_bytes() > SINGLE_SIZE_BYTES_MAX => {
                let bar = self.bars.file(&input.shown(), true, source.size_bytes());
                in_parts::upload(self, source, &bar).await
            }
            Input::File(source) => {
                let bar = self.bars.file(&input.shown(), false, source.size_bytes());
                let content = source.content(0, source.size_bytes());
                let tell = |bytes| bar.sent(bytes);
                single::upload(self, &source.destination, &content, &Heard::new(&tell)).await
            }
        }
    }

    /// What the API is asked to sign.
    fn wanted(&self, destination: &Destination) -> serde_json::Value {
        let mut wanted = place(destination);
        if let Some(media_type) = &self.media_type {
            wanted["type"] = json!(media_type);
        }
        wanted
    }

    /// The way to send in parts to there. The API chooses and checks the key, as for small files.
    async fn staging(&self, destination: &Destination) -> Result<Staging<'_>, Trouble> {
        Staging::open(self.api, &self.patience, &self.signing, &place(destination)).await
    }
}

/// Where a file goes, as the API is told: a key of the user's choice, or a name to mint a key from.
fn place(destination: &Destination) -> serde_json::Value {
    match destination {
        Destination::Minted(name) => json!({"filename": name}),
        Destination::Key(key) => json!({"key": key}),
    }
}

/// One thing behind a few words, or each on a line of its own.
fn listed(before_one: &str, before_many: &str, problems: &[String]) -> String {
    match problems {
        [only] => format!("{before_one}{only}"),
        many => format!("{before_many}\n  {}", many.join("\n  ")),
    }
}
