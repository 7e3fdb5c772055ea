//! The chores of this repository: `cargo xtask check`, `cargo xtask test`, `cargo xtask bench …`, `cargo xtask counts`, `cargo xtask sim`.
//!
//! Each chore is one file; a stage of a chore is named, timed and ends in one of three words: ok, skipped (with the reason) or failed.
#![expect(
    clippy::print_stdout,
    reason = "a chore reports to the person who started it"
)]

mod arrows;
mod bench;
mod check;
mod counts;
mod crates;
mod debian;
mod deny;
mod deploy;
mod end_to_end;
mod own_kernel;
mod package;
mod program;
mod python;
mod release;
mod repository;
mod sim;
mod stages;
mod strays;
mod template;
mod test;
mod verify;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Flags {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Checks that run in minutes: formatting, lints, the crates' arrows, stray paths, the page, licences
    Check,
    /// Every test; installs what the tests need and builds the release program first
    Test {
        /// Run only the stages whose names contain this text
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Kills the server under load again and again, and checks that every acknowledged file is kept once
    Torture(end_to_end::Torture),
    /// Measurements, each printing its figures
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// How many instructions the hot parts take, held to the counts that are committed
    Counts(counts::Counts),
    /// What a deployment on AWS runs, built for Amazon Linux and put together as a release
    Package(package::Package),
    /// Packages, uploads and deploys a stack on AWS, or updates it
    Deploy(deploy::Deploy),
    /// Checks a deployed stack against what it promises: --stack NAME, or --help
    Verify(verify::Verify),
    /// Removes a stack; its buckets and its ledger stay unless told otherwise
    Remove(deploy::Remove),
    /// The simulator: the pipeline and the store in worlds where everything goes wrong, a seed each
    Sim(sim::Sim),
}

fn main() -> ExitCode {
    let outcome = match Flags::parse().chore {
        Chore::Check => check::run(),
        Chore::Test { only } => test::run(only.as_deref()),
        Chore::Torture(flags) => end_to_end::torture(&flags),
        Chore::Bench { bench } => bench::run(&bench),
        Chore::Counts(flags) => counts::run(&flags),
        Chore::Package(flags) => package::run(&flags),
        Chore::Deploy(flags) => deploy::deploy(&flags),
        Chore::Verify(flags) => verify::run(&flags),
        Chore::Remove(flags) => deploy::remove(&flags),
        Chore::Sim(flags) => sim::run(&flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("xtask: {why:#}");
            ExitCode::FAILURE
        }
    }
}
