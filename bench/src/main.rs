//! Measurements of the release program from outside, and of its Lambda host: `cargo xtask bench`.
//!
//! The client, the server and what it is compared with share one machine, so the figures compare programs there and nothing else.
//! Rounds alternate, each server round on a new data folder; medians of the rounds are printed.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod backlog;
mod client;
mod clock;
mod disk;
mod e2e;
mod figures;
mod functions;
mod growth;
mod large;
mod latency;
mod nginx;
mod overhead;
mod peer;
mod pieces;
mod process;
mod s3s_fs;
mod server;
mod sink;
mod space;

use anyhow::Result;
use clap::Parser;

/// Measurements of the release program from outside
#[derive(Parser)]
enum Bench {
    /// Small files by signed PUT until all are archived, beside a bare hyper sink and s3s-fs
    E2e(e2e::Flags),
    /// Many files put in while processing is paused, then resumed
    Backlog(backlog::Flags),
    /// Functions in each language, beside the program's own processor and the bare language
    Functions(functions::Flags),
    /// How soon an idle server answers a PUT and archives the file, beside one sync and the sink
    Latency(latency::Flags),
    /// What our Lambda host adds to a warm invocation
    Overhead(overhead::Flags),
    /// One large file at once and in parts, and its download, beside the disk, the hash and a static file server
    Large(large::Flags),
    /// Rate, latency, lists, memory and a restart after a kill as the archive grows
    Growth(growth::Flags),
    /// Bytes written and room taken for each small file, and the room that comes back
    Space(space::Flags),
    /// Be the sink: print an address, take requests, answer 200
    #[command(hide = true)]
    Sink,
}

fn main() -> Result<()> {
    // One thread for the client and one for the sink: on two cores neither takes the other's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match Bench::parse() {
        Bench::E2e(flags) => runtime.block_on(e2e::measure(&flags)),
        Bench::Backlog(flags) => runtime.block_on(backlog::measure(&flags)),
        Bench::Functions(flags) => runtime.block_on(functions::measure(&flags)),
        Bench::Latency(flags) => runtime.block_on(latency::measure(&flags)),
        Bench::Overhead(flags) => runtime.block_on(overhead::measure(&flags)),
        Bench::Large(flags) => runtime.block_on(large::measure(&flags)),
        Bench::Growth(flags) => runtime.block_on(growth::measure(&flags)),
        Bench::Space(flags) => runtime.block_on(space::measure(&flags)),
        Bench::Sink => runtime.block_on(sink::serve()),
    }
}
