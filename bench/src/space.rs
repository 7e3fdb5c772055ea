//! Bytes written for each small file end to end, and the room that it takes and gives back: `cargo xtask bench space`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use http_body_util::{Either, Full};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::client::{self, ARCHIVE, Connection, Load, STAGING};
use crate::clock;
use crate::disk::{Device, taken_bytes};
use crate::server::Server;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The release program
    #[arg(long)]
    server: PathBuf,
    /// Files
    #[arg(long, default_value_t = 100_000)]
    files: u32,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: usize,
}

const PAUSE: Duration = Duration::from_millis(100);
/// How long the room of what was deleted may take to come back.
const BACK_WITHIN: Duration = Duration::from_mins(1);
const PREFIX: &str = "load";

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags) -> Result<()> {
    ensure!(
        flags.files > 0 && flags.connections > 0,
        "there must be something to measure"
    );
    println!(
        "{} files of {} bytes, {} connections",
        flags.files, flags.size, flags.connections
    );
    let server = Server::start(&flags.server, &[], &[]).await?;
    let device = Device::of(server.folder())?;
    let (empty, before) = (taken_bytes(server.folder())?, settled(&device).await?);
    client::put_all(Load {
        address: server.s3(),
        bucket: STAGING,
        prefix: PREFIX.into(),
        files: flags.files,
        connections: flags.connections,
        size: flags.size,
    })
    .await?;
    server.until_archived(u64::from(flags.files), PAUSE).await?;
    let written = settled(&device).await? - before;
    let taken = taken_bytes(server.folder())?.saturating_sub(empty);
    let files = u64::from(flags.files);
    let of_payload = |bytes: u64| ratio(bytes, files * flags.size as u64);
    println!(
        "written for a file          {:>8} bytes, {:.2} of its own",
        written / files,
        of_payload(written)
    );
    println!(
        "taken by an archived file   {:>8} bytes, {:.2} of its own",
        taken / files,
        of_payload(taken)
    );

    delete_all(&server, flags).await?;
    let began = clock::now();
    let mut least = u64::MAX;
    while began.elapsed() < BACK_WITHIN {
        least = least.min(taken_bytes(server.folder())?.saturating_sub(empty));
        if least < taken / 10 {
            break;
        }
        tokio::time::sleep(PAUSE * 5).await;
    }
    println!(
        "taken once it was deleted   {:>8} bytes, {:.2} of what it took, after {:.0} s",
        least / files,
        ratio(least, taken),
        began.elapsed().as_secs_f64()
    );
    println!(
        "of that are the ledger's history and the log's last segments; the rest is what did not come back"
    );
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio is printed with few digits"
)]
fn ratio(bytes: u64, of: u64) -> f64 {
    bytes as f64 / of.max(1) as f64
}

/// What the device has written once nothing waits in memory.
async fn settled(device: &Device) -> Result<u64> {
    let synced = Command::new("sync").status().await.context("run sync")?;
    ensure!(synced.success(), "sync: {synced}");
    device.written_bytes()
}

/// Deletes each version in the archive for good.
async fn delete_all(server: &Server, flags: &Flags) -> Result<()> {
    let next = Arc::new(AtomicU32::new(0));
    let mut connections = JoinSet::new();
    for _ in 0..flags.connections {
        let (address, next, files) = (server.s3(), Arc::clone(&next), flags.files);
        connections.spawn(async move {
            let mut connection = Connection::open(address).await?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= files {
                    return anyhow::Ok(());
                }
                let key = format!("{PREFIX}/{number}");
                let at = (ARCHIVE, Some(&*key));
                let nothing = || Either::Left(Full::default());
                let (headers, _) = connection
                    .s3_whole(Method::HEAD, at, &[], nothing())
                    .await?;
                let version = headers
                    .get("x-amz-version-id")
                    .context("no version id")?
                    .to_str()?
                    .to_owned();
                connection
                    .s3_whole(Method::DELETE, at, &[("versionId", &version)], nothing())
                    .await?;
            }
        });
    }
    while let Some(done) = connections.join_next().await {
        done??;
    }
    Ok(())
}
