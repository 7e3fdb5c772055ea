//! What a deployment tells its functions and workers: by variables of the environment, which the template sets.

use std::sync::Arc;
use std::time::Duration;

use two_buckets_objects::BucketName;
use two_buckets_pipeline::{Holder, Processor, Routes, Settings};

use super::chosen::Chosen;
use super::jobs::{DeploymentJobs, JobsParts};
use super::metrics::Metrics;
use super::pauses::Pauses;
use super::sweep::Sweep;
use super::system::{SystemClock, random};
use super::turns::{Turns, TurnsOptions};
use super::variables::{Problems, Variables};
use crate::function::{Function, FunctionOptions, InvalidFunction};
use crate::jobs::JobsOptions;
use crate::ledger::DynamoLedger;
use crate::wake::SqsWakeUps;
use crate::{Clients, S3Store, S3StoreOptions};

/// The most attempts; beyond, a file that cannot be processed would stay pending for good.
const ATTEMPTS_MAX_MAX: u32 = 1_000;
/// A century.
const HISTORY_DAYS_MAX: u32 = 36_500;
/// The longest that a Lambda function runs (Lambda quotas).
const FUNCTION_LIMIT_S_MAX: u64 = 900;
/// The least part that S3 takes, and the most that it copies at once (S3 User Guide, "Amazon S3 multipart upload limits";
/// S3 API, `CopyObject`).
const PART_BYTES_MIN: u64 = 5 << 20;
const SINGLE_COPY_BYTES_MAX: u64 = 5 << 30;
/// As that, for whoever sets no limit.
const FUNCTION_TIME_MAX: Duration = Duration::from_secs(FUNCTION_LIMIT_S_MAX);
/// The longest that a file waits for room for its function while its lease is held; after that it waits in staging.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);
/// How many jobs the sweep has in the queue at once. Which of them run is for Batch's compute environment to say; this
/// bounds what a cancellation or a pause finds submitted already.
const JOBS_AT_ONCE: usize = 1_000;
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
    /// The user's function on Lambda, in the place of the program's own processor.
    pub function: Option<LambdaFunction>,
    /// `TWO_BUCKETS_KMS_KEY_ARN`: the key that both buckets are encrypted with, where it is not S3's own.
    pub kms_key_arn: Option<String>,
    /// Where jobs run, if there are some.
    pub jobs: Option<Batch>,
    /// `TWO_BUCKETS_SINGLE_COPY_BYTES_MAX`: larger files are copied in parts; 5 MiB to 5 GiB, which S3 copies at once.
    pub single_copy_bytes_max: u64,
    /// `TWO_BUCKETS_CONDITIONAL_COPY`: whether the store honours conditions on copies, as S3 does. Without them whoever
    /// writes to the archive beside the pipeline may be overwritten, see [`S3StoreOptions::conditional_copy`].
    pub conditional_copy: bool,
}

/// A function of the user's on Lambda.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LambdaFunction {
    /// `TWO_BUCKETS_FUNCTION_ARN`: which.
    pub arn: String,
    /// `TWO_BUCKETS_FUNCTION_ROLE_ARN`: the role that its credentials are of; none where it uses its own.
    pub role_arn: Option<String>,
    /// `TWO_BUCKETS_FUNCTION_PERMANENT_ERRORS`: error types that will not pass by trying again, one to a line or with
    /// commas between.
    pub permanent_errors: Vec<String>,
}

impl LambdaFunction {
    /// Error types as a deployment lists them: one to a line or with commas between.
    pub fn error_types(list: &str) -> Vec<String> {
        list.split([',', '\n'])
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    }
}

/// Where jobs run, and which files are some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// `TWO_BUCKETS_JOB_QUEUE`: the queue of Batch, by name or ARN.
    pub queue: String,
    /// `TWO_BUCKETS_JOB_DEFINITION`: what is submitted, by name or ARN, with its revision.
    pub definition: String,
    /// `TWO_BUCKETS_JOB_FROM_BYTES`: from which size on files are jobs; none where only routes say so.
    pub from_bytes: Option<u64>,
}

impl Config {
    /// By what this says of each variable; an empty one counts as not set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut variables = Variables::new(variable);
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
        let function = variables.function();
        let kms_key_arn = variables.text("TWO_BUCKETS_KMS_KEY_ARN");
        let jobs = variables.jobs();
        let single_copy_bytes_max = variables.number(
            "TWO_BUCKETS_SINGLE_COPY_BYTES_MAX",
            PART_BYTES_MIN..=SINGLE_COPY_BYTES_MAX,
            SINGLE_COPY_BYTES_MAX,
        );
        let conditional_copy = variables.truth("TWO_BUCKETS_CONDITIONAL_COPY", true);
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
                function,
                kms_key_arn,
                jobs,
                single_copy_bytes_max: single_copy_bytes_max?,
                conditional_copy: conditional_copy?,
            })
        })())
    }

    /// The ledger, for who holds leases.
    pub fn ledger(&self, clients: &Clients) -> DynamoLedger {
        self.ledger_by(clients.dynamodb())
    }

    /// The ledger, for who holds none and may be far from it.
    #[cfg(feature = "operator")]
    pub fn ledger_from_afar(&self, clients: &Clients) -> DynamoLedger {
        self.ledger_by(clients.dynamodb_from_afar())
    }

    fn ledger_by(&self, client: aws_sdk_dynamodb::Client) -> DynamoLedger {
        DynamoLedger::new(client, &self.ledger_table)
            .with_shards_if_new(self.ledger_shards)
            .with_history(self.history)
    }

    /// Both buckets. Calls nobody.
    pub fn store(&self, clients: &Clients) -> S3Store {
        let usual = S3StoreOptions::default();
        let options = S3StoreOptions {
            conditional_copy: self.conditional_copy,
            single_copy_bytes_max: self.single_copy_bytes_max,
            copy_part_bytes: usual.copy_part_bytes.min(self.single_copy_bytes_max),
            ..usual
        };
        S3Store::new(clients.s3(), options)
    }

    /// Where wake-ups go.
    pub fn wake_ups(&self, clients: &Clients) -> SqsWakeUps<SystemClock> {
        SqsWakeUps::new(clients.sqs(), self.queue_url.clone(), Arc::new(SystemClock))
    }

    /// What is run on each file: the user's function where one is named, else this. Calls nobody.
    pub fn chosen<P>(&self, clients: &Clients, own: P) -> Result<Chosen<P>, InvalidFunction> {
        let Some(named) = &self.function else {
            return Ok(Chosen::new(own, None));
        };
        let (limit, room_wait) = match self.processing_time_max {
            // Both together are as long as it is waited for a file.
            Some(both) => {
                let room_wait = ROOM_WAIT_MAX.min(both / 4);
                let limit = both.saturating_sub(room_wait).max(Duration::from_secs(1));
                (limit, room_wait)
            }
            None => (FUNCTION_TIME_MAX, ROOM_WAIT_MAX),
        };
        let options = FunctionOptions {
            arn: named.arn.clone(),
            role_arn: named.role_arn.clone(),
            archive: self.archive.clone(),
            kms_key_arn: self.kms_key_arn.clone(),
            limit,
            room_wait,
            permanent_errors: named.permanent_errors.clone(),
        };
        let function = Function::new(clients, Arc::new(SystemClock), Arc::new(random), options)?;
        Ok(Chosen::new(own, Some(function)))
    }

    /// What takes turns with this function, in this name. Calls nobody.
    pub fn turns<P: Processor>(
        &self,
        clients: &Clients,
        processor: P,
        settings: Settings,
        metrics: Metrics,
    ) -> Turns<P> {
        let ledger = self.ledger(clients);
        Turns::new(
            processor,
            TurnsOptions {
                store: self.store(clients),
                pauses: pauses(&ledger),
                ledger,
                wake_ups: self.wake_ups(clients),
                jobs: self.deployment_jobs(clients, &settings),
                settings,
                processing_time_max: self.processing_time_max,
                metrics,
            },
        )
    }

    /// What sweeps. Calls nobody.
    pub fn sweep(&self, clients: &Clients, settings: Settings, metrics: Metrics) -> Sweep {
        let ledger = self.ledger(clients);
        Sweep {
            store: self.store(clients),
            pauses: pauses(&ledger),
            ledger,
            wake_ups: self.wake_ups(clients),
            jobs: self.deployment_jobs(clients, &settings),
            settings,
            metrics,
        }
    }

    /// Who starts and ends jobs. Calls nobody.
    pub fn deployment_jobs(&self, clients: &Clients, settings: &Settings) -> DeploymentJobs {
        let Some(batch) = &self.jobs else {
            return DeploymentJobs::default();
        };
        let parts = JobsParts {
            store: self.store(clients),
            ledger: self.ledger(clients),
            wake_ups: self.wake_ups(clients),
            settings: settings.clone(),
        };
        let options = JobsOptions {
            queue: batch.queue.clone(),
            definition: batch.definition.clone(),
            at_once: JOBS_AT_ONCE,
        };
        DeploymentJobs::new(clients, parts, options)
    }

    /// How the pipeline works, in whose name. Files are jobs by their size alone.
    pub fn settings(&self, holder: Holder) -> Settings {
        let from_bytes = self.jobs.as_ref().and_then(|jobs| jobs.from_bytes);
        Settings {
            attempts_max: self.attempts_max,
            routes: from_bytes.map_or_else(Routes::default, Routes::jobs_from),
            ..Settings::new(self.staging.clone(), self.archive.clone(), holder)
        }
    }
}

/// Whether this ledger says that processing is paused.
fn pauses(ledger: &DynamoLedger) -> Pauses {
    let ledger = ledger.clone();
    Pauses::new(move || {
        let ledger = ledger.clone();
        async move { Ok(ledger.paused().await?.is_some()) }
    })
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn function(&mut self) -> Option<LambdaFunction> {
        let role_arn = self.text("TWO_BUCKETS_FUNCTION_ROLE_ARN");
        let permanent = self.text("TWO_BUCKETS_FUNCTION_PERMANENT_ERRORS");
        let permanent_errors = LambdaFunction::error_types(&permanent.unwrap_or_default());
        let arn = self.text("TWO_BUCKETS_FUNCTION_ARN")?;
        Some(LambdaFunction {
            arn,
            role_arn,
            permanent_errors,
        })
    }

    fn jobs(&mut self) -> Option<Batch> {
        let queue = self.text("TWO_BUCKETS_JOB_QUEUE");
        let definition = self.text("TWO_BUCKETS_JOB_DEFINITION");
        let from_bytes = self
            .text("TWO_BUCKETS_JOB_FROM_BYTES")
            .and_then(|_| self.number("TWO_BUCKETS_JOB_FROM_BYTES", 0..=u64::MAX, 0));
        match (queue, definition) {
            (Some(queue), Some(definition)) => Some(Batch {
                queue,
                definition,
                from_bytes,
            }),
            (None, None) => {
                if from_bytes.is_some() {
                    let problem = "TWO_BUCKETS_JOB_FROM_BYTES makes jobs, and TWO_BUCKETS_JOB_QUEUE names no queue for them";
                    self.problem(problem);
                }
                None
            }
            _ => {
                let problem = "TWO_BUCKETS_JOB_QUEUE and TWO_BUCKETS_JOB_DEFINITION go together";
                self.problem(problem);
                None
            }
        }
    }
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
                function: None,
                kms_key_arn: None,
                jobs: None,
                single_copy_bytes_max: 5 << 30,
                conditional_copy: true,
            }
        );
        let of_function = "arn:aws:lambda:eu-central-1:111122223333:function:thumbnails";
        let told = read(&[
            ("TWO_BUCKETS_FUNCTION_ARN", of_function),
            (
                "TWO_BUCKETS_FUNCTION_ROLE_ARN",
                "arn:aws:iam::111122223333:role/function",
            ),
            (
                "TWO_BUCKETS_FUNCTION_PERMANENT_ERRORS",
                "BadFile, UnicodeDecodeError",
            ),
            ("TWO_BUCKETS_JOB_QUEUE", "queue"),
            ("TWO_BUCKETS_JOB_DEFINITION", "definition:3"),
            ("TWO_BUCKETS_JOB_FROM_BYTES", "2147483648"),
        ])
        .unwrap();
        assert_eq!(
            told.function,
            Some(LambdaFunction {
                arn: of_function.into(),
                role_arn: Some("arn:aws:iam::111122223333:role/function".into()),
                permanent_errors: vec!["BadFile".into(), "UnicodeDecodeError".into()],
            })
        );
        assert_eq!(
            told.jobs,
            Some(Batch {
                queue: "queue".into(),
                definition: "definition:3".into(),
                from_bytes: Some(2_147_483_648),
            })
        );
    }

    #[test]
    fn every_problem_is_told() {
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
