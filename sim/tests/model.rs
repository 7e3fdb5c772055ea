//! Every interleaving of a small world keeps every promise, and every known mistake breaks one.

use two_buckets_sim::model::bugs::Bug;
use two_buckets_sim::model::configuration::Configuration;
use two_buckets_sim::model::promises::Promise;
use two_buckets_sim::model::search::{Figures, Search};
use two_buckets_sim::model::{endless, run, run_long, table, tutorial};

#[test]
fn every_promise_is_kept_in_every_interleaving() {
    println!("{}", Figures::COLUMNS);
    if let Err(broken) = run(2, |figures| println!("{figures}")) {
        panic!("{broken}");
    }
}

#[test]
#[ignore = "the largest searches take minutes; docs/reliability.md has their figures"]
fn every_promise_is_kept_with_any_one_fault_and_a_sweep_at_any_moment() {
    println!("{}", Figures::COLUMNS);
    if let Err(broken) = run_long(2, |figures| println!("{figures}")) {
        panic!("{broken}");
    }
}

/// What each mistake breaks.
fn breaks(bug: Bug) -> Promise {
    match bug {
        Bug::StartsFruitlessJobs => unreachable!("it breaks none, and is not among them"),
        Bug::DeleteByName | Bug::DeleteBeforeRecord => Promise::KeptUntilRecorded,
        Bug::NoArchiveCheck | Bug::UnconditionalCopy => Promise::ArchivedOnce,
        Bug::SetsAsideWhatIsArchived => Promise::ArchivedIsNotSetAside,
        Bug::LooksOnlyAtCurrent
        | Bug::HonoursDeadLeases
        | Bug::NoDirtyFlag
        | Bug::AcknowledgesOnConflict
        | Bug::WatermarkSweep
        | Bug::NeverLooksAgain => Promise::EveryUploadEnds,
        // Newer versions hide behind it, and are set aside as gone.
        Bug::MarkerHidesAll => Promise::NobodyIsHeldUp,
        Bug::ConflictIsExists | Bug::SkipsVerify => Promise::RecordsAreTrue,
        Bug::RecordsAttemptAfterRun => Promise::AttemptsAreBounded,
        Bug::PrefixTrap => Promise::NothingIsMixedUp,
        Bug::IgnoresFenceAtRecord => Promise::EndedStaysEnded,
        Bug::SkipsFunction => Promise::AcceptedFirst,
    }
}

#[test]
fn every_planted_mistake_is_found_by_the_promise_it_breaks() {
    println!(
        "mistake                                                    promise that breaks                       moves   states"
    );
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let without = table::planted(bug);
        let passes = Search::run(without, 2);
        if let Some(trace) = passes.broken {
            panic!("without {}: {}", bug.name(), trace.in_words(&without));
        }
        let with = Configuration {
            bug: Some(bug),
            ..without
        };
        // One thread visits the nearest states first, so that what it finds is the shortest way.
        let found = Search::run(with, 1);
        let Some(trace) = found.broken else {
            missed.push(format!("{} is not found", bug.name()));
            continue;
        };
        println!(
            "{:58} {:40} {:>6} {:>8}",
            bug.name(),
            trace.promise,
            trace.len(),
            found.figures.states
        );
        if trace.promise != breaks(bug).name() {
            let words = trace.in_words(&with);
            missed.push(format!("{} breaks\n{words}", bug.name()));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn equal_tags_and_a_lease_that_runs_out_are_the_known_limit_of_conditions() {
    for (config, promise) in [
        (table::EQUAL_TAGS, Promise::ArchivedOnce),
        (table::EQUAL_TAGS_PASSED_OVER, Promise::CurrentNeverGoesBack),
    ] {
        // Should there be no trace, the protocol has become better than its documentation says.
        let trace =
            Search::find(config, promise).expect("a condition on a tag holds for equal bytes");
        println!(
            "{}: {}\n{}",
            config.name,
            trace.promise,
            trace.in_words(&config)
        );
    }
}

#[test]
fn the_tutorials_handler_loses_a_file_though_nothing_goes_wrong() {
    let how = tutorial::how_it_loses_a_file().expect("it loses one");
    println!("{how}");
    assert!(how.contains("deletes photo.jpg, which is the second file"));
}

#[test]
fn every_way_ends() {
    let lines = all_ways_end(|config| !config.name.starts_with("the whole"));
    println!("{lines}");
}

#[test]
#[ignore = "it takes a minute, on one core; docs/reliability.md has its figures"]
fn every_way_ends_in_the_whole() {
    let lines = all_ways_end(|config| config.name.starts_with("the whole"));
    println!("{lines}");
}

/// How many worlds each has in which every way ends.
fn all_ways_end(is_tried: impl Fn(&Configuration) -> bool) -> String {
    let tried = table::CONFIGURATIONS
        .iter()
        .filter(|config| is_tried(config));
    let lines: Vec<_> = tried
        .map(|config| match endless::every_way_ends(*config) {
            Ok(worlds) => format!("{:46} {worlds:>10}", config.name),
            Err(way) => panic!("{}: a way without an end\n{way}", config.name),
        })
        .collect();
    assert!(!lines.is_empty(), "none is tried");
    lines.join("\n")
}

#[test]
fn a_way_without_an_end_is_found() {
    let without = table::planted(Bug::StartsFruitlessJobs);
    endless::every_way_ends(without).expect("without the mistake every way ends");
    let with = Configuration {
        bug: Some(Bug::StartsFruitlessJobs),
        ..without
    };
    let way = endless::every_way_ends(with).expect_err("it goes round");
    println!("{way}");
    assert!(way.contains("round and round:"));
}
