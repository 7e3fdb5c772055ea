//! `cargo xtask bench …`: measurements on the release program.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::program::Program;
use crate::{crates, debian, package, python, release, repository, web};

/// The peer for PUT: the newest that Rust 1.95 builds, and on the same s3s as the program.
const S3S_FS_VERSION: &str = "0.14.1";

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Small files by signed PUT until all are archived, beside a bare hyper sink and s3s-fs
    E2e(E2e),
    /// Many files put in while processing is paused, then resumed, beside the same processed as they come
    Backlog(Backlog),
    /// Functions in Rust, Python, Node and as commands: cold start, latency, files/s and memory, beside the bare languages
    Functions(Functions),
    /// The packaged processor beside a handler as tutorials have it: cold start, warm time, memory, zip
    Lambda(Lambda),
    /// Peak memory of the server while one large file goes through
    Memory(Memory),
    /// How soon an idle server answers a PUT and archives the file, beside one sync and the sink
    Latency(Latency),
    /// One large file at once and in parts, and its download, beside the disk, the hash and nginx
    Large(Large),
    /// Rate, latency, lists, memory and a restart after a kill as the archive grows
    Growth(Growth),
    /// Bytes written and room taken for each small file, and the room that comes back
    Space(Space),
    /// What our Lambda host adds to a warm invocation, over a bare loop of the Runtime API
    Overhead(Overhead),
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
    /// Interleaved rounds of the sink, the server and s3s-fs; medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

#[derive(clap::Args)]
pub(crate) struct Backlog {
    /// Files that wait
    #[arg(long, default_value_t = 100_000)]
    files: u32,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: u64,
}

#[derive(clap::Args)]
pub(crate) struct Functions {
    /// Files put one at a time in each round
    #[arg(long, default_value_t = 200)]
    warm: u32,
    /// Files put at once in each round
    #[arg(long, default_value_t = 1000)]
    files: u32,
    /// Files in work at once: workers, and with them environments or processes
    #[arg(long, default_value_t = 4)]
    concurrency: u32,
    /// Interleaved rounds; medians are printed
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Measure only the cases whose names contain this text
    #[arg(long)]
    only: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Lambda {
    /// Rounds in turn, each with a cold start
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Files that a warm function gets in each round, one at a time
    #[arg(long, default_value_t = 50)]
    warm: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: u64,
}

#[derive(clap::Args)]
pub(crate) struct Memory {
    /// Size of the file, in GiB
    #[arg(long, default_value_t = 5)]
    gib: u32,
}

#[derive(clap::Args)]
pub(crate) struct Latency {
    /// Files of each round, one at a time
    #[arg(long, default_value_t = 500)]
    files: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: u64,
    /// Interleaved rounds; medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

#[derive(clap::Args)]
pub(crate) struct Large {
    /// The file's size, in MiB; the disk holds it three times
    #[arg(long, default_value_t = 4096)]
    mib: u32,
    /// Interleaved rounds; medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

#[derive(clap::Args)]
pub(crate) struct Growth {
    /// Objects in the archive at the end
    #[arg(long, default_value_t = 10_000_000)]
    files: u32,
    /// Bytes of each file: few, so that the disk holds the rows of many
    #[arg(long, default_value_t = 64)]
    size: u64,
}

#[derive(clap::Args)]
pub(crate) struct Space {
    /// Files
    #[arg(long, default_value_t = 100_000)]
    files: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: u64,
}

#[derive(clap::Args)]
pub(crate) struct Overhead {
    /// Warm invocations of each round, one after the other
    #[arg(long, default_value_t = 2_000)]
    invocations: u32,
    /// Interleaved rounds; medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::E2e(flags) => e2e(flags),
        Bench::Backlog(flags) => backlog(flags),
        Bench::Functions(flags) => functions(flags),
        Bench::Lambda(flags) => lambda(flags),
        Bench::Memory(flags) => memory(flags),
        Bench::Latency(flags) => latency(flags),
        Bench::Large(flags) => large(flags),
        Bench::Growth(flags) => growth(flags),
        Bench::Space(flags) => space(flags),
        Bench::Overhead(flags) => overhead(flags),
    }
}

/// The measuring program with one of its subcommands, and the release program that it measures.
fn measuring(subcommand: &str) -> Result<Program> {
    let [server, bench, _] = release::build_with_bench()?;
    Ok(Program::new(bench).args([subcommand.as_ref(), "--server".as_ref(), server.as_os_str()]))
}

/// The least function in Rust, built with them.
fn empty_function() -> Result<PathBuf> {
    let [.., function] = release::build_with_bench()?;
    Ok(function)
}

fn e2e(flags: &E2e) -> Result<()> {
    let mut program = measuring("e2e")?
        .args(["--files", &flags.files.to_string()])
        .args(["--connections", &flags.connections.to_string()])
        .args(["--size", &flags.size.to_string()])
        .args(["--rounds", &flags.rounds.to_string()]);
    match s3s_fs() {
        Ok(s3s_fs) => program = program.args([OsStr::new("--s3s-fs"), s3s_fs.as_os_str()]),
        Err(why) => println!("s3s-fs skipped: {why:#}"),
    }
    program.run()
}

/// s3s-fs, installed once below the target folder (some five minutes).
fn s3s_fs() -> Result<PathBuf> {
    let folder = repository::target()?.join("peers").join("s3s-fs");
    crates::installed("s3s-fs", S3S_FS_VERSION, &folder, |install| {
        install.args(["--features", "binary"])
    })
}

fn backlog(flags: &Backlog) -> Result<()> {
    measuring("backlog")?
        .args(["--files", &flags.files.to_string()])
        .args(["--connections", &flags.connections.to_string()])
        .args(["--size", &flags.size.to_string()])
        .run()
}

fn latency(flags: &Latency) -> Result<()> {
    measuring("latency")?
        .args(["--files", &flags.files.to_string()])
        .args(["--size", &flags.size.to_string()])
        .args(["--rounds", &flags.rounds.to_string()])
        .run()
}

fn large(flags: &Large) -> Result<()> {
    let function = empty_function()?;
    let mut program = measuring("large")?
        .args(["--function".as_ref(), function.as_os_str()])
        .args(["--mib", &flags.mib.to_string()])
        .args(["--rounds", &flags.rounds.to_string()]);
    match debian::unpacked("nginx", "usr/sbin/nginx") {
        Ok(nginx) => program = program.args([OsStr::new("--nginx"), nginx.as_os_str()]),
        Err(why) => println!("no nginx: {why:#}"),
    }
    program.run()
}

fn growth(flags: &Growth) -> Result<()> {
    measuring("growth")?
        .args(["--files", &flags.files.to_string()])
        .args(["--size", &flags.size.to_string()])
        .run()
}

fn space(flags: &Space) -> Result<()> {
    measuring("space")?
        .args(["--files", &flags.files.to_string()])
        .args(["--size", &flags.size.to_string()])
        .run()
}

fn overhead(flags: &Overhead) -> Result<()> {
    let bench = release::build_package("two-buckets-bench", "bench")?;
    let function = release::build_package("two-buckets-bench", "empty_function")?;
    Program::new(bench)
        .args([
            "overhead".as_ref(),
            "--function".as_ref(),
            function.as_os_str(),
        ])
        .args(["--invocations", &flags.invocations.to_string()])
        .args(["--rounds", &flags.rounds.to_string()])
        .run()
}

fn functions(flags: &Functions) -> Result<()> {
    let empty = empty_function()?;
    let mut program = measuring("functions")?
        .args(["--empty-function".as_ref(), empty.as_os_str()])
        .args(["--warm", &flags.warm.to_string()])
        .args(["--files", &flags.files.to_string()])
        .args(["--concurrency", &flags.concurrency.to_string()])
        .args(["--rounds", &flags.rounds.to_string()]);
    if let Some(only) = &flags.only {
        program = program.args(["--only", only]);
    }
    // What cannot be installed here is a row of the table that is skipped, with the reason.
    match python::environment() {
        Ok(bin) => program = program.args([OsStr::new("--python"), bin.join("python").as_os_str()]),
        Err(why) => println!("no Python of the tests: {why:#}"),
    }
    let js = repository::root().join("tests").join("js");
    match web::install(&js) {
        Ok(()) => {
            let modules = js.join("node_modules");
            program = program.args([OsStr::new("--node-modules"), modules.as_os_str()]);
        }
        Err(why) => println!("no packages of the tests for Node: {why:#}"),
    }
    program.run()
}

fn lambda(flags: &Lambda) -> Result<()> {
    let server = release::build()?;
    let processor = package::processor()?;
    let bin = python::environment()?;
    Program::new(bin.join("python"))
        .args([repository::root().join("tests").join("lambda_bench.py")])
        .args(["--processor".as_ref(), processor.built.as_os_str()])
        .args(["--zip".as_ref(), processor.packed.as_os_str()])
        .args(["--rounds", &flags.rounds.to_string()])
        .args(["--warm", &flags.warm.to_string()])
        .args(["--size", &flags.size.to_string()])
        .env("TWO_BUCKETS_PROGRAM", server)
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
