//! `two-buckets work`: a worker of a deployment on AWS that lives for long, on any machine.
//!
//! This is composition only; what becomes of a file is said in `pipeline`, and how on AWS in `aws`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_aws::wake::{Receiver, ReceiverOptions};
use two_buckets_aws::worker::{
    Config, Metrics, SystemClock, Worker, WorkerOptions, check_buckets, holder,
};
use two_buckets_pipeline::{DynProcessor, Processor as _, Settings as PipelineSettings};

use crate::config::Settings;
use crate::deployment::{self, Deployment, said};
use crate::failure::Failure;
use crate::server::functions::{WorkFolder, in_worker};
use crate::server::signals::Signals;

/// How long files in work may go on once the worker was told to stop. Service managers kill after 90 s (systemd) or 30 s
/// (Kubernetes, ECS).
const DRAIN_MAX: Duration = Duration::from_secs(25);
/// The time between sweeps unless it is said: listing all of staging costs money here, and a deployment has a sweep of
/// its own.
const SWEEP_EVERY_DEFAULT: Duration = Duration::from_mins(5);

/// Works until it is told to stop and has drained.
pub(crate) async fn run(
    processor: Arc<dyn DynProcessor>,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    let Deployment {
        clients, config, ..
    } = deployment::find(settings).await?;
    check(settings, &config)?;
    let (routes, folder) = in_worker(processor, settings)?;
    check_buckets(&clients.s3(), &[&config.staging, &config.archive])
        .await
        .map_err(|error| Failure::failed(error.to_string()))?;
    let holder = holder("work");
    let metrics = Metrics::new(config.stack.as_deref(), |line| {
        // Whoever closed standard output wants no figures.
        _ = writeln!(std::io::stdout(), "{line}");
    });
    let pipeline = PipelineSettings {
        routes: routes.jobs(config.jobs.as_ref().and_then(|jobs| jobs.from_bytes)),
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

/// Everything that is said of files and cannot be done with them.
fn check(settings: &Settings, config: &Config) -> Result<(), Failure> {
    let mut problems = Vec::new();
    let has_jobs = settings.job.from_bytes.value.is_some()
        || settings.routes.routes.iter().any(|route| route.is_job);
    if has_jobs && config.jobs.is_none() {
        problems.push(
            "files are routed to jobs (--job-from-bytes, as = \"job\"), and there is no queue for them: give --job-queue \
             and --job-definition",
        );
    }
    if settings.aws.function_arn.value.is_some() && settings.command.command.value.is_some() {
        problems.push("--function-arn and --command: give one of them");
    }
    match problems[..] {
        [] => Ok(()),
        _ => Err(Failure::usage(problems.join("; "))),
    }
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
