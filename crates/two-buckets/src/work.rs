//! `two-buckets work`: a worker of a deployment on AWS that lives for long, on any machine.
//!
//! This is composition only; what becomes of a file is said in `pipeline`, and how on AWS in `aws`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_aws::wake::{Receiver, ReceiverOptions};
use two_buckets_aws::worker::{
    Batch, Config, LambdaFunction, Metrics, SystemClock, Worker, WorkerOptions, check_buckets,
    holder,
};
use two_buckets_aws::{ClientOptions, Clients};
use two_buckets_pipeline::{Processor, Settings as PipelineSettings};

use crate::config::{Origin, Setting, Settings};
use crate::failure::Failure;
use crate::server::functions::{WorkFolder, in_worker};
use crate::server::signals::Signals;

/// How long files in work may go on once the worker was told to stop. Service managers kill after 90 s (systemd) or 30 s
/// (Kubernetes, ECS).
const DRAIN_MAX: Duration = Duration::from_secs(25);
/// The time between sweeps unless it is said: listing all of staging costs money here, and a deployment has a sweep of
/// its own.
const SWEEP_EVERY_DEFAULT: Duration = Duration::from_mins(5);
/// What the history is said in.
const DAY: Duration = Duration::from_hours(24);

/// Works until it is told to stop and has drained.
pub(crate) async fn run<P: Processor>(processor: P, settings: &Settings) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    let config = config(settings)?;
    let (routes, folder) = in_worker(processor, settings)?;
    let options = ClientOptions {
        region: said(&settings.region).cloned(),
        ..ClientOptions::default()
    };
    let clients = Clients::from_environment(&options)
        .await
        .map_err(|error| Failure::usage(error.to_string()))?;
    check_buckets(&clients.s3(), &[&config.staging, &config.archive])
        .await
        .map_err(|error| Failure::failed(error.to_string()))?;
    let holder = holder("work");
    let metrics = Metrics::new(config.stack.as_deref(), |line| {
        // Whoever closed standard output wants no figures.
        _ = writeln!(std::io::stdout(), "{line}");
    });
    let pipeline = PipelineSettings {
        routes: routes.jobs(settings.job.from_bytes.value),
        ..config.settings(holder.clone())
    };
    let chosen = config
        .chosen(&clients, routes)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let name = chosen.name();
    let worker = Worker {
        turns: Arc::new(config.turns(&clients, chosen, pipeline.clone(), metrics.clone())),
        receiver: Arc::new(Receiver::new(
            clients.sqs(),
            config.queue_url.clone(),
            Arc::new(SystemClock),
            ReceiverOptions {
                keys_at_once: settings.workers.value,
                ..ReceiverOptions::default()
            },
        )),
        sweep: config.sweep(&clients, pipeline, metrics),
        options: WorkerOptions {
            sweep_every: said(&settings.sweep_interval)
                .copied()
                .unwrap_or(SWEEP_EVERY_DEFAULT),
            drain_wait_max: DRAIN_MAX,
        },
    };
    show(&config, &name, settings.workers.value);
    tracing::info!(
        staging = %config.staging,
        archive = %config.archive,
        queue_url = config.queue_url,
        holder = holder.0,
        "ready"
    );
    let path = folder.path();
    let is_whole = Box::pin(worker.run(async move {
        signals.next().await;
        tracing::info!(
            "stopping: files in work may end first, at most {} s",
            DRAIN_MAX.as_secs()
        );
        tokio::spawn(
            signals.exit_at_next(move |code| WorkFolder::end_all_and_exit(path.as_deref(), code)),
        );
    }))
    .await;
    drop(folder);
    if is_whole {
        tracing::info!("stopped");
        Ok(())
    } else {
        Err(Failure::failed(format!(
            "files were still in work {} s after the worker was told to stop; they are tried again",
            DRAIN_MAX.as_secs()
        )))
    }
}

/// The deployment, as the settings say it; with everything that is wrong or not supported.
fn config(settings: &Settings) -> Result<Config, Failure> {
    let aws = &settings.aws;
    let mut problems = Vec::new();
    // The names they have on one machine are somebody else's on AWS.
    for (bucket, name) in [
        (&settings.staging, "staging"),
        (&settings.archive, "archive"),
    ] {
        if bucket.origin == Origin::Default {
            problems.push(format!("the bucket is not named: give --{name}"));
        }
    }
    if aws.ledger_table.value.is_none() {
        problems.push("the ledger is not named: give --ledger-table".to_owned());
    }
    if aws.queue_url.value.is_none() {
        problems.push("the queue of wake-ups is not named: give --queue-url".to_owned());
    }
    let has_jobs = settings.job.from_bytes.value.is_some()
        || settings.routes.routes.iter().any(|route| route.is_job);
    if has_jobs && aws.job_queue.value.is_none() {
        problems.push(
            "files are routed to jobs (--job-from-bytes, as = \"job\"), and there is no queue for them: give --job-queue \
             and --job-definition"
                .to_owned(),
        );
    }
    if aws.function_arn.value.is_some() && settings.command.command.value.is_some() {
        problems.push("--function-arn and --command: give one of them".to_owned());
    }
    let (Some(ledger_table), Some(queue_url), []) = (
        &aws.ledger_table.value,
        &aws.queue_url.value,
        problems.as_slice(),
    ) else {
        return Err(Failure::usage(problems.join("; ")));
    };
    Ok(Config {
        stack: aws.stack.value.clone(),
        staging: settings.staging.value.clone(),
        archive: settings.archive.value.clone(),
        ledger_table: ledger_table.clone(),
        ledger_shards: aws
            .ledger_shards
            .value
            .unwrap_or(two_buckets_aws::ledger::DynamoLedger::SHARDS_DEFAULT),
        queue_url: queue_url.clone(),
        attempts_max: settings.max_attempts.value,
        history: DAY * settings.history_days.value,
        processing_time_max: None,
        function: aws.function_arn.value.clone().map(|arn| LambdaFunction {
            arn,
            role_arn: aws.function_role_arn.value.clone(),
            permanent_errors: settings.function.permanent_errors.value.clone(),
        }),
        kms_key_arn: aws.kms_key_arn.value.clone(),
        jobs: jobs(settings),
    })
}

fn jobs(settings: &Settings) -> Option<Batch> {
    Some(Batch {
        queue: settings.aws.job_queue.value.clone()?,
        definition: settings.aws.job_definition.value.clone()?,
        from_bytes: settings.job.from_bytes.value,
    })
}

/// A setting that somebody made.
fn said<T>(setting: &Setting<T>) -> Option<&T> {
    (setting.origin != Origin::Default).then_some(&setting.value)
}

/// What a person sees when the worker is ready.
fn show(config: &Config, processor: &str, workers: usize) {
    let text = format!(
        "\n  Two Buckets {} works: every file is given to `{processor}` and kept, {workers} at once.\n\n  \
         staging  {}\n  \
         archive  {}\n  \
         ledger   {}\n  \
         queue    {}\n\n",
        env!("CARGO_PKG_VERSION"),
        config.staging,
        config.archive,
        config.ledger_table,
        config.queue_url,
    );
    // Whoever closed standard error does not want to read this.
    _ = std::io::stderr().lock().write_all(text.as_bytes());
}
