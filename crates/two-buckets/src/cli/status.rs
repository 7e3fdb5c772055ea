use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::absent::no_upload_of;
use super::api::Api;
use super::faults;
use super::meaning::{Output, STATES, Status};
use super::notifications;
use super::pause::sentence;
use super::print;
use super::wire::{Archived, Page, Progress, Upload, read};
use crate::config::Settings;
use crate::failure::Failure;

/// The column that progress is shown in: behind the attempts.
const BEFORE_REASON: usize = 5;
/// As many uploads as one answer of the API may hold.
pub(super) const PAGE_MAX: usize = 1000;

/// Shows uploads; with a key that has just one, all that is known of it.
pub(super) async fn run(status: &Status, settings: &Settings) -> Result<(), Failure> {
    let api = Api::find(settings).await?;
    let (faults, warning) = faults::of_server(&api).await;
    let (notifications, undelivered) = notifications::of_server(&api).await;
    let (uploads, first_page, is_cut) = uploads(&api, status).await?;
    if status.output == Output::Program {
        return print::json(&json!({
            "uploads": uploads,
            "counts": first_page.counts,
            "counts_are_least": first_page.counts_are_least,
            "oldest_unfinished": first_page.oldest_unfinished,
            "faults": faults,
            "notifications": notifications,
            "paused": first_page.paused,
        }));
    }
    if let Some(warning) = warning {
        print::text(&warning)?;
    }
    let shown: Vec<Upload> = uploads.into_iter().map(read).collect::<Result<_, _>>()?;
    match (shown.as_slice(), &status.key) {
        ([], Some(key)) => Err(no_upload_of(&api, key.as_str(), status.state).await),
        ([only], Some(_)) => {
            let upload = api
                .get(&format!("/api/uploads/{}", encoded(&only.id)))
                .await?;
            print::text(&detail(&read(upload)?))
        }
        (shown, _) => {
            if !shown.is_empty() {
                let mut headings = vec!["KEY", "STATE", "SIZE", "RECEIVED", "ATTEMPTS", "REASON"];
                let mut rows: Vec<_> = shown.iter().map(row).collect();
                // Most functions never say how far they are.
                if shown.iter().any(|upload| upload.progress.is_some()) {
                    headings.insert(BEFORE_REASON, "PROGRESS");
                    for (upload, row) in shown.iter().zip(&mut rows) {
                        let progress = upload.progress.as_ref().map(how_far);
                        let progress = progress.as_deref().map(print::harmless);
                        row.insert(BEFORE_REASON, progress.unwrap_or_default());
                    }
                }
                print::table(&headings, &rows)?;
                print::text("\n")?;
            }
            if is_cut {
                print::text(&format!(
                    "the newest {} are shown; --limit shows more\n",
                    shown.len()
                ))?;
            }
            print::text(&summary(&first_page))?;
            match undelivered {
                Some(lines) => print::text(&lines),
                None => Ok(()),
            }
        }
    }
}

/// At most `status.limit` uploads, the newest first, with the first page, and whether there are more.
pub(super) async fn uploads(
    api: &Api,
    status: &Status,
) -> Result<(Vec<Value>, Page, bool), Failure> {
    let mut found = Vec::new();
    let mut first: Option<Page> = None;
    let mut after: Option<String> = None;
    loop {
        let mut path = format!(
            "/api/uploads?limit={}",
            (status.limit - found.len()).min(PAGE_MAX)
        );
        for (name, value) in [
            ("state", status.state),
            (
                "key",
                status.key.as_ref().map(two_buckets_objects::Key::as_str),
            ),
            ("after", after.as_deref()),
        ] {
            if let Some(value) = value {
                write!(path, "&{name}={}", encoded(value))
                    .expect("writing to a String cannot fail");
            }
        }
        let mut page: Page = read(api.get(&path).await?)?;
        let is_empty = page.uploads.is_empty();
        found.append(&mut page.uploads);
        after = page.next.clone();
        let first = &*first.get_or_insert(page);
        if after.is_none() || is_empty || found.len() >= status.limit {
            let is_cut = after.is_some();
            let first = Page {
                uploads: Vec::new(),
                next: None,
                counts: first.counts.clone(),
                oldest_unfinished: first.oldest_unfinished.clone(),
                paused: first.paused.clone(),
                counts_are_least: first.counts_are_least,
            };
            return Ok((found, first, is_cut));
        }
    }
}

fn row(upload: &Upload) -> Vec<String> {
    vec![
        print::harmless(&upload.key),
        state(upload),
        upload
            .size
            .filter(|_| !upload.expected)
            .map(print::size)
            .unwrap_or_default(),
        upload
            .received_at
            .as_deref()
            .map(moment)
            .unwrap_or_default(),
        upload.attempts.to_string(),
        why(upload).map(print::harmless).unwrap_or_default(),
    ]
}

/// Its state, and whose it is where that is a job's.
fn state(upload: &Upload) -> String {
    let state = print::harmless(&upload.state);
    if upload.job {
        format!("{state} (job)")
    } else {
        state
    }
}

/// In a unit of the function's own, and as a share of the whole where that is known: `3 of 12 pages read (25 %)`.
fn how_far(progress: &Progress) -> String {
    let Progress { done, total, words } = progress;
    let counted = total.map_or_else(|| done.to_string(), |total| format!("{done} of {total}"));
    let counted = format!("{counted} {words}").trim_end().to_owned();
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let share = u128::from(*done.min(&total)) * 100 / u128::from(total);
            format!("{counted} ({share} %)")
        }
        None => counted,
    }
}

/// Why it is where it is.
fn why(upload: &Upload) -> Option<&str> {
    upload
        .reason
        .as_deref()
        .or(upload.expected.then_some("has not arrived yet"))
}

fn detail(upload: &Upload) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            writeln!(text, "{name:<13}{}", print::harmless(&value))
                .expect("writing to a String cannot fail");
        }
    };
    line("key", Some(upload.key.clone()));
    line("version", upload.version_id.clone());
    line("state", Some(state(upload)));
    line("reason", why(upload).map(str::to_owned));
    line("progress", upload.progress.as_ref().map(how_far));
    line(
        "size",
        upload
            .size
            .map(|size| format!("{} ({size} bytes)", print::size(size))),
    );
    line("media type", upload.media_type.clone());
    line("sha256", upload.sha256.clone());
    line("received", upload.received_at.as_deref().map(moment));
    line("finished", upload.finished_at.as_deref().map(moment));
    line(
        "next attempt",
        upload.next_attempt_at.as_deref().map(moment),
    );
    line("replay of", upload.replay_of.as_ref().map(place));
    line("archived as", upload.archive.as_ref().map(place));
    for attempt in &upload.attempts_log {
        line(
            &format!("attempt {}", attempt.number),
            Some(format!(
                "{}  {}{}",
                attempt
                    .started_at
                    .as_deref()
                    .map(moment)
                    .unwrap_or_default(),
                attempt.outcome.as_deref().unwrap_or("running"),
                attempt
                    .reason
                    .as_deref()
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default()
            )),
        );
    }
    if let Some(Value::Object(report)) = &upload.report {
        for (name, value) in report {
            let value = match value {
                Value::String(value) => value.clone(),
                other => other.to_string(),
            };
            line("report", Some(format!("{name}: {value}")));
        }
    }
    text
}

fn place(archived: &Archived) -> String {
    format!(
        "{}/{} version {}",
        archived.bucket,
        archived.key,
        archived.version_id.as_deref().unwrap_or("unknown")
    )
}

fn summary(page: &Page) -> String {
    let counts: Vec<String> = STATES
        .into_iter()
        .filter_map(|state| {
            let n = page.counts.get(state)?.as_u64()?;
            (n > 0).then(|| format!("{n} {state}"))
        })
        .collect();
    let mut text = if counts.is_empty() {
        "no uploads yet\n".to_owned()
    } else {
        format!("{}\n", counts.join(", "))
    };
    if page.counts_are_least {
        text.push_str("more than these have ended; only the latest were counted\n");
    }
    let oldest = &page.oldest_unfinished;
    if let (Some(key), Some(age)) = (
        oldest.get("key").and_then(Value::as_str),
        oldest.get("age_s").and_then(Value::as_f64),
    ) {
        writeln!(
            text,
            "oldest unfinished: {}, for {age:.0} s",
            print::harmless(key)
        )
        .expect("writing to a String cannot fail");
    }
    if let Some(paused) = &page.paused {
        text.push_str(&sentence(paused));
    }
    text
}

/// A stamp as the API writes it, shorter: `2026-11-23 10:50:50 UTC`.
pub(super) fn moment(stamp: &str) -> String {
    match (stamp.get(..10), stamp.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => stamp.to_owned(),
    }
}

pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
