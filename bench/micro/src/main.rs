//! Repeats one case, for whoever counts its instructions: `cargo xtask counts`.
//!
//! What two runs of this program differ by, with the same preparation and different repetitions, is what the case costs:
//! starting, preparing and ending are the same in both.
#![expect(clippy::print_stdout, reason = "what it is asked for, it prints")]

use std::process;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser};
use two_buckets_micro::CASES;

/// That of the program whose parts these are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Repeats one case, or says what there is
#[derive(Parser)]
enum Count {
    /// The cases whose instructions are counted, a line each
    List,
    /// What code may find out of the processor and behave by, in one line
    Processor,
    /// Prepare a case and repeat it
    Repeat(Repeat),
}

#[derive(Args)]
struct Repeat {
    /// The case
    case: String,
    /// How many runs are prepared
    #[arg(long)]
    prepared: usize,
    /// How many of them are done
    #[arg(long)]
    done: usize,
}

fn main() -> Result<()> {
    match Count::parse() {
        Count::List => {
            for case in CASES.iter().filter(|case| case.is_counted) {
                println!("{}", case.name);
            }
            Ok(())
        }
        Count::Processor => {
            println!("{}", processor());
            Ok(())
        }
        Count::Repeat(repeat) => self::repeat(&repeat),
    }
}

fn repeat(wanted: &Repeat) -> Result<()> {
    let case = CASES
        .iter()
        .find(|case| case.name == wanted.case)
        .with_context(|| format!("there is no case {}", wanted.case))?;
    ensure!(
        wanted.done <= wanted.prepared,
        "no more can be done than is prepared"
    );
    let mut run = (case.prepare)(wanted.prepared);
    for _ in 0..wanted.done {
        run();
    }
    // Without dropping what was prepared, of which more is left the less was done.
    process::exit(0)
}

/// The features by which C's library and the crates that hash and search choose their code.
#[cfg(target_arch = "x86_64")]
fn processor() -> String {
    macro_rules! names {
        ($($name:tt),*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),*]
        };
    }
    let features = names![
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "pclmulqdq",
        "popcnt",
        "aes",
        "avx",
        "avx2",
        "fma",
        "bmi1",
        "bmi2",
        "lzcnt",
        "adx",
        "sha",
        "vaes",
        "vpclmulqdq",
        "avx512f"
    ];
    let there: Vec<&str> = features
        .iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(name, _)| *name)
        .collect();
    there.join(" ")
}

/// The architecture says enough where nobody has counted yet.
#[cfg(not(target_arch = "x86_64"))]
fn processor() -> String {
    std::env::consts::ARCH.to_owned()
}
