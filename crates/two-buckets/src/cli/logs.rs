use std::time::Duration;

use serde_json::{Value, json};

use super::absent::no_upload_of;
use super::api::Api;
use super::meaning::{Logs, Named, Output};
use super::print;
use super::status::{encoded, moment};
use super::wire::{self, Attempt, AttemptLog, Upload, read};
use crate::config::Settings;
use crate::failure::Failure;

/// How often a log that is followed is looked at. The server keeps it once a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Shows what the function wrote about an upload.
pub(super) async fn run(logs: &Logs, settings: &Settings) -> Result<(), Failure> {
    let api = Api::find(settings).await?;
    let upload = find(&api, &logs.of).await?;
    if !logs.follow && logs.output == Output::Program {
        let attempt = logs.attempt;
        let only = attempt.map_or_else(String::new, |attempt| format!("?attempt={attempt}"));
        let path = format!("/api/uploads/{}/logs{only}", encoded(&upload.id));
        return print::json(&api.get(&path).await?);
    }
    if let Some(attempt) = logs.attempt
        && !logs.follow
        && upload.attempts_log.iter().all(|one| one.number != attempt)
    {
        return Err(Failure::failed(format!(
            "{} has no attempt {attempt}, or it is not kept any more",
            print::harmless(&upload.key)
        )));
    }
    let mut shown = Shown {
        api: &api,
        logs,
        attempt: 0,
        from: 0,
        is_within_line: false,
        is_empty: true,
    };
    shown.show(&upload).await?;
    if !logs.follow {
        return shown.end(&upload);
    }
    let mut upload = upload;
    while !is_over(&upload, logs.attempt) {
        tokio::time::sleep(api.look_every(LOOK_EVERY)).await;
        upload = by_id(&api, &upload.id).await?;
        shown.show(&upload).await?;
    }
    shown.end(&upload)
}

/// Says whether nothing more will be written.
fn is_over(upload: &Upload, attempt: Option<u32>) -> bool {
    let has_ended = |number| {
        let mut all = upload.attempts_log.iter();
        let is_past = upload.attempts > number;
        is_past || all.any(|one| one.number == number && one.outcome.is_some())
    };
    !matches!(upload.state.as_str(), "pending" | "processing") || attempt.is_some_and(has_ended)
}

async fn find(api: &Api, of: &Named) -> Result<Upload, Failure> {
    let key = match of {
        Named::Id(id) => return by_id(api, id).await,
        Named::KeyOrId(key) => key.as_str(),
    };
    let path = format!("/api/uploads?limit=1&key={}", encoded(key));
    let page: wire::Page = read(api.get(&path).await?)?;
    match page.uploads.into_iter().next() {
        Some(latest) => by_id(api, &read::<Upload>(latest)?.id).await,
        None => match by_id(api, key).await {
            Ok(upload) => Ok(upload),
            Err(_) => Err(no_upload_of(api, key, None).await),
        },
    }
}

pub(super) async fn by_id(api: &Api, id: &str) -> Result<Upload, Failure> {
    let upload = api.get(&format!("/api/uploads/{}", encoded(id))).await?;
    read(upload)
}

/// How much was shown.
struct Shown<'a> {
    api: &'a Api,
    logs: &'a Logs,
    /// The attempt that was shown last; 0 before the first.
    attempt: u32,
    /// How much of it was shown.
    from: u64,
    is_within_line: bool,
    is_empty: bool,
}

impl Shown<'_> {
    /// Shows what is new. The upload was asked for before its logs, so of an attempt that has ended all is there.
    async fn show(&mut self, upload: &Upload) -> Result<(), Failure> {
        let wanted = |one: &&Attempt| {
            one.number >= self.attempt.max(1) && self.logs.attempt.is_none_or(|n| n == one.number)
        };
        let attempts: Vec<&Attempt> = upload.attempts_log.iter().filter(wanted).collect();
        for attempt in attempts {
            if attempt.number != self.attempt {
                self.begin(attempt)?;
            }
            let path = format!(
                "/api/uploads/{}/logs?attempt={}&from={}",
                encoded(&upload.id),
                attempt.number,
                self.from
            );
            let found: wire::Logs = read(self.api.get(&path).await?)?;
            for log in found.logs {
                self.show_new(&log)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, attempt: &Attempt) -> Result<(), Failure> {
        self.end_line()?;
        self.attempt = attempt.number;
        self.from = 0;
        if self.logs.output == Output::Program || self.logs.attempt.is_some() {
            return Ok(());
        }
        let began = attempt.started_at.as_deref().map(moment);
        let how = attempt.outcome.as_deref().unwrap_or("running");
        let why = attempt.reason.as_deref();
        print::text(&format!(
            "--- attempt {}  {}  {how}{}\n",
            attempt.number,
            began.unwrap_or_default(),
            why.map(|why| format!(": {}", print::harmless(why)))
                .unwrap_or_default()
        ))
    }

    fn show_new(&mut self, log: &AttemptLog) -> Result<(), Failure> {
        for piece in &log.pieces {
            let dropped = piece.from.saturating_sub(self.from);
            self.from = piece.from;
            if self.logs.output == Output::Program {
                print_line(&json!({
                    "attempt": log.attempt, "from": piece.from, "text": piece.text,
                }))?;
                continue;
            }
            if dropped > 0 {
                self.end_line()?;
                print::text(&format!("[{dropped} bytes were not kept]\n"))?;
            }
            print::text(&print::harmless_lines(&piece.text))?;
            self.is_empty = false;
            self.is_within_line = !piece.text.is_empty() && !piece.text.ends_with('\n');
        }
        self.from = self.from.max(log.next_from);
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.is_within_line) {
            print::text("\n")?;
        }
        Ok(())
    }

    fn end(mut self, upload: &Upload) -> Result<(), Failure> {
        self.end_line()?;
        if self.logs.output == Output::Person && self.is_empty {
            return print::text(&format!(
                "nothing was written about {}; it is {}\n",
                print::harmless(&upload.key),
                upload.state
            ));
        }
        Ok(())
    }
}

/// One object a line, as soon as it is there.
fn print_line(value: &Value) -> Result<(), Failure> {
    print::text(&format!("{value}\n"))
}
