//! `cargo xtask bench …`: measurements on the release program.

use anyhow::Result;
use clap::Subcommand;

use crate::program::Program;
use crate::{python, release, repository};

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Small files by signed PUT until all are archived, beside a bare hyper sink
    E2e(E2e),
    /// Peak memory of the server while one large file goes through
    Memory(Memory),
}

#[derive(clap::Args)]
pub(crate) struct E2e {
    /// Files of each round
    #[arg(long, default_value_t = 20_000)]
    files: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: u64,
    /// Interleaved rounds of server and sink; medians are printed
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

#[derive(clap::Args)]
pub(crate) struct Memory {
    /// Size of the file, in GiB
    #[arg(long, default_value_t = 5)]
    gib: u32,
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::E2e(flags) => e2e(flags),
        Bench::Memory(flags) => memory(flags),
    }
}

fn e2e(flags: &E2e) -> Result<()> {
    let server = release::build()?;
    let bench = release::build_package("two-buckets-bench", "e2e")?;
    Program::new(bench)
        .args(["--server".as_ref(), server.as_os_str()])
        .args(["--files", &flags.files.to_string()])
        .args(["--connections", &flags.connections.to_string()])
        .args(["--size", &flags.size.to_string()])
        .args(["--rounds", &flags.rounds.to_string()])
        .run()
}

fn memory(flags: &Memory) -> Result<()> {
    let server = release::build()?;
    let bin = python::environment()?;
    Program::new(bin.join("python"))
        .args([repository::root().join("tests").join("memory.py")])
        .args(["--gib", &flags.gib.to_string()])
        .env("TWO_BUCKETS_PROGRAM", server)
        .run()
}
