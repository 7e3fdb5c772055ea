//! `cargo xtask sim`: the simulator, for as long as one likes.

use anyhow::Result;

use crate::program::Program;
use crate::release;

#[derive(clap::Args)]
pub(crate) struct Sim {
    /// How many seeds to run
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Instead of a number of seeds, as many as begin within so many minutes
    #[arg(long, conflicts_with = "seeds")]
    minutes: Option<u64>,
    /// Run this seed alone and print its history
    #[arg(long, conflicts_with_all = ["seeds", "from", "minutes"])]
    seed: Option<u64>,
    /// Plant this mistake, to see that it is found; an unknown name lists them
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
}

/// Seeds that fail are added to `sim/seeds.txt`, which the tests run each time.
pub(crate) fn run(flags: &Sim) -> Result<()> {
    let program = release::build_package("two-buckets-sim", "two-buckets-sim")?;
    let mut program = Program::new(program);
    program = match (flags.seed, flags.minutes) {
        (Some(seed), _) => program.args(["--seed", &seed.to_string()]),
        (None, Some(minutes)) => program
            .args(["--from", &flags.from.to_string()])
            .args(["--minutes", &minutes.to_string()]),
        (None, None) => program
            .args(["--from", &flags.from.to_string()])
            .args(["--seeds", &flags.seeds.to_string()]),
    };
    if let Some(bug) = &flags.bug {
        program = program.args(["--bug", bug]);
    }
    program.run()
}
