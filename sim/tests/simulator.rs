//! The simulator for a short time, as often as the tests run; `cargo xtask sim` runs it for as long as one likes.

#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test and panics where a promise is broken"
)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use two_buckets_sim::simulator::{Bug, Figures, Options, Outcome, Seeds, run};

/// How many seeds are run each time.
const SEEDS: u64 = 150;
/// How many seeds are run twice.
const SEEDS_TWICE: u64 = 25;
/// Within how many seeds a planted mistake must show.
const SEEDS_TO_FIND_A_BUG: u64 = 60;

fn product() -> Options {
    Options::default()
}

/// Runs seeds, some at once, and gives what they came to, in no order.
fn run_all(seeds: &[u64]) -> Vec<Outcome> {
    let next = Mutex::new(seeds.iter());
    let outcomes = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(seed) = seed else { return };
                    let outcome = run(*seed, product());
                    outcomes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

/// What was broken, with how to see it again.
fn broken(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .filter(|outcome| !outcome.violations.is_empty())
        .map(|outcome| {
            format!(
                "cargo xtask sim --seed {}: {}",
                outcome.seed,
                outcome.violations.join("; ")
            )
        })
        .collect()
}

#[test]
fn every_acknowledged_byte_is_accounted_for_whatever_goes_wrong() {
    let seeds: Vec<u64> = (1..=SEEDS).collect();
    let outcomes = run_all(&seeds);
    let mut total = Figures::default();
    for outcome in &outcomes {
        total += outcome.figures;
    }
    println!("{total}");
    assert_eq!(broken(&outcomes), Vec::<String>::new());
    // A world in which nothing goes wrong proves nothing.
    for (what, count) in [
        ("archived", total.archived),
        ("late", total.late),
        ("duplicates", total.duplicates),
        ("failed", total.failed),
        ("kills", total.kills),
        ("power losses", total.power_losses),
        ("disk faults", total.disk_faults),
        ("lost answers", total.lost_answers),
        ("lost events", total.lost_events),
        ("odd events", total.odd_events),
        ("stalls", total.stalls),
        ("clock jumps", total.clock_jumps),
        ("retries", total.retries),
    ] {
        assert!(count > 0, "no {what} in {total}");
    }
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds.txt");
    let seeds = Seeds::read(&kept).unwrap();
    assert_eq!(broken(&run_all(&seeds.0)), Vec::<String>::new());
}

#[test]
fn a_seed_is_the_same_history_each_time_to_the_last_call_and_answer() {
    for seed in 1_000..1_000 + SEEDS_TWICE {
        let keeps_history = true;
        let options = Options {
            keeps_history,
            ..product()
        };
        let (one, other) = (run(seed, options), run(seed, options));
        let first_difference = one.history.iter().zip(&other.history).find(|(a, b)| a != b);
        assert_eq!(first_difference, None, "seed {seed}");
        assert_eq!(one, other, "seed {seed}");
    }
}

/// Where the search for a planted mistake begins.
fn first_seed(bug: Bug) -> u64 {
    match bug {
        // Only a copy that was on its way already when its worker stalled still lands: in one of some hundreds of seeds.
        Bug::UnconditionalCopy => 600,
        // A copy of a last attempt has to land within the minutes in which another worker sets its upload aside.
        Bug::NeverLooksAgain => 115,
        // Where it leaves in staging what is archived, nothing is lost at first and the world takes long not to rest.
        Bug::DeletedByName => 7,
        _ => 1,
    }
}

/// Looks for a planted mistake; gives the first seed that shows it by `sign`. Consequences of one mistake differ: seeds that
/// show it only otherwise are passed over. Which thread is faster must not matter, so the lowest of the seeds counts.
fn found(bug: Bug, sign: &str) -> Option<Outcome> {
    let from = first_seed(bug);
    let next = AtomicU64::new(from);
    let first: Mutex<Option<Outcome>> = Mutex::new(None);
    let threads = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let first = || first.lock().unwrap_or_else(PoisonError::into_inner);
                    if seed >= from + SEEDS_TO_FIND_A_BUG || first().is_some() {
                        return;
                    }
                    let outcome = run(
                        seed,
                        Options {
                            bug: Some(bug),
                            ..product()
                        },
                    );
                    let shows = outcome.violations.iter().any(|it| it.contains(sign));
                    let mut first = first();
                    if shows && first.as_ref().is_none_or(|it| seed < it.seed) {
                        *first = Some(outcome);
                    }
                }
            });
        }
    });
    first.into_inner().unwrap()
}

#[test]
fn what_lands_after_it_was_set_aside_is_found_in_the_archive_and_recorded() {
    let from = first_seed(Bug::NeverLooksAgain);
    let options = Options {
        bug: Some(Bug::NeverLooksAgain),
        spares_bug: true,
        ..product()
    };
    let found = (from..from + SEEDS_TO_FIND_A_BUG).find(|seed| {
        let outcome = run(*seed, options);
        assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}");
        outcome.figures.found > 0
    });
    println!("seed {found:?}");
    assert!(found.is_some(), "nothing landed late");
}

/// A planted mistake is found within the seeds, by its name.
macro_rules! finds {
    ($($name:ident: $bug:ident, $sign:literal;)*) => {
        $(#[test]
        fn $name() {
            let outcome = found(Bug::$bug, $sign);
            let outcome = outcome.unwrap_or_else(|| panic!("{:?} is not found", Bug::$bug));
            println!("seed {}: {}", outcome.seed, outcome.violations.join("\n"));
        })*
    };
}

finds! {
    a_disk_that_does_not_sync_is_found: SyncDoesNothing, "is gone";
    an_answer_before_the_sync_is_found: AcknowledgedBeforeSync, "the store cannot be";
    a_server_without_a_sweep_is_found: NoSweep, "is not in the ledger";
    a_sweep_with_a_watermark_is_found: WatermarkSweep, "was left in staging";
    an_attempt_that_is_not_recorded_before_it_runs_is_found: AttemptNotRecorded, "runs twice";
    a_fencing_token_that_is_ignored_is_found: FencingIgnored, "was changed under token";
    a_version_deleted_before_its_copy_is_found: DeletedBeforeCopy, "0 in the archive and not in staging";
    a_delete_by_name_is_found: DeletedByName, "0 in the archive and not in staging";
    a_copy_without_a_condition_is_found: UnconditionalCopy, "went back from";
    bytes_that_are_read_unchecked_are_found: ReadUnchecked, "read other bytes";
    a_function_that_is_skipped_is_found: FunctionSkipped, "no function accepted it";
    what_lands_late_and_is_not_looked_for_is_found: NeverLooksAgain, "is failed, 1 in the archive and still in staging";
}
