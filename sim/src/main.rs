//! `cargo xtask sim`: runs seeds of the simulator, many or one, and says what they did.

#![expect(
    clippy::print_stdout,
    reason = "it reports to the person who started it"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use two_buckets_sim::simulator::{Bug, Figures, Options, Outcome, Seeds, run};

/// Runs the simulator: the pipeline and the store in a world where everything goes wrong.
#[derive(Parser)]
struct Flags {
    /// How many seeds to run
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Begin nothing new after so many minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// Run this seed alone, twice, and print its history
    #[arg(long, conflicts_with_all = ["seeds", "from", "minutes"])]
    seed: Option<u64>,
    /// How many to run at once; by default one for each processor
    #[arg(long)]
    threads: Option<usize>,
    /// Plant this mistake, to see that it is found
    #[arg(long, value_parser = bug)]
    bug: Option<Bug>,
    /// Add seeds that fail to this list
    #[arg(long, default_value = "sim/seeds.txt")]
    keep: PathBuf,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let is_whole = match flags.seed {
        Some(seed) => replay(seed, flags.bug),
        None => run_all(&flags),
    };
    if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn bug(name: &str) -> Result<Bug, String> {
    let names: Vec<String> = Bug::ALL.iter().map(|bug| format!("{bug:?}")).collect();
    let index = names.iter().position(|known| known == name);
    index
        .and_then(|index| Bug::ALL.get(index).copied())
        .ok_or_else(|| format!("one of {}", names.join(", ")))
}

/// Runs one seed and prints what happened; once more to see that it is the same.
fn replay(seed: u64, bug: Option<Bug>) -> bool {
    let keeps_history = true;
    let outcome = run(
        seed,
        Options {
            bug,
            keeps_history,
            ..Options::default()
        },
    );
    for line in &outcome.history {
        println!("{line}");
    }
    println!("\n{}\n\n{}", outcome.world, outcome.figures);
    tell(&outcome);
    let again = run(
        seed,
        Options {
            bug,
            ..Options::default()
        },
    );
    let is_same = again.hash == outcome.hash;
    println!(
        "the history is {:016x}, and {} when run again",
        outcome.hash,
        if is_same { "the same" } else { "ANOTHER" }
    );
    outcome.violations.is_empty() && is_same
}

fn tell(outcome: &Outcome) {
    for what in &outcome.violations {
        println!("seed {}: {what}", outcome.seed);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how fast it is, is told by the real clock"
)]
fn run_all(flags: &Flags) -> bool {
    let began = Instant::now();
    let time_max = flags.minutes.map(Duration::from_mins);
    let next = AtomicU64::new(flags.from);
    let end = match flags.minutes {
        Some(_) => u64::MAX,
        None => flags.from.saturating_add(flags.seeds),
    };
    let total = Mutex::new(Figures::default());
    let is_whole = AtomicBool::new(true);
    let threads = flags
        .threads
        .or_else(|| thread::available_parallelism().ok().map(Into::into))
        .unwrap_or(1);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while time_max.is_none_or(|most| began.elapsed() < most) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let bug = flags.bug;
                    let outcome = run(
                        seed,
                        Options {
                            bug,
                            ..Options::default()
                        },
                    );
                    if !outcome.violations.is_empty() {
                        is_whole.store(false, Ordering::Relaxed);
                        tell(&outcome);
                        keep(flags, &outcome);
                    }
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    *total += outcome.figures;
                    if total.seeds % 1_000 == 0 {
                        println!("{} seeds, {:?}", total.seeds, began.elapsed());
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = began.elapsed().as_secs_f64();
    println!("{total}");
    println!("time             {seconds:>12.1} s");
    #[expect(clippy::cast_precision_loss, reason = "for people, three digits")]
    let per_second = |count: u64| count as f64 / seconds;
    println!(
        "in a second      {:>12.1} seeds, {:.0} steps, {:.0} uploads, {:.0} x real time",
        per_second(total.seeds),
        per_second(total.steps),
        per_second(total.uploads),
        total.virtual_time.as_secs_f64() / seconds
    );
    is_whole.into_inner()
}

/// Keeps a seed that failed, unless a mistake was planted.
fn keep(flags: &Flags, outcome: &Outcome) {
    let Some(first) = outcome.violations.first().filter(|_| flags.bug.is_none()) else {
        return;
    };
    match Seeds::add(&flags.keep, outcome.seed, first) {
        Ok(()) => println!("seed {} is kept in {}", outcome.seed, flags.keep.display()),
        Err(error) => println!("seed {} could not be kept: {error}", outcome.seed),
    }
}
