//! What a deployment tells its functions and workers: by variables of the environment, which the template sets.

use std::sync::Arc;
use std::time::Duration;

use two_buckets_objects::BucketName;
use two_buckets_pipeline::{Holder, Processor, Settings};

use super::metrics::Metrics;
use super::pauses::Pauses;
use super::sweep::Sweep;
use super::system::SystemClock;
use super::turns::{Turns, TurnsOptions};
use super::variables::{Problems, Variables};
use crate::ledger::DynamoLedger;
use crate::wake::SqsWakeUps;
use crate::{Clients, S3Store, S3StoreOptions};

/// The most attempts; beyond, a file that cannot be processed would stay pending for good.
const ATTEMPTS_MAX_MAX: u32 = 1_000;
/// A century.
const HISTORY_DAYS_MAX: u32 = 36_500;
/// The longest that a Lambda function runs (Lambda quotas).
const FUNCTION_LIMIT_S_MAX: u64 = 900;
const DAY: Duration = Duration::from_hours(24);

/// Where a deployment has its parts, and how they work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `TWO_BUCKETS_STACK`: the deployment's name, for figures; without it there are none.
    pub stack: Option<String>,
    /// `TWO_BUCKETS_STAGING`: the bucket that files come into.
    pub staging: BucketName,
    /// `TWO_BUCKETS_ARCHIVE`: the bucket that keeps them; never the same.
    pub archive: BucketName,
    /// `TWO_BUCKETS_LEDGER_TABLE`: the ledger's table.
    pub ledger_table: String,
    /// `TWO_BUCKETS_LEDGER_SHARDS`: how many parts a ledger gets that nobody has used yet; 1 to 99.
    pub ledger_shards: u8,
    /// `TWO_BUCKETS_QUEUE_URL`: the queue of wake-ups.
    pub queue_url: String,
    /// `TWO_BUCKETS_MAX_ATTEMPTS`: the most attempts of an upload; 1 to 1,000.
    pub attempts_max: u32,
    /// `TWO_BUCKETS_HISTORY_DAYS`: how long rows are kept after their end; 1 day to 36,500.
    pub history: Duration,
    /// `TWO_BUCKETS_FUNCTION_LIMIT_S`: the longest run of the function; 1 s to 900 s.
    pub processing_time_max: Option<Duration>,
}

/// What may be told and is not supported yet: to ignore it would process files in another way than was asked.
const NOT_YET: [(&str, &str); 2] = [
    (
        "TWO_BUCKETS_FUNCTION_ARN",
        "a Lambda function of the user's is not invoked by this version",
    ),
    (
        "TWO_BUCKETS_JOB_QUEUE",
        "jobs are not submitted by this version",
    ),
];

impl Config {
    /// By what this says of each variable; an empty one counts as not set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut variables = Variables::new(variable);
        for (name, problem) in NOT_YET {
            if variables.text(name).is_some() {
                variables.problem(&format!("{name}: {problem}"));
            }
        }
        let stack = variables.text("TWO_BUCKETS_STACK");
        let staging = variables.needed::<BucketName>("TWO_BUCKETS_STAGING");
        let archive = variables.needed::<BucketName>("TWO_BUCKETS_ARCHIVE");
        let ledger_table = variables.needed("TWO_BUCKETS_LEDGER_TABLE");
        let ledger_shards = variables.number(
            "TWO_BUCKETS_LEDGER_SHARDS",
            1..=99,
            DynamoLedger::SHARDS_DEFAULT,
        );
        let queue_url = variables.needed("TWO_BUCKETS_QUEUE_URL");
        let attempts_max = variables.number("TWO_BUCKETS_MAX_ATTEMPTS", 1..=ATTEMPTS_MAX_MAX, 5);
        let history_days = variables.number("TWO_BUCKETS_HISTORY_DAYS", 1..=HISTORY_DAYS_MAX, 90);
        let limit_s = variables.number(
            "TWO_BUCKETS_FUNCTION_LIMIT_S",
            1..=FUNCTION_LIMIT_S_MAX,
            FUNCTION_LIMIT_S_MAX,
        );
        if staging.is_some() && staging == archive {
            variables.problem("TWO_BUCKETS_STAGING and TWO_BUCKETS_ARCHIVE name one bucket");
        }
        variables.whole((|| {
            Some(Self {
                stack,
                staging: staging?,
                archive: archive?,
                ledger_table: ledger_table?,
                ledger_shards: ledger_shards?,
                queue_url: queue_url?,
                attempts_max: attempts_max?,
                history: DAY * history_days?,
                processing_time_max: Some(Duration::from_secs(limit_s?)),
            })
        })())
    }

    /// The ledger.
    pub fn ledger(&self, clients: &Clients) -> DynamoLedger {
        DynamoLedger::new(clients.dynamodb(), &self.ledger_table)
            .with_shards_if_new(self.ledger_shards)
            .with_history(self.history)
    }

    /// Where wake-ups go.
    pub fn wake_ups(&self, clients: &Clients) -> SqsWakeUps<SystemClock> {
        SqsWakeUps::new(clients.sqs(), self.queue_url.clone(), Arc::new(SystemClock))
    }

    /// What takes turns with this function, in this name. Calls nobody.
    pub fn turns<P: Processor>(
        &self,
        clients: &Clients,
        processor: P,
        holder: Holder,
        metrics: Metrics,
    ) -> Turns<P> {
        let ledger = self.ledger(clients);
        Turns::new(
            processor,
            TurnsOptions {
                store: S3Store::new(clients.s3(), S3StoreOptions::default()),
                pauses: pauses(&ledger),
                ledger,
                wake_ups: self.wake_ups(clients),
                settings: self.settings(holder),
                processing_time_max: self.processing_time_max,
                metrics,
            },
        )
    }

    /// What sweeps. Calls nobody.
    pub fn sweep(&self, clients: &Clients, holder: Holder, metrics: Metrics) -> Sweep {
        let ledger = self.ledger(clients);
        Sweep {
            store: S3Store::new(clients.s3(), S3StoreOptions::default()),
            pauses: pauses(&ledger),
            ledger,
            wake_ups: self.wake_ups(clients),
            settings: self.settings(holder),
            metrics,
        }
    }

    fn settings(&self, holder: Holder) -> Settings {
        Settings {
            attempts_max: self.attempts_max,
            ..Settings::new(self.staging.clone(), self.archive.clone(), holder)
        }
    }
}

/// Whether this ledger says that processing is paused.
fn pauses(_ledger: &DynamoLedger) -> Pauses {
    // The ledger keeps no pause yet, and nothing on AWS can ask for one.
    Pauses::new(|| async { Ok(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 9] = [
        ("TWO_BUCKETS_STACK", "files"),
        ("TWO_BUCKETS_STAGING", "files-staging"),
        ("TWO_BUCKETS_ARCHIVE", "files-archive"),
        ("TWO_BUCKETS_LEDGER_TABLE", "files-ledger"),
        ("TWO_BUCKETS_LEDGER_SHARDS", "4"),
        (
            "TWO_BUCKETS_QUEUE_URL",
            "https://sqs.eu-central-1.amazonaws.com/1/files",
        ),
        ("TWO_BUCKETS_MAX_ATTEMPTS", "3"),
        ("TWO_BUCKETS_HISTORY_DAYS", "30"),
        ("TWO_BUCKETS_FUNCTION_LIMIT_S", "270"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Config, Problems> {
        Config::read(|name| {
            let told = changes.iter().chain(&WHOLE).find(|(one, _)| *one == name);
            told.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_the_template_tells_is_read() {
        assert_eq!(
            read(&[]).unwrap(),
            Config {
                stack: Some("files".into()),
                staging: "files-staging".parse().unwrap(),
                archive: "files-archive".parse().unwrap(),
                ledger_table: "files-ledger".into(),
                ledger_shards: 4,
                queue_url: "https://sqs.eu-central-1.amazonaws.com/1/files".into(),
                attempts_max: 3,
                history: Duration::from_hours(720),
                processing_time_max: Some(Duration::from_secs(270)),
            }
        );
    }

    #[test]
    fn every_problem_is_told_and_what_is_not_supported_is_one() {
        let problems = read(&[
            ("TWO_BUCKETS_STAGING", "Not A Bucket"),
            ("TWO_BUCKETS_QUEUE_URL", ""),
            ("TWO_BUCKETS_MAX_ATTEMPTS", "0"),
            ("TWO_BUCKETS_LEDGER_SHARDS", "100"),
            (
                "TWO_BUCKETS_JOB_QUEUE",
                "arn:aws:batch:eu-central-1:1:job-queue/x",
            ),
        ]);
        let Problems(problems) = problems.unwrap_err();
        let named = |name: &str| {
            let about = problems.iter().filter(|one| one.starts_with(name));
            assert_eq!(about.count(), 1, "{name} in {problems:?}");
        };
        for name in [
            "TWO_BUCKETS_STAGING",
            "TWO_BUCKETS_QUEUE_URL",
            "TWO_BUCKETS_MAX_ATTEMPTS",
            "TWO_BUCKETS_LEDGER_SHARDS",
            "TWO_BUCKETS_JOB_QUEUE",
        ] {
            named(name);
        }
        assert_eq!(problems.len(), 5, "{problems:?}");
        let same = read(&[("TWO_BUCKETS_ARCHIVE", "files-staging")]);
        assert!(same.unwrap_err().to_string().contains("one bucket"));
    }
}
