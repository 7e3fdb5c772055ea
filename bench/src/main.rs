//! Measurements of the release program from outside: `cargo xtask bench` with `e2e`, `backlog` or `functions`.
//!
//! The client, the server and what it is compared with share one machine, so the figures compare programs there and nothing else.
//! Rounds alternate, each server round on a new data folder; medians of the rounds are printed.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod backlog;
mod client;
mod clock;
mod e2e;
mod figures;
mod functions;
mod server;
mod sink;

use anyhow::Result;
use clap::Parser;

/// Measurements of the release program from outside
#[derive(Parser)]
enum Bench {
    /// Small files by signed PUT until all are archived, beside a bare hyper sink
    E2e(e2e::Flags),
    /// Many files put in while processing is paused, then resumed
    Backlog(backlog::Flags),
    /// Functions in each language, beside the program's own processor and the bare language
    Functions(functions::Flags),
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
        Bench::Sink => runtime.block_on(sink::serve()),
    }
}
