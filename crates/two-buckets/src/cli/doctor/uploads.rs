//! How it stands with uploads, which the API says on every host.

use serde_json::Value;

use super::check::{Check, Verdict};
use crate::cli::api::Api;
use crate::cli::pause;
use crate::cli::print;
use crate::cli::wire::{Page, read};

/// An upload that is unfinished for longer than this is worth a line, as the alarm of a deployment has it.
const OLD_AFTER_S: f64 = 3_600.0;

/// Whether processing goes on, whether something has waited for long, and whether something was given up.
pub(super) async fn look(api: &Api) -> Vec<Check> {
    let asked = api.get("/api/uploads?limit=1").await;
    let page: Page = match asked.and_then(read) {
        Ok(page) => page,
        Err(failure) => {
            return vec![Check::new(
                "uploads",
                Verdict::Wrong,
                failure.to_string(),
                "see what is said of the ledger and the buckets",
            )];
        }
    };
    vec![processing(&page), oldest(&page), failed(&page)]
}

fn processing(page: &Page) -> Check {
    match &page.paused {
        None => Check::well("processing", "goes on"),
        Some(paused) => Check::new(
            "processing",
            Verdict::Look,
            pause::sentence(paused).trim_end(),
            "two-buckets resume",
        ),
    }
}

fn oldest(page: &Page) -> Check {
    let oldest = &page.oldest_unfinished;
    let (Some(key), Some(age_s)) = (
        oldest.get("key").and_then(Value::as_str),
        oldest.get("age_s").and_then(Value::as_f64),
    ) else {
        return Check::well("unfinished", "nothing waits");
    };
    let found = format!("the oldest is {key}, for {age_s:.0} s");
    if age_s < OLD_AFTER_S || page.paused.is_some() {
        return Check::well("unfinished", found);
    }
    Check::new(
        "unfinished",
        Verdict::Wrong,
        found,
        "two-buckets status says why; two-buckets sweep wakes whatever nobody was told of",
    )
}

fn failed(page: &Page) -> Check {
    let failed = page.counts.get("failed").and_then(Value::as_u64);
    match failed.unwrap_or(0) {
        0 => Check::well("failed", "no upload was set aside"),
        n => Check::new(
            "failed",
            Verdict::Look,
            format!("{} set aside", print::count(n, "upload")),
            "two-buckets status --state failed says why, two-buckets retry tries again",
        ),
    }
}
