//! What our Lambda host adds to a warm invocation: `cargo xtask bench overhead`.
//!
//! The least function in Rust answers the same event under the host and under a loop that speaks the Runtime API and does
//! nothing else.

mod bare;
mod hosted;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::figures::{median, micros, percentile};

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// The least function in Rust, a program of this package
    #[arg(long)]
    function: PathBuf,
    /// Warm invocations of each round, one after the other
    #[arg(long, default_value_t = 2_000)]
    invocations: u32,
    /// Interleaved rounds; medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// What the host may add.
const ADDED_MAX: Duration = Duration::from_micros(300);
/// The event: as large as S3's of one object.
pub(super) const EVENT_BYTES: usize = 700;

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags) -> Result<()> {
    ensure!(
        flags.invocations > 0 && flags.rounds > 0,
        "there must be something to measure"
    );
    println!(
        "{} warm invocations one after the other, {} rounds",
        flags.invocations, flags.rounds
    );
    let event = format!("{{\"text\":\"{}\"}}", "x".repeat(EVENT_BYTES));
    let mut bare = bare::Loop::start(&flags.function).await?;
    let hosted = hosted::Hosted::start(&flags.function)?;
    // The first starts the function.
    bare.invoke(&event).await?;
    hosted.invoke(&event).await?;
    let (mut of_bare, mut of_host) = (Vec::new(), Vec::new());
    for _ in 0..flags.rounds {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..flags.invocations {
            without.push(bare.invoke(&event).await?);
        }
        for _ in 0..flags.invocations {
            with.push(hosted.invoke(&event).await?);
        }
        of_bare.push(without);
        of_host.push(with);
    }
    hosted.stop().await;
    let of = |rounds: &mut Vec<Vec<Duration>>, share| {
        median(rounds.iter_mut().map(|it| micros(percentile(it, share))))
    };
    println!("\nmedians of the rounds, in us      p50      p99");
    let (bare50, bare99) = (of(&mut of_bare, 0.5), of(&mut of_bare, 0.99));
    let (host50, host99) = (of(&mut of_host, 0.5), of(&mut of_host, 0.99));
    println!("  bare loop                   {bare50:>7.0}  {bare99:>7.0}");
    println!("  our host                    {host50:>7.0}  {host99:>7.0}");
    println!(
        "  added, p50                  {:>7.0}  (below {})",
        host50 - bare50,
        ADDED_MAX.as_micros()
    );
    Ok(())
}
