//! The same function under our Lambda host.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tempfile::TempDir;
use two_buckets_lambda_host::{Config, Environment, Host, Invocation};

use crate::clock;

/// The host with one environment.
pub(super) struct Hosted {
    host: Host,
    _scratch: TempDir,
}

impl Hosted {
    /// Starts it; the function is started by the first invocation.
    pub(super) fn start(function: &Path) -> Result<Self> {
        let scratch = tempfile::Builder::new()
            .prefix("two-buckets-bench-overhead-")
            .tempdir()?;
        let host = Host::start(Config {
            name: "function".to_owned(),
            region: "us-east-1".to_owned(),
            command: vec![function.as_os_str().to_owned()],
            folder: function.parent().map(Into::into).unwrap_or_default(),
            handler: "bootstrap".to_owned(),
            variables: Vec::<(OsString, OsString)>::new().into_iter().collect(),
            concurrency: 1,
            memory_mib: 512,
            cgroups: None,
            timeout: Duration::from_mins(1),
            init_timeout: Duration::from_secs(10),
            kill_after: Duration::ZERO,
            idle_timeout: Duration::from_mins(5),
            recycle_after: u32::MAX,
            life_max: Duration::from_hours(2),
            scratch: scratch.path().to_owned(),
            scratch_bytes_max: 512 << 20,
            log_bytes_max: 1 << 20,
            new_environment: Arc::new(|_| Ok(Vec::new().into_iter().collect())),
            environment_ended: Arc::new(|_| {}),
        })?;
        Ok(Self {
            host,
            _scratch: scratch,
        })
    }

    /// How long the host takes to give the function's answer.
    pub(super) async fn invoke(&self, event: &str) -> Result<Duration> {
        let began = clock::now();
        let environment = self.host.acquire().await.map_err(|it| anyhow!("{it}"))?;
        Environment::invoke(environment, Invocation::new(event.to_owned()))
            .await
            .map_err(|it| anyhow!("{it}"))?;
        Ok(began.elapsed())
    }

    /// Ends the function.
    pub(super) async fn stop(self) {
        self.host.stop().await;
    }
}
