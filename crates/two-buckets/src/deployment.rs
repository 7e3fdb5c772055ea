//! Where a deployment on AWS has its parts: as the settings name them one by one, and for the rest as its stack says.

use two_buckets_aws::ledger::DynamoLedger;
use two_buckets_aws::operator::{NoStack, Stack, describe};
use two_buckets_aws::worker::{Batch, Config, LambdaFunction};
use two_buckets_aws::{ClientOptions, Clients};
use two_buckets_objects::BucketName;

use std::str::FromStr;
use std::time::Duration;

use crate::config::{Origin, Setting, Settings};
use crate::failure::Failure;

/// What the history is said in.
const DAY: Duration = Duration::from_hours(24);

/// A deployment.
pub(crate) struct Deployment {
    /// Clients in its region.
    pub(crate) clients: Clients,
    /// Its parts.
    pub(crate) config: Config,
    /// What its stack says; none where all parts were named one by one, for then nobody is asked.
    pub(crate) stack: Option<Stack>,
}

impl Deployment {
    /// What its stack says of something that not all deployments have.
    pub(crate) fn output(&self, name: &str) -> Option<&str> {
        self.stack.as_ref()?.output(name)
    }
}

/// Finds the deployment that is meant. Asks `CloudFormation` where that is needed.
pub(crate) async fn find(settings: &Settings) -> Result<Deployment, Failure> {
    let clients = clients(settings).await?;
    let stack = match &settings.aws.stack.value {
        Some(name) if !are_all_named(settings) => {
            Some(describe(&clients, name).await.map_err(unknown)?)
        }
        _ => None,
    };
    let config = config(settings, stack.as_ref())?;
    Ok(Deployment {
        clients,
        config,
        stack,
    })
}

/// Clients by the environment and the settings.
pub(crate) async fn clients(settings: &Settings) -> Result<Clients, Failure> {
    let options = ClientOptions {
        region: said(&settings.region).cloned(),
        ..ClientOptions::default()
    };
    let clients = Clients::from_environment(&options).await;
    clients.map_err(|error| Failure::usage(error.to_string()))
}

fn unknown(why: NoStack) -> Failure {
    match why {
        NoStack::NotThere { .. } => Failure::usage(why.to_string()),
        why => Failure::failed(why.to_string()),
    }
}

fn are_all_named(settings: &Settings) -> bool {
    said(&settings.staging).is_some()
        && said(&settings.archive).is_some()
        && settings.aws.ledger_table.value.is_some()
        && settings.aws.queue_url.value.is_some()
}

/// The parts; with everything that is not said by anybody.
fn config(settings: &Settings, stack: Option<&Stack>) -> Result<Config, Failure> {
    let aws = &settings.aws;
    let mut problems = Vec::new();
    // The names that buckets have on one machine are somebody else's on AWS.
    let staging = bucket(
        &settings.staging,
        "staging",
        "StagingBucket",
        stack,
        &mut problems,
    );
    let archive = bucket(
        &settings.archive,
        "archive",
        "ArchiveBucket",
        stack,
        &mut problems,
    );
    let mut text = |said: &Option<String>, what: &str, flag: &str, output: &str| {
        said.clone()
            .or_else(|| of_stack(what, flag, output, stack, &mut problems))
    };
    let ledger_table = text(
        &aws.ledger_table.value,
        "the ledger",
        "ledger-table",
        "LedgerTable",
    );
    let queue_url = text(
        &aws.queue_url.value,
        "the queue of wake-ups",
        "queue-url",
        "QueueUrl",
    );
    if staging.is_some() && staging == archive {
        problems.push("the staging and the archive bucket are one bucket".to_owned());
    }
    let (Some(staging), Some(archive), Some(ledger_table), Some(queue_url), []) =
        (staging, archive, ledger_table, queue_url, &problems[..])
    else {
        return Err(Failure::usage(problems.join("; ")));
    };
    Ok(Config {
        stack: aws.stack.value.clone(),
        staging,
        archive,
        ledger_table,
        // Whoever comes first decides, so it must be what the stack's own functions are told.
        ledger_shards: (aws.ledger_shards.value)
            .or_else(|| made_with(stack, "LedgerShards"))
            .unwrap_or(DynamoLedger::SHARDS_DEFAULT),
        queue_url,
        attempts_max: made_with(stack, "MaxAttempts")
            .filter(|_| settings.max_attempts.origin == Origin::Default)
            .unwrap_or(settings.max_attempts.value),
        history: DAY
            * made_with(stack, "HistoryDays")
                .filter(|_| settings.history_days.origin == Origin::Default)
                .unwrap_or(settings.history_days.value),
        processing_time_max: None,
        function: function(settings, stack),
        kms_key_arn: aws
            .kms_key_arn
            .value
            .clone()
            .or_else(|| made_with(stack, "KmsKeyArn")),
        jobs: jobs(settings, stack),
        single_copy_bytes_max: aws.single_copy_bytes_max.value,
        conditional_copy: aws.conditional_copy.value,
    })
}

/// The user's function on Lambda: the one that is named, or the stack's unless a command is to run in its place.
fn function(settings: &Settings, stack: Option<&Stack>) -> Option<LambdaFunction> {
    let aws = &settings.aws;
    let permanent_errors = settings.function.permanent_errors.value.clone();
    if let Some(arn) = aws.function_arn.value.clone() {
        return Some(LambdaFunction {
            arn,
            role_arn: aws.function_role_arn.value.clone(),
            permanent_errors,
        });
    }
    let stack = stack.filter(|_| settings.command.command.value.is_none())?;
    Some(LambdaFunction {
        arn: stack.output("FunctionArn")?.to_owned(),
        role_arn: (aws.function_role_arn.value.clone())
            .or_else(|| stack.output("FunctionRoleArn").map(str::to_owned)),
        permanent_errors: if permanent_errors.is_empty() {
            let of_stack = stack.parameters.get("UserFunctionPermanentErrors");
            LambdaFunction::error_types(of_stack.map(String::as_str).unwrap_or_default())
        } else {
            permanent_errors
        },
    })
}

fn jobs(settings: &Settings, stack: Option<&Stack>) -> Option<Batch> {
    let of_stack = |output| {
        stack
            .and_then(|stack| stack.output(output))
            .map(str::to_owned)
    };
    let aws = &settings.aws;
    Some(Batch {
        queue: aws
            .job_queue
            .value
            .clone()
            .or_else(|| of_stack("JobQueue"))?,
        definition: aws
            .job_definition
            .value
            .clone()
            .or_else(|| of_stack("JobDefinition"))?,
        from_bytes: (settings.job.from_bytes.value).or_else(|| made_with(stack, "JobFromBytes")),
    })
}

fn bucket(
    setting: &Setting<BucketName>,
    flag: &str,
    output: &str,
    stack: Option<&Stack>,
    problems: &mut Vec<String>,
) -> Option<BucketName> {
    if let Some(named) = said(setting) {
        return Some(named.clone());
    }
    let what = format!("the {flag} bucket");
    let name = of_stack(&what, flag, output, stack, problems)?;
    name.parse()
        .map_err(|error| problems.push(format!("the stack's output {output}: {error}")))
        .ok()
}

fn of_stack(
    what: &str,
    flag: &str,
    output: &str,
    stack: Option<&Stack>,
    problems: &mut Vec<String>,
) -> Option<String> {
    let Some(stack) = stack else {
        problems.push(format!(
            "{what} is not named: give --{flag}, or --stack for all parts"
        ));
        return None;
    };
    match stack.needed(output) {
        Ok(value) => Some(value.to_owned()),
        Err(lacks) => {
            problems.push(lacks.to_string());
            None
        }
    }
}

/// What a stack was made with, where it says so and is understood.
fn made_with<T: FromStr>(stack: Option<&Stack>, parameter: &str) -> Option<T> {
    let value = stack?.parameters.get(parameter)?;
    value.parse().ok().filter(|_| !value.is_empty())
}

/// A setting that somebody made.
pub(crate) fn said<T>(setting: &Setting<T>) -> Option<&T> {
    (setting.origin != Origin::Default).then_some(&setting.value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use two_buckets_aws::operator::Stack;
    use two_buckets_aws::worker::Config;

    use crate::config::{Environment, Flags, Settings};

    const OUTPUTS: [(&str, &str); 4] = [
        ("StagingBucket", "files-staging"),
        ("ArchiveBucket", "files-archive"),
        ("LedgerTable", "files-ledger"),
        ("QueueUrl", "https://sqs.example/1/files"),
    ];

    fn stack(but: &[&str]) -> Stack {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let there = OUTPUTS.into_iter().filter(|(name, _)| !but.contains(name));
        let made_with = [
            ("LedgerShards", "3"),
            ("HistoryDays", "30"),
            ("MaxAttempts", "7"),
        ];
        Stack {
            name: "files".into(),
            status: "CREATE_COMPLETE".into(),
            outputs: there.map(owned).collect(),
            parameters: made_with.map(owned).into(),
        }
    }

    fn check(flags: &[(&'static str, &str)], stack: Option<&Stack>) -> Result<Config, String> {
        let values = flags.iter().map(|(name, value)| (*name, (*value).into()));
        let flags = Flags {
            config_file: Some("/dev/null".into()),
            values: values.collect(),
        };
        let settings = Settings::resolve(&flags, &Environment(BTreeMap::new())).unwrap();
        super::config(&settings, stack).map_err(|failure| {
            assert_eq!(failure.code(), 2);
            failure.to_string()
        })
    }

    #[test]
    fn a_stack_says_where_its_parts_are_and_with_what_it_was_made() {
        let config = check(&[("stack", "files")], Some(&stack(&[]))).unwrap();
        assert_eq!(
            config,
            Config {
                stack: Some("files".into()),
                staging: "files-staging".parse().unwrap(),
                archive: "files-archive".parse().unwrap(),
                ledger_table: "files-ledger".into(),
                ledger_shards: 3,
                queue_url: "https://sqs.example/1/files".into(),
                attempts_max: 7,
                history: Duration::from_hours(720),
                processing_time_max: None,
                function: None,
                kms_key_arn: None,
                jobs: None,
                single_copy_bytes_max: 5 << 30,
                conditional_copy: true,
            }
        );
    }

    #[test]
    fn a_stacks_function_and_jobs_are_a_workers_unless_it_names_others() {
        let mut stack = stack(&[]);
        for (name, value) in [
            ("FunctionArn", "arn:aws:lambda:x:1:function:f"),
            ("FunctionRoleArn", "arn:aws:iam::1:role/r"),
            ("JobQueue", "queue"),
            ("JobDefinition", "definition:1"),
        ] {
            stack.outputs.insert(name.into(), value.into());
        }
        stack
            .parameters
            .insert("JobFromBytes".into(), "1000".into());
        stack.parameters.insert("KmsKeyArn".into(), String::new());
        stack.parameters.insert(
            "UserFunctionPermanentErrors".into(),
            "BadFile,TooOld".into(),
        );
        let config = check(&[], Some(&stack)).unwrap();
        let function = config.function.unwrap();
        assert_eq!(function.arn, "arn:aws:lambda:x:1:function:f");
        assert_eq!(function.role_arn.as_deref(), Some("arn:aws:iam::1:role/r"));
        assert_eq!(function.permanent_errors, ["BadFile", "TooOld"]);
        let jobs = config.jobs.unwrap();
        assert_eq!(
            (&*jobs.queue, &*jobs.definition, jobs.from_bytes),
            ("queue", "definition:1", Some(1_000))
        );
        assert_eq!(config.kms_key_arn, None);
        let other = "arn:aws:lambda:x:1:function:g";
        let flags = [("function-arn", other), ("job-from-bytes", "7")];
        let config = check(&flags, Some(&stack)).unwrap();
        let function = config.function.unwrap();
        assert_eq!((&*function.arn, function.role_arn), (other, None));
        assert_eq!(config.jobs.unwrap().from_bytes, Some(7));
        assert_eq!(
            check(&[("command", "cat")], Some(&stack)).unwrap().function,
            None
        );
    }

    #[test]
    fn a_part_that_is_named_comes_before_the_stacks() {
        let flags = [
            ("staging", "other"),
            ("queue-url", "https://q"),
            ("max-attempts", "2"),
            ("ledger-shards", "9"),
        ];
        let stack = stack(&["StagingBucket"]);
        let config = check(&flags, Some(&stack)).unwrap();
        assert_eq!(config.staging.as_str(), "other");
        assert_eq!(config.archive.as_str(), "files-archive");
        assert_eq!(config.queue_url, "https://q");
        assert_eq!((config.attempts_max, config.ledger_shards), (2, 9));
    }

    #[test]
    fn everything_that_nobody_says_is_told_at_once() {
        let problems = check(&[("ledger-table", "t")], None).unwrap_err();
        for flag in ["--staging", "--archive", "--queue-url", "--stack"] {
            assert!(problems.contains(flag), "{flag} in {problems}");
        }
        assert!(!problems.contains("--ledger-table"), "{problems}");
        let problems = check(&[], Some(&stack(&["QueueUrl", "LedgerTable"]))).unwrap_err();
        for word in ["files", "QueueUrl", "LedgerTable", "another version"] {
            assert!(problems.contains(word), "{word} in {problems}");
        }
    }

    #[test]
    fn the_two_buckets_are_two() {
        let problem = check(&[("archive", "files-staging")], Some(&stack(&[]))).unwrap_err();
        assert!(problem.contains("one bucket"), "{problem}");
    }
}
