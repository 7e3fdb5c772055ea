//! The Lambda functions as programs.

use std::sync::Arc;

use futures::FutureExt as _;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{Clock as _, DynProcessor};

use super::logs::begin_logs;
use super::processing::Processing;
use crate::function::InvalidFunction;
use crate::worker::{Bounds, Config, Metrics, Problems, Sweep, SweepFailed, SystemClock, holder};
use crate::{ClientOptions, Clients, NoRegion};

/// Why a function's environment does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// What it was told does not fit.
    #[error("the function is not configured: {0}")]
    Config(#[from] Problems),
    /// The user's function is none.
    #[error("TWO_BUCKETS_FUNCTION_ARN: {0}")]
    Function(#[from] InvalidFunction),
    /// It has no region.
    #[error(transparent)]
    NoRegion(#[from] NoRegion),
    /// Logs cannot be written.
    #[error("{0}")]
    Logs(String),
    /// The Runtime API went away.
    #[error("the Runtime API failed: {0}")]
    Runtime(String),
}

/// Serves invocations of the processor until Lambda ends the environment: with this on each file, or with the Lambda
/// function of the user's that the deployment names in its place.
///
/// Told by `variable` where everything is. Making clients calls nobody, so a cold start waits for the first file's calls
/// only.
pub async fn run_processor(
    processor: Arc<dyn DynProcessor>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), Broken> {
    let Parts {
        config,
        clients,
        holder,
        metrics,
    } = Parts::found(&variable).await?;
    let chosen = config.chosen(&clients, processor)?;
    let turns = config.turns(&clients, chosen, config.settings(holder), metrics);
    let processing = Arc::new(Processing::new(Arc::new(turns)));
    let serve = service_fn(move |event: LambdaEvent<Value>| {
        let processing = Arc::clone(&processing);
        async move {
            let deadline = deadline(&event);
            let answer = processing.handle(&event.payload, deadline).boxed().await?;
            Ok::<_, lambda_runtime::Error>(answer)
        }
    });
    lambda_runtime::run(serve)
        .await
        .map_err(|error| Broken::Runtime(error.to_string()))
}

/// Serves invocations of the sweep until Lambda ends the environment. What it is called with does not matter.
pub async fn run_sweep(variable: impl Fn(&str) -> Option<String>) -> Result<(), Broken> {
    let Parts {
        config,
        clients,
        holder,
        metrics,
    } = Parts::found(&variable).await?;
    let swept = Arc::new(config.sweep(&clients, config.settings(holder), metrics));
    let serve = service_fn(move |event: LambdaEvent<Value>| {
        let swept = Arc::clone(&swept);
        async move {
            // Boxed as a `dyn`, for the compiler does not look through the type of all that a sweep awaits.
            let found = sweep(&swept, deadline(&event)).boxed().await?;
            Ok::<_, lambda_runtime::Error>(found)
        }
    });
    lambda_runtime::run(serve)
        .await
        .map_err(|error| Broken::Runtime(error.to_string()))
}

/// Does one invocation of the sweep and gives its answer: what it found. Stops in time for that; a sweep that is not
/// whole is a failure.
pub async fn sweep(sweep: &Sweep, deadline: Timestamp) -> Result<Value, SweepFailed> {
    let bounds = Bounds::of_invocation(SystemClock.now(), deadline);
    let stopping = || SystemClock.now() >= bounds.process_until;
    let found = sweep.run(&stopping).await?;
    Ok(json!({
        "listed": found.swept.listed,
        "woken": found.swept.woken,
        "expired": found.swept.expired,
        "markers_removed": found.swept.markers_removed,
        "passed_over": found.swept.passed_over,
        "oldest_unfinished_s": found.oldest_unfinished_s,
        "jobs_started": found.jobs_started,
        "jobs_ended": found.jobs_ended,
    }))
}

/// When the invocation is cut off.
pub(crate) fn deadline(event: &LambdaEvent<Value>) -> Timestamp {
    Timestamp::from_millis(i64::try_from(event.context.deadline).unwrap_or(i64::MAX))
}

/// What both are made of.
struct Parts {
    config: Config,
    clients: Clients,
    holder: two_buckets_pipeline::Holder,
    metrics: Metrics,
}

impl Parts {
    async fn found(variable: &impl Fn(&str) -> Option<String>) -> Result<Self, Broken> {
        begin_logs(variable("TWO_BUCKETS_LOG").as_deref()).map_err(Broken::Logs)?;
        let config = Config::read(variable)?;
        let clients = Clients::from_environment(&ClientOptions::default()).await?;
        let metrics = Metrics::new(config.stack.as_deref(), print);
        // Its log stream is what people find an environment by.
        let stream = variable("AWS_LAMBDA_LOG_STREAM_NAME");
        Ok(Self {
            config,
            clients,
            holder: holder(stream.as_deref().unwrap_or("lambda")),
            metrics,
        })
    }
}

#[expect(
    clippy::print_stdout,
    reason = "standard output is a function's log, from which CloudWatch takes figures"
)]
fn print(line: &str) {
    println!("{line}");
}
