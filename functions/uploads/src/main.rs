//! The Lambda function that serves the page and the upload API, behind an HTTP API or a function URL.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use tower::Layer as _;
use two_buckets_aws::gateway::{self, Config, Serving};
use two_buckets_aws::{ClientOptions, Clients, lambda};
use two_buckets_uploads::{GatewayLayer, KeyTemplate, UntilStop, UploadApi, router};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell where standard error is gone.
            _ = writeln!(std::io::stderr(), "uploads: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until Lambda ends the environment. Nothing before the first call waits for AWS.
async fn run() -> Result<()> {
    let variable = |name: &str| std::env::var_os(name)?.into_string().ok();
    lambda::begin_logs(variable("TWO_BUCKETS_LOG").as_deref()).map_err(|error| anyhow!(error))?;
    let config = Config::read(variable).context("the function is not configured")?;
    let clients = Clients::from_environment(&ClientOptions::default()).await?;
    let tracker = config.tracker(&clients, env!("CARGO_PKG_VERSION")).await?;
    let stores = [
        clients.bucket_url(&config.staging).await?,
        clients.s3_url(&config.staging).await?,
    ];
    let page = two_buckets_page::router(&stores.each_ref().map(String::as_str))?;
    let api = router(UploadApi {
        tracker,
        grants: config.grants(&clients).await?,
        key_template: KeyTemplate::default(),
        sources: gateway::sources(),
        // Changes are not streamed here.
        until_stop: UntilStop(Arc::new(|| Box::pin(std::future::ready(())))),
        // Faults and notifications are the server's, figures are CloudWatch's.
        faults: None,
        metrics: None,
        notifications: None,
    });
    let service = GatewayLayer::new(config.access()).layer(api.merge(page));
    gateway::run(Serving::new(service, config.signing, config.lists())).await?;
    Ok(())
}
