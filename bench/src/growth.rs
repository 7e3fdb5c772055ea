//! What becomes slower as the archive grows: `cargo xtask bench growth`.
//!
//! One long run. Bodies are small, so that the disk holds what there is of many objects: their rows, and their history.
//! History is kept of a million uploads, so what comes after more than those leaves nothing else than an object that is
//! put into the archive as it is: the most of them are, which takes a third of the time.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::client::{self, ARCHIVE, Connection, Load, STAGING};
use crate::clock;
use crate::disk::taken_bytes;
use crate::figures::{micros, millis, percentile};
use crate::server::Server;
use crate::sink::Sink;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The release program
    #[arg(long)]
    server: PathBuf,
    /// Objects in the archive at the end
    #[arg(long, default_value_t = 10_000_000)]
    files: u32,
    /// Of them, how many come through staging; the rest are put into the archive, between the first and the last rate
    #[arg(long, default_value_t = 1_200_000)]
    through_staging: u32,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 64)]
    size: usize,
}

/// Objects when the rate is first taken.
const FEW: u32 = 10_000;
/// Files by which a rate is taken.
const SAMPLE: u32 = 20_000;
/// Between two looks at how much is archived.
const PAUSE: Duration = Duration::from_millis(100);
/// Pages listed at places spread over the archive.
const PAGES: u32 = 50;
/// Into how many portions what grows is cut, to see how it goes.
const PORTIONS: u32 = 20;

/// What is wanted.
const RATE_MIN: f64 = 0.8;
const LATENCY_MAX: f64 = 1.2;
const PAGE_MAX: Duration = Duration::from_millis(5);
const RESTART_MAX: Duration = Duration::from_secs(2);
const MEMORY_MIB_MAX: u64 = 512;

/// A rate taken at one size.
struct Sample {
    sink: f64,
    puts: f64,
    p50: Duration,
    p99: Duration,
    archived: f64,
}

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags) -> Result<()> {
    ensure!(
        flags.files > FEW + 2 * SAMPLE && flags.connections > 0,
        "at least {} files",
        FEW + 2 * SAMPLE + 1
    );
    println!(
        "{} files of {} bytes, {} connections",
        flags.files, flags.size, flags.connections
    );
    let mut server = Server::start(&flags.server, &[], &[]).await?;
    let mut done = 0;
    put(&server, flags, &mut done, FEW, STAGING).await?;
    let few = sample(&server, flags, &mut done).await?;
    say(done, &few);
    let last = flags.files - SAMPLE;
    let portion = (last - done).div_ceil(PORTIONS);
    while done < last {
        let began = clock::now();
        let left = flags.through_staging.saturating_sub(done);
        let (bucket, how, most) = match left {
            0 => (ARCHIVE, "put into the archive", last - done),
            left => (STAGING, "archived", left.min(last - done)),
        };
        let files = portion.min(most);
        put(&server, flags, &mut done, files, bucket).await?;
        println!(
            "{done:>9} objects: {:>6.0} files/s {how}, {:>4} MiB resident, {:>6} MiB on the disk",
            f64::from(files) / began.elapsed().as_secs_f64(),
            server.memory_bytes()? >> 20,
            taken_bytes(server.folder())? >> 20,
        );
    }
    let many = sample(&server, flags, &mut done).await?;
    say(done, &many);
    let mut pages = pages(&server, flags).await?;
    let memory = server.memory_bytes()? >> 20;
    let peak = server.peak_memory_bytes()? >> 20;
    let restart = server.kill_and_start().await?;

    println!("\n{done} objects beside {FEW}");
    let to_sink = |sample: &Sample| sample.puts / sample.sink;
    println!(
        "  PUT rate                 {:>6.2} of what it was, by the sink's {:.2} (at least {RATE_MIN})",
        many.puts / few.puts,
        to_sink(&many) / to_sink(&few)
    );
    println!(
        "  PUT p50, p99             {:>6.2}, {:.2} of what they were (at most {LATENCY_MAX})",
        micros(many.p50) / micros(few.p50),
        micros(many.p99) / micros(few.p99)
    );
    println!(
        "  archived, rate           {:>6.2} of what it was",
        many.archived / few.archived
    );
    println!(
        "  a page of 1,000 keys     {:>6.1} ms p50, {:.1} p99 (below {})",
        millis(percentile(&mut pages, 0.5)),
        millis(percentile(&mut pages, 0.99)),
        PAGE_MAX.as_millis()
    );
    println!(
        "  first answer after kill  {:>6.0} ms (below {})",
        millis(restart),
        RESTART_MAX.as_millis()
    );
    println!("  resident                 {memory:>6} MiB, {peak} at most (below {MEMORY_MIB_MAX})");
    println!(
        "  on the disk              {:>6} bytes an object",
        taken_bytes(server.folder())? / u64::from(done)
    );
    Ok(())
}

fn say(objects: u32, sample: &Sample) {
    println!(
        "{objects:>9} objects: {:>6.0} PUT/s beside the sink's {:.0}, p50 {:.1} ms, p99 {:.1} ms, {:.0} files/s archived",
        sample.puts,
        sample.sink,
        millis(sample.p50),
        millis(sample.p99),
        sample.archived
    );
}

async fn sample(server: &Server, flags: &Flags, done: &mut u32) -> Result<Sample> {
    let sink = Sink::start().await?;
    let began = clock::now();
    client::put_all(load(sink.address(), flags, 0, SAMPLE, STAGING)).await?;
    let of_sink = f64::from(SAMPLE) / began.elapsed().as_secs_f64();
    let began = clock::now();
    let mut latencies = client::put_all(load(server.s3(), flags, *done, SAMPLE, STAGING)).await?;
    let put = began.elapsed();
    *done += SAMPLE;
    server.until_staging_is_empty(PAUSE).await?;
    Ok(Sample {
        sink: of_sink,
        puts: f64::from(SAMPLE) / put.as_secs_f64(),
        p50: percentile(&mut latencies, 0.5),
        p99: percentile(&mut latencies, 0.99),
        archived: f64::from(SAMPLE) / began.elapsed().as_secs_f64(),
    })
}

async fn put(
    server: &Server,
    flags: &Flags,
    done: &mut u32,
    files: u32,
    bucket: &'static str,
) -> Result<()> {
    client::put_all(load(server.s3(), flags, *done, files, bucket)).await?;
    *done += files;
    server.until_staging_is_empty(PAUSE).await
}

/// Keys begin with what spreads them, as dates and random names do together.
fn load(address: String, flags: &Flags, first: u32, files: u32, bucket: &'static str) -> Load {
    Load {
        address,
        bucket,
        prefix: format!("{:08x}", first.wrapping_mul(0x9e37_79b1)),
        files,
        connections: flags.connections,
        size: flags.size,
    }
}

async fn pages(server: &Server, flags: &Flags) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(server.s3()).await?;
    let mut latencies = Vec::new();
    for page in 0..PAGES {
        let after = format!("{:08x}", u64::from(page) * (1 << 32) / u64::from(PAGES));
        let began = clock::now();
        let xml = connection.list(ARCHIVE, &after, 1000).await?;
        latencies.push(began.elapsed());
        ensure!(!xml.is_empty() && flags.files > 1000, "an empty page");
    }
    Ok(latencies)
}
