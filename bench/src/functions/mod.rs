//! Functions in each language, beside the program's own processor and the bare language: `cargo xtask bench functions`.
//!
//! Every function runs in a real server and gets its files over S3. What a language costs that is started for nothing is
//! measured beside it, so that a figure says what we add and not how slow an interpreter starts.

mod case;
mod round;
mod table;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use case::{Case, Here};
use round::Round;

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The release program
    #[arg(long)]
    server: PathBuf,
    /// The least function in Rust, a program of this package
    #[arg(long)]
    empty_function: Option<PathBuf>,
    /// A Python with `awslambdaric` and boto3
    #[arg(long)]
    python: Option<PathBuf>,
    /// A folder `node_modules` with `@aws-sdk/client-s3`
    #[arg(long)]
    node_modules: Option<PathBuf>,
    /// Files put one at a time in each round, after the first one
    #[arg(long, default_value_t = 200)]
    warm: u32,
    /// Files put at once in each round
    #[arg(long, default_value_t = 1000)]
    files: u32,
    /// Keep-alive connections that put them
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Bytes of each file
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// How many files are in work at once: workers, and with them environments or processes
    #[arg(long, default_value_t = 4)]
    concurrency: u32,
    /// Interleaved rounds; medians are printed
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Measure only the cases whose names contain this text, and what they are compared with
    #[arg(long)]
    only: Option<String>,
}

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags) -> Result<()> {
    ensure!(
        [
            flags.warm,
            flags.files,
            flags.connections,
            flags.concurrency,
            flags.rounds
        ]
        .iter()
        .all(|it| *it > 0),
        "there must be something to measure"
    );
    println!(
        "{} files one at a time, then {} over {} connections, of {} bytes; {} in work at once; {} rounds",
        flags.warm, flags.files, flags.connections, flags.size, flags.concurrency, flags.rounds
    );
    let folder = tempfile::Builder::new()
        .prefix("two-buckets-bench-functions-")
        .tempdir()?;
    let here = Here {
        folder: folder.path(),
        empty_function: flags.empty_function.as_deref(),
        python: flags.python.as_deref(),
        node_modules: flags.node_modules.as_deref(),
    };
    let mut measured: Vec<(Case, Vec<Round>)> = Vec::new();
    let mut skipped = Vec::new();
    for (name, case) in case::all(&here)? {
        let is_wanted = flags
            .only
            .as_ref()
            .is_none_or(|it| name.contains(it.as_str()));
        if !is_wanted && name != case::PEER {
            continue;
        }
        match case {
            Ok(case) => measured.push((case, Vec::new())),
            Err(reason) => skipped.push((name, reason)),
        }
    }
    for number in 1..=flags.rounds {
        for (case, rounds) in &mut measured {
            let round = round::run(case, flags)
                .await
                .with_context(|| format!("{}, round {number}", case.name))?;
            println!(
                "round {number}: {:<18} {:>6.0} files/s",
                case.name, round.files_per_s
            );
            rounds.push(round);
        }
    }
    table::print(&mut measured);
    for (name, reason) in skipped {
        println!("  {name:<18} skipped: {reason}");
    }
    Ok(())
}
