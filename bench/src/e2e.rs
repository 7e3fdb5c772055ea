//! Small files by signed PUT until all are archived, beside a bare hyper sink and s3s-fs: `cargo xtask bench e2e`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::client::{self, Load, STAGING};
use crate::figures::{median, micros, percentile};
use crate::server::Server;
use crate::sink::Sink;
use crate::{clock, s3s_fs};

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The release program
    #[arg(long)]
    server: PathBuf,
    /// s3s-fs, another server of S3; without it only the sink is beside ours
    #[arg(long)]
    s3s_fs: Option<PathBuf>,
    /// Files of each round
    #[arg(long, default_value_t = 20_000)]
    files: u32,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Interleaved rounds
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// Files put one at a time on an idle server, to see how soon each is archived.
const IDLE_FILES: u32 = 300;
/// Between two looks at how much is archived, while the server is at work: asking must not cost it much.
const PAUSE: Duration = Duration::from_millis(20);

/// What is wanted: of a bare sink's rate, and of its processor time.
const E2E_TO_SINK_MIN: f64 = 1.0 / 3.0;
const CPU_TO_SINK_MAX: f64 = 10.0;

/// What one round of the server showed.
struct Round {
    puts_per_s: f64,
    files_per_s: f64,
    server_cpu_per_file: Duration,
    put_latencies: Vec<Duration>,
    idle_latencies: Vec<Duration>,
    peak_memory_bytes: u64,
}

/// What one round of a peer showed, which takes PUTs and does nothing with them afterwards.
struct PeerRound {
    puts_per_s: f64,
    cpu_per_put: Duration,
    put_latencies: Vec<Duration>,
}

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags) -> Result<()> {
    ensure!(
        flags.files > 0 && flags.connections > 0 && flags.rounds > 0,
        "there must be something to measure"
    );
    println!(
        "{} files of {} bytes, {} connections, {} rounds",
        flags.files, flags.size, flags.connections, flags.rounds
    );
    println!(
        "the server syncs each file before it answers and processes it meanwhile; s3s-fs stores it and syncs nothing; the sink stores nothing"
    );
    let (mut rounds, mut sink_rounds, mut s3s_fs_rounds) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=flags.rounds {
        let sink = sink_round(flags).await?;
        println!("round {number}: sink   {:>8.0} PUT/s", sink.puts_per_s);
        sink_rounds.push(sink);
        let round = server_round(&flags.server, flags).await?;
        println!(
            "round {number}: server {:>8.0} PUT/s  {:>8.0} files/s until all were archived",
            round.puts_per_s, round.files_per_s
        );
        rounds.push(round);
        // Behind the server: what it leaves in memory unwritten would be the server's to wait for.
        if let Some(program) = &flags.s3s_fs {
            let s3s_fs = s3s_fs_round(program, flags).await?;
            println!("round {number}: s3s-fs {:>8.0} PUT/s", s3s_fs.puts_per_s);
            s3s_fs_rounds.push(s3s_fs);
        }
    }
    report(&mut rounds, &mut sink_rounds, &mut s3s_fs_rounds);
    Ok(())
}

async fn server_round(program: &Path, flags: &Flags) -> Result<Round> {
    let server = Server::start(program, &[], &[]).await?;
    let idle_latencies = server.one_by_one(0..IDLE_FILES, flags.size).await?.archived;
    let (cpu_before, began) = (server.cpu()?, clock::now());
    let put_latencies = client::put_all(load(server.s3(), flags)).await?;
    let put = began.elapsed();
    server
        .until_archived(u64::from(flags.files + IDLE_FILES), PAUSE)
        .await?;
    let archived = began.elapsed();
    let cpu = server.cpu()?.saturating_sub(cpu_before);
    let files = f64::from(flags.files);
    Ok(Round {
        puts_per_s: files / put.as_secs_f64(),
        files_per_s: files / archived.as_secs_f64(),
        server_cpu_per_file: cpu / flags.files,
        put_latencies,
        idle_latencies,
        peak_memory_bytes: server.peak_memory_bytes()?,
    })
}

async fn sink_round(flags: &Flags) -> Result<PeerRound> {
    let sink = Sink::start().await?;
    peer_round(sink.address(), || sink.cpu(), flags).await
}

async fn s3s_fs_round(program: &Path, flags: &Flags) -> Result<PeerRound> {
    let peer = s3s_fs::start(program).await?;
    peer_round(peer.address(), || peer.cpu(), flags).await
}

async fn peer_round(
    address: String,
    cpu: impl Fn() -> Result<Duration>,
    flags: &Flags,
) -> Result<PeerRound> {
    let (cpu_before, began) = (cpu()?, clock::now());
    let put_latencies = client::put_all(load(address, flags)).await?;
    let took = began.elapsed();
    Ok(PeerRound {
        puts_per_s: f64::from(flags.files) / took.as_secs_f64(),
        cpu_per_put: cpu()?.saturating_sub(cpu_before) / flags.files,
        put_latencies,
    })
}

/// What every server gets.
fn load(address: String, flags: &Flags) -> Load {
    Load {
        address,
        bucket: STAGING,
        prefix: "load".into(),
        files: flags.files,
        connections: flags.connections,
        size: flags.size,
    }
}

fn report(rounds: &mut [Round], sink_rounds: &mut [PeerRound], s3s_fs_rounds: &mut [PeerRound]) {
    let puts = median(rounds.iter().map(|round| round.puts_per_s));
    let files = median(rounds.iter().map(|round| round.files_per_s));
    let sink = rate(sink_rounds);
    let cpu = median(rounds.iter().map(|round| micros(round.server_cpu_per_file)));
    let sink_cpu = cpu_per_put(sink_rounds);
    println!("\nmedians of the rounds");
    println!("  PUT answered             {puts:>9.0} /s");
    println!("  archived, end to end     {files:>9.0} /s");
    println!("  sink                     {sink:>9.0} /s");
    println!("  PUT to sink              {:>9.2}", puts / sink);
    println!(
        "  end to end to sink       {:>9.2} (at least {E2E_TO_SINK_MIN:.2})",
        files / sink
    );
    println!("  server CPU per file      {cpu:>9.1} us");
    println!("  sink CPU per PUT         {sink_cpu:>9.1} us");
    println!(
        "  server CPU to sink       {:>9.2} (at most {CPU_TO_SINK_MAX})",
        cpu / sink_cpu
    );
    if s3s_fs_rounds.is_empty() {
        println!("  s3s-fs                    skipped: --s3s-fs names none");
    } else {
        let (s3s_fs, s3s_fs_cpu) = (rate(s3s_fs_rounds), cpu_per_put(s3s_fs_rounds));
        println!("  s3s-fs, without a sync   {s3s_fs:>9.0} /s");
        println!("  PUT to s3s-fs            {:>9.2}", puts / s3s_fs);
        println!("  s3s-fs CPU per PUT       {s3s_fs_cpu:>9.1} us");
        println!(
            "  server CPU to s3s-fs     {:>9.2} (the server's is of processing too)",
            cpu / s3s_fs_cpu
        );
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        let of_puts = median(
            rounds
                .iter_mut()
                .map(|it| micros(percentile(&mut it.put_latencies, share))),
        );
        let of_idle = median(
            rounds
                .iter_mut()
                .map(|it| micros(percentile(&mut it.idle_latencies, share))),
        );
        let of_sink = latency(sink_rounds, share);
        let of_s3s_fs = if s3s_fs_rounds.is_empty() {
            "skipped".to_owned()
        } else {
            format!("{:.0} us", latency(s3s_fs_rounds, share))
        };
        println!(
            "  {name}: PUT {of_puts:>9.0} us, sink PUT {of_sink:>9.0} us, s3s-fs PUT {of_s3s_fs:>12}, idle PUT answer to archived {of_idle:>9.0} us"
        );
    }
    let memory = rounds
        .iter()
        .map(|round| round.peak_memory_bytes)
        .max()
        .unwrap_or(0);
    println!("  peak memory of the server {:>8} MiB", memory >> 20);
}

fn rate(rounds: &[PeerRound]) -> f64 {
    median(rounds.iter().map(|it| it.puts_per_s))
}

fn cpu_per_put(rounds: &[PeerRound]) -> f64 {
    median(rounds.iter().map(|it| micros(it.cpu_per_put)))
}

fn latency(rounds: &mut [PeerRound], share: f64) -> f64 {
    median(
        rounds
            .iter_mut()
            .map(|it| micros(percentile(&mut it.put_latencies, share))),
    )
}
