//! What a monitoring system collects: `GET /metrics` of the web listener. `docs/operations.md` has the table.
//!
//! Most of it is read, when it is asked for, from what the parts know anyhow; the rest they count in atomic numbers. Names
//! and units are as Prometheus has them ("Metric and label naming"). No label holds what a client chose: no key, no upload,
//! no caller; so the number of series is bounded by what the server is configured with.

mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use two_buckets_depot::Depot;
use two_buckets_lambda_host::{Facts, Outcome};
use two_buckets_local::{DepotLedger, Function, LedgerFigures, SweepFigures, WakeQueue};
use two_buckets_s3_api::{RequestsAnswered, S3Service};
use two_buckets_uploads::{Metrics, UploadFigures};

use text::{Kind, Text};

/// Where everything is read from.
pub(crate) struct Sources {
    pub(crate) depot: Depot,
    pub(crate) ledger: DepotLedger,
    pub(crate) queue: WakeQueue,
    pub(crate) s3: S3Service,
    /// Those of the server itself; those of jobs are in their own processes.
    pub(crate) functions: Vec<Function>,
}

impl Metrics for Sources {
    fn text(&self, uploads: &UploadFigures) -> String {
        let mut text = Text::default();
        text.family(
            "build_info",
            Kind::Gauge,
            "The program's version; always 1.",
        )
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        of_uploads(&mut text, uploads, self.queue.backlog());
        of_ledger(&mut text, &self.ledger.figures());
        of_sweeps(&mut text, &self.queue.sweep_figures());
        of_store(&mut text, &self.depot.facts());
        of_s3(&mut text, &self.s3.requests_answered());
        let functions = self.functions.iter();
        let facts = functions.map(|it| (it.function_name().to_owned(), it.facts()));
        of_functions(&mut text, facts);
        text.into_string()
    }
}

fn of_uploads(text: &mut Text, uploads: &UploadFigures, queued_keys: u64) {
    let mut by_state = text.family(
        "uploads",
        Kind::Gauge,
        "Uploads by state, as status shows them; pending is the backlog, and of ended ones those that are remembered.",
    );
    let counts = uploads.counts;
    for (state, count) in [
        ("pending", counts.pending),
        ("processing", counts.processing),
        ("archived", counts.archived),
        ("failed", counts.failed),
        ("late", counts.late),
        ("duplicate", counts.duplicate),
    ] {
        by_state.sample(&[("state", state)], count);
    }
    text.single(
        "oldest_unfinished_upload_age_seconds",
        Kind::Gauge,
        "How long ago the oldest upload arrived that is neither finished nor set aside; 0 if there is none.",
        uploads
            .oldest_unfinished_age
            .unwrap_or_default()
            .as_secs_f64(),
    );
    text.single(
        "paused",
        Kind::Gauge,
        "1 while processing is paused.",
        u8::from(uploads.is_paused),
    );
    text.single(
        "queued_keys",
        Kind::Gauge,
        "Keys that wait for a worker or are in work.",
        queued_keys,
    );
}

fn of_ledger(text: &mut Text, figures: &LedgerFigures) {
    let mut ended = text.family(
        "uploads_ended_total",
        Kind::Counter,
        "Uploads that have reached this state since the server was started.",
    );
    for (state, count) in &figures.ended {
        ended.sample(&[("state", state.name())], count);
    }
    let mut attempts = text.family(
        "attempts_total",
        Kind::Counter,
        "Attempts that have ended since the server was started, by outcome.",
    );
    for (outcome, count) in &figures.attempts {
        attempts.sample(&[("outcome", outcome.name())], count);
    }
    text.family(
        "upload_wait_seconds",
        Kind::Histogram,
        "From an upload's Last-Modified in staging until its first attempt began.",
    )
    .durations(&figures.waits);
    text.family(
        "attempt_duration_seconds",
        Kind::Histogram,
        "From the beginning of an attempt until its end.",
    )
    .durations(&figures.runs);
    text.family(
        "upload_duration_seconds",
        Kind::Histogram,
        "From an upload's Last-Modified in staging until it was in the archive.",
    )
    .durations(&figures.archived_after);
    let mut jobs = text.family("jobs", Kind::Gauge, "Jobs that wait and that run.");
    jobs.sample(&[("state", "queued")], figures.jobs_queued);
    jobs.sample(&[("state", "running")], figures.jobs_running);
    let mut jobs_ended = text.family(
        "jobs_ended_total",
        Kind::Counter,
        "Uploads of jobs that have reached this state since the server was started.",
    );
    for (state, count) in &figures.jobs_ended {
        jobs_ended.sample(&[("state", state.name())], count);
    }
}

fn of_sweeps(text: &mut Text, figures: &SweepFigures) {
    let mut sweeps = text.family(
        "sweeps_total",
        Kind::Counter,
        "Sweeps since the server was started.",
    );
    sweeps.sample(&[("outcome", "completed")], figures.whole);
    sweeps.sample(&[("outcome", "failed")], figures.failed);
    let found = &figures.found;
    let mut what = text.family(
        "sweep_found_total",
        Kind::Counter,
        "What completed sweeps have found: keys woken, uploads finished, explained or given up, delete markers removed, and keys passed over because they could not be looked at.",
    );
    for (name, count) in [
        ("woken", found.woken),
        ("finished", found.finished),
        ("explained", found.explained),
        ("expired", found.expired),
        ("markers_removed", found.markers_removed),
        ("passed_over", found.passed_over),
    ] {
        what.sample(&[("what", name)], count);
    }
    let Some(last) = &figures.last else {
        return;
    };
    text.single(
        "last_sweep_timestamp_seconds",
        Kind::Gauge,
        "When the last completed sweep ended, as Unix time.",
        Seconds(last.at.millis()),
    );
    text.single(
        "last_sweep_duration_seconds",
        Kind::Gauge,
        "How long the last completed sweep took.",
        last.took.as_secs_f64(),
    );
    text.single(
        "last_sweep_listed_versions",
        Kind::Gauge,
        "How many versions and delete markers the last completed sweep saw in staging.",
        last.listed,
    );
}

fn of_store(text: &mut Text, facts: &two_buckets_depot::Facts) {
    text.single(
        "store_read_only",
        Kind::Gauge,
        "1 after a failed sync: the store takes no write until the server is started again.",
        u8::from(facts.is_read_only),
    );
    if let Some(free_bytes) = facts.free_bytes {
        text.single(
            "store_free_bytes",
            Kind::Gauge,
            "Bytes free on the disk of the data folder.",
            free_bytes,
        );
    }
    text.single(
        "store_received_bytes_total",
        Kind::Counter,
        "Bytes of objects and parts taken in since the server was started, whatever became of them.",
        facts.taken_bytes,
    );
    text.single(
        "store_log_bytes",
        Kind::Gauge,
        "Bytes of the store's log.",
        facts.log_bytes,
    );
    text.single(
        "store_log_replay_bytes",
        Kind::Gauge,
        "Bytes of the log that a start would have to replay.",
        facts.log_to_replay_bytes,
    );
    text.single(
        "store_log_segments",
        Kind::Gauge,
        "Segments of the store's log.",
        facts.log_segments,
    );
}

fn of_s3(text: &mut Text, answered: &[RequestsAnswered]) {
    let mut requests = text.family(
        "s3_requests_total",
        Kind::Counter,
        "Requests to the S3 endpoint answered since the server was started, by S3's name of the operation and class of status.",
    );
    for one in answered {
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(one.by_class) {
            if count > 0 {
                requests.sample(&[("operation", one.operation), ("code", class)], count);
            }
        }
    }
}

/// Functions of one name are shown as one: each series may be there once only.
fn of_functions(text: &mut Text, functions: impl Iterator<Item = (String, Facts)>) {
    let mut by_name: BTreeMap<String, Facts> = BTreeMap::new();
    for (name, facts) in functions {
        let sum = by_name.entry(name).or_default();
        sum.idle += facts.idle;
        sum.busy += facts.busy;
        sum.started += facts.started;
        sum.start_failures += facts.start_failures;
        for (sum, count) in sum.invocations.iter_mut().zip(facts.invocations) {
            *sum += count;
        }
    }
    if by_name.is_empty() {
        return;
    }
    let mut environments = text.family(
        "function_environments",
        Kind::Gauge,
        "Execution environments of functions, busy and idle.",
    );
    for (name, facts) in &by_name {
        for (state, count) in [("busy", facts.busy), ("idle", facts.idle)] {
            environments.sample(&[("function", name), ("state", state)], count);
        }
    }
    let mut started = text.family(
        "function_cold_starts_total",
        Kind::Counter,
        "Environments of functions begun since the server was started.",
    );
    for (name, facts) in &by_name {
        started.sample(&[("function", name)], facts.started);
    }
    let mut failures = text.family(
        "function_start_failures_total",
        Kind::Counter,
        "How often a function did not start, since the server was started.",
    );
    for (name, facts) in &by_name {
        failures.sample(&[("function", name)], facts.start_failures);
    }
    let mut invocations = text.family(
        "function_invocations_total",
        Kind::Counter,
        "Invocations of functions that have ended since the server was started, by outcome.",
    );
    for (name, facts) in &by_name {
        for outcome in Outcome::ALL {
            let labels = [("function", name.as_str()), ("outcome", outcome.name())];
            invocations.sample(&labels, facts.invocations_of(outcome));
        }
    }
}

/// Milliseconds as seconds, to the last digit.
struct Seconds(i64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let seconds = Duration::from_millis(self.0.unsigned_abs());
        write!(
            to,
            "{sign}{}.{:03}",
            seconds.as_secs(),
            seconds.subsec_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_one_name_are_one_series() {
        let facts = |started| {
            let mut facts = Facts::default();
            facts.started = started;
            facts.invocations[Outcome::TimedOut as usize] = started;
            facts
        };
        let mut text = Text::default();
        let named = |name: &str, started| (name.to_owned(), facts(started));
        of_functions(
            &mut text,
            [named("resize", 2), named("scan", 1), named("resize", 3)].into_iter(),
        );
        let text = text.into_string();
        for line in [
            "two_buckets_function_cold_starts_total{function=\"resize\"} 5",
            "two_buckets_function_cold_starts_total{function=\"scan\"} 1",
            "two_buckets_function_invocations_total{function=\"resize\",outcome=\"timed_out\"} 5",
        ] {
            assert_eq!(text.lines().filter(|it| *it == line).count(), 1, "{text}");
        }
    }

    #[test]
    fn moments_are_seconds_with_all_their_digits() {
        for (millis, shown) in [(1_795_431_050_007, "1795431050.007"), (-1_500, "-1.500")] {
            assert_eq!(Seconds(millis).to_string(), shown);
        }
    }
}
