//! Many files put in while processing is paused, then resumed: `cargo xtask bench backlog`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::client::{self, Load, STAGING};
use crate::clock;
use crate::server::Server;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The release program
    #[arg(long)]
    server: PathBuf,
    /// Files that wait
    #[arg(long, default_value_t = 100_000)]
    files: u32,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: usize,
}

/// Between two looks at how much is archived: asking must not cost the server much.
const PAUSE: Duration = Duration::from_millis(100);
/// Into how many portions the drain is cut, to see whether it slows down.
const PORTIONS: u32 = 10;

/// Measures and prints: a stream that is processed as it comes, the same number paused and resumed, both on one server.
pub(crate) async fn measure(flags: &Flags) -> Result<()> {
    ensure!(
        flags.files >= PORTIONS && flags.connections > 0,
        "there must be something to measure"
    );
    println!(
        "{} files of {} bytes, {} connections",
        flags.files, flags.size, flags.connections
    );
    let server = Server::start(&flags.server, &[], &[]).await?;
    let idle = server.memory_bytes()?;
    let files = f64::from(flags.files);

    let began = clock::now();
    client::put_all(load(&server, "stream", flags)).await?;
    server.until_archived(u64::from(flags.files), PAUSE).await?;
    let stream = files / began.elapsed().as_secs_f64();
    println!("processed as they come      {stream:>8.0} files/s");

    server.post("/api/pause").await?;
    let began = clock::now();
    client::put_all(load(&server, "waits", flags)).await?;
    println!(
        "put while it is paused      {:>8.0} files/s",
        files / began.elapsed().as_secs_f64()
    );

    server.post("/api/resume").await?;
    let began = clock::now();
    let (mut slowest, mut before) = (f64::INFINITY, Duration::ZERO);
    for portion in 1..=PORTIONS {
        let wanted = u64::from(flags.files)
            + u64::from(flags.files) * u64::from(portion) / u64::from(PORTIONS);
        if portion == PORTIONS / 2 {
            // All of staging is listed while it drains.
            let swept = clock::now();
            server.post("/api/sweep").await?;
            println!(
                "a sweep in the middle took  {:>8.0} ms",
                swept.elapsed().as_secs_f64() * 1e3
            );
        }
        server.until_archived(wanted, PAUSE).await?;
        let now = began.elapsed();
        slowest =
            slowest.min(files / f64::from(PORTIONS) / now.saturating_sub(before).as_secs_f64());
        before = now;
    }
    let drain = files / before.as_secs_f64();
    println!(
        "drained after it resumed    {drain:>8.0} files/s in {:.1} s",
        before.as_secs_f64()
    );
    println!("  to those that came        {:>8.2}", drain / stream);
    println!("  slowest tenth to all      {:>8.2}", slowest / drain);
    println!(
        "memory of the server        {:>8} MiB at most, {} MiB when it began",
        server.peak_memory_bytes()? >> 20,
        idle >> 20
    );
    Ok(())
}

fn load(server: &Server, prefix: &str, flags: &Flags) -> Load {
    Load {
        address: server.s3(),
        bucket: STAGING,
        prefix: prefix.into(),
        files: flags.files,
        connections: flags.connections,
        size: flags.size,
    }
}
