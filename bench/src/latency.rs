//! How soon an idle server answers a PUT, and how soon the file is archived: `cargo xtask bench latency`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::client::{Connection, STAGING};
use crate::disk::Probe;
use crate::figures::{median, micros, percentile};
use crate::server::Server;
use crate::sink::Sink;

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The release program
    #[arg(long)]
    server: PathBuf,
    /// Files of each round, one at a time
    #[arg(long, default_value_t = 500)]
    files: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Interleaved rounds; medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// What a PUT may take, in sums of one sync and one round trip.
const PUT_TO_BARE_MAX: f64 = 1.5;
/// What may pass from a PUT's answer until the file is archived.
const ARCHIVED_P50_MAX: Duration = Duration::from_millis(2);
const ARCHIVED_P99_MAX: Duration = Duration::from_millis(10);

/// The latencies of one round.
struct Round {
    sync: Vec<Duration>,
    sink: Vec<Duration>,
    put: Vec<Duration>,
    archived: Vec<Duration>,
}

/// One kind of them.
type Latencies = fn(&mut Round) -> &mut Vec<Duration>;

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags) -> Result<()> {
    ensure!(
        flags.files > 0 && flags.rounds > 0,
        "there must be something to measure"
    );
    println!(
        "{} files of {} bytes one at a time on an idle server, {} rounds",
        flags.files, flags.size, flags.rounds
    );
    let server = Server::start(&flags.server, &[], &[]).await?;
    let sink = Sink::start().await?;
    let mut rounds = Vec::new();
    for number in 0..flags.rounds {
        rounds.push(round(&server, &sink, flags, number).await?);
    }
    report(&mut rounds);
    Ok(())
}

async fn round(server: &Server, sink: &Sink, flags: &Flags, number: u32) -> Result<Round> {
    let mut probe = Probe::new(server.folder())?;
    let bytes = vec![0x5a; flags.size];
    let sync = (0..flags.files)
        .map(|_| probe.append(&bytes))
        .collect::<Result<_>>()?;
    let mut connection = Connection::open(sink.address()).await?;
    let mut to_sink = Vec::new();
    for file in 0..flags.files {
        to_sink.push(
            connection
                .put((STAGING, &format!("idle/{file}")), flags.size)
                .await?,
        );
    }
    let before = number * flags.files;
    let one_by_one = server
        .one_by_one(before..before + flags.files, flags.size)
        .await?;
    Ok(Round {
        sync,
        sink: to_sink,
        put: one_by_one.puts,
        archived: one_by_one.archived,
    })
}

fn report(rounds: &mut [Round]) {
    let mut of = |share: f64, which: Latencies| {
        median(
            rounds
                .iter_mut()
                .map(|round| micros(percentile(which(round), share))),
        )
    };
    println!("\nmedians of the rounds, in us      p50      p99");
    let rows: [(&str, Latencies); 4] = [
        ("write and fdatasync", |it| &mut it.sync),
        ("PUT to the sink", |it| &mut it.sink),
        ("PUT", |it| &mut it.put),
        ("its answer until archived", |it| &mut it.archived),
    ];
    for (name, which) in rows {
        println!(
            "  {name:<27} {:>7.0}  {:>7.0}",
            of(0.5, which),
            of(0.99, which)
        );
    }
    let bare = of(0.5, |it| &mut it.sync) + of(0.5, |it| &mut it.sink);
    let put = of(0.5, |it| &mut it.put) / bare;
    let p50 = of(0.5, |it| &mut it.archived) / micros(ARCHIVED_P50_MAX);
    let p99 = of(0.99, |it| &mut it.archived) / micros(ARCHIVED_P99_MAX);
    println!("  PUT to sync and sink together, p50   {put:.2} (at most {PUT_TO_BARE_MAX})");
    println!("  archived, p50 to {ARCHIVED_P50_MAX:?}                {p50:.2} (below 1)");
    println!("  archived, p99 to {ARCHIVED_P99_MAX:?}               {p99:.2} (below 1)");
}
