//! One server with one function, from its first file to its last.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use super::Flags;
use super::case::Case;
use crate::client::{self, Load, STAGING};
use crate::clock;
use crate::server::Server;

/// How often the bare language is started in each round.
const BARE_STARTS: u32 = 10;
/// How long one round may take.
const ROUND_WITHIN: Duration = Duration::from_mins(5);
/// Between two looks at how much is archived, while the server is at work: asking must not cost it much.
const PAUSE: Duration = Duration::from_millis(5);

/// What one round showed. Latencies are from a PUT's answer until the file is archived.
pub(crate) struct Round {
    /// The first file, put as soon as the server is ready; the server itself begins an environment then.
    pub(crate) first: Duration,
    /// The files after it, one at a time.
    pub(crate) warm: Vec<Duration>,
    /// Many at once: from the first PUT until the last is archived.
    pub(crate) files_per_s: f64,
    /// What the processes of one environment had resident after the warm files; 0 where nothing stays.
    pub(crate) memory_bytes: u64,
    /// The processor time of the server alone, for each of the many.
    pub(crate) server_cpu_per_file: Duration,
    /// The language, started for nothing until its end; each a start.
    pub(crate) bare: Vec<Duration>,
}

/// Starts a server with this function, and measures.
pub(crate) async fn run(case: &Case, flags: &Flags) -> Result<Round> {
    timeout(ROUND_WITHIN, measure(case, flags))
        .await
        .with_context(|| format!("it takes longer than {ROUND_WITHIN:?}"))?
}

async fn measure(case: &Case, flags: &Flags) -> Result<Round> {
    let bare = match &case.bare {
        Some(command) => bare_starts(command).await?,
        None => Vec::new(),
    };
    let workers = ("TWO_BUCKETS_WORKERS", flags.concurrency.to_string());
    let server = Server::start(&flags.server, &case.flags, &[workers]).await?;
    let first = server.one_by_one(0..1, flags.size).await?.archived;
    let before = 1 + flags.warm;
    let warm = server.one_by_one(1..before, flags.size).await?.archived;
    let memory_bytes = server.functions_memory_bytes()?;
    let cpu_before = server.cpu()?;
    let began = clock::now();
    client::put_all(Load {
        address: server.s3(),
        bucket: STAGING,
        prefix: "load".into(),
        files: flags.files,
        connections: flags.connections,
        size: flags.size,
    })
    .await?;
    server
        .until_archived(u64::from(before + flags.files), PAUSE)
        .await?;
    let took = began.elapsed();
    Ok(Round {
        first: first[0],
        warm,
        files_per_s: f64::from(flags.files) / took.as_secs_f64(),
        memory_bytes,
        server_cpu_per_file: server.cpu()?.saturating_sub(cpu_before) / flags.files,
        bare,
    })
}

async fn bare_starts(command: &[OsString]) -> Result<Vec<Duration>> {
    let mut starts = Vec::new();
    for _ in 0..BARE_STARTS {
        let began = clock::now();
        let status = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .status()
            .await?;
        starts.push(began.elapsed());
        ensure!(status.success(), "{}: {status}", command[0].display());
    }
    Ok(starts)
}
