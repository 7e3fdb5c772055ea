//! `cargo xtask counts`: how many instructions the hot parts take, counted by callgrind and held to committed counts.
//!
//! A time says as much of the machine and its neighbours as of the program; a count of instructions says nothing of them,
//! so a few per cent more can be held against a change. Both are measured of the same cases, see `bench/micro`.
//!
//! A count is good for one compiler, one C library and one emulated processor. Where these are others than those of the
//! committed counts nothing is compared, and the stage says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::program::{Program, find};
use crate::stages::{Done, Stages};
use crate::{release, repository};

/// By how much of itself a committed count may be missed, either way.
///
/// More is a slowdown. Less is no fault of the change, but it fails as well: with a figure that is too high, the next
/// slowdown goes unseen. `--accept` puts both right, and the new figures are part of the change that is reviewed.
const TOLERANCE: f64 = 0.05;

/// How many runs are prepared; and how many of them are done at first, and at last. The difference of the two is counted.
const PREPARED: u32 = 120;
const DONE_FIRST: u32 = 20;
const DONE_LAST: u32 = PREPARED;

/// Its package, `valgrind`, is among those that `cargo xtask test` installs.
const VALGRIND: &str = "valgrind";
/// Where the counts are kept, in the repository.
const KEPT: &str = "bench/micro/counts.json";

#[derive(clap::Args)]
pub(crate) struct Counts {
    /// Count only the cases whose names contain this text
    #[arg(long)]
    only: Option<String>,
    /// Keep what is counted now, for later runs to be held to
    #[arg(long, conflicts_with = "only")]
    accept: bool,
}

/// By hand.
pub(crate) fn run(flags: &Counts) -> Result<()> {
    let mut stages = Stages::new(None);
    stages.run_and_keep("instruction counts", |closing| {
        let counter = match Counter::find()? {
            Ok(counter) => counter,
            Err(why) => return Ok(Done::Skipped(why)),
        };
        if flags.accept {
            let counts = counter.count(None)?;
            let kept = Kept {
                with: counter.with,
                counts,
            };
            fs::write(path(), kept.text())?;
            closing.push(format!(
                "{} counts are kept in {KEPT}; commit them",
                kept.counts.len()
            ));
            return Ok(Done::quietly());
        }
        compare(&counter, flags.only.as_deref(), closing)
    });
    stages.finish()
}

/// A stage of `cargo xtask test`.
pub(crate) fn test(closing: &mut Vec<String>) -> Result<Done> {
    match Counter::find()? {
        Ok(counter) => compare(&counter, None, closing),
        Err(why) => Ok(Done::Skipped(why)),
    }
}

fn path() -> PathBuf {
    repository::root().join(KEPT)
}

fn compare(counter: &Counter, only: Option<&str>, closing: &mut Vec<String>) -> Result<Done> {
    let text = fs::read_to_string(path()).with_context(|| format!("{KEPT} cannot be read"))?;
    let kept = Kept::of(&text)?;
    if let Some(difference) = difference(&kept.with, &counter.with) {
        return Ok(Done::Skipped(difference));
    }
    let counts = counter.count(only)?;
    println!("{}", table(&kept.counts, &counts));
    let mut wrong = wrong(&kept.counts, &counts);
    if only.is_none() {
        let gone = kept
            .counts
            .keys()
            .filter(|case| !counts.contains_key(*case));
        wrong.extend(gone.map(|case| format!("{case} is kept and no case any more")));
    }
    if !wrong.is_empty() {
        closing.extend(wrong.iter().cloned());
        bail!(
            "{}; where that is meant, `cargo xtask counts --accept` and commit {KEPT}",
            wrong.join("; ")
        );
    }
    closing.push(format!(
        "{} cases, each within {:.0} % of its count in {KEPT}",
        counts.len(),
        TOLERANCE * 100.0
    ));
    Ok(Done::quietly())
}

/// What a count depends on beside the program, each by its name.
type With = BTreeMap<String, String>;
/// The instructions of one run of each case.
type Instructions = BTreeMap<String, u64>;

/// Counts that are kept.
struct Kept {
    with: With,
    counts: Instructions,
}

impl Kept {
    fn of(text: &str) -> Result<Self> {
        let json: Value =
            serde_json::from_str(text).with_context(|| format!("{KEPT} is no JSON"))?;
        let member = |name: &str| {
            let object = json[name].as_object();
            object.with_context(|| format!("{KEPT} has no object {name}"))
        };
        let mut with = With::new();
        for (name, value) in member("counted_with")? {
            let value = value.as_str().context("what counts depend on is text")?;
            with.insert(name.clone(), value.to_owned());
        }
        let mut counts = Instructions::new();
        for (case, count) in member("instructions")? {
            let count = count.as_u64().context("a count is a whole number")?;
            counts.insert(case.clone(), count);
        }
        Ok(Self { with, counts })
    }

    fn text(&self) -> String {
        let json = json!({
            "about": "instructions of one run of each case; written by cargo xtask counts --accept",
            "counted_with": self.with,
            "instructions": self.counts,
        });
        format!("{json:#}\n")
    }
}

/// In what the two differ, in words; none if counts with both can be compared.
fn difference(kept: &With, here: &With) -> Option<String> {
    let is_same = |name: &&String| kept.get(*name) == here.get(*name);
    let mut names: Vec<&String> = kept.keys().chain(here.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| !is_same(name));
    let absent = "unknown".to_owned();
    let said = names.iter().map(|name| {
        let [kept, here] = [kept, here].map(|with| with.get(*name).unwrap_or(&absent));
        format!("counted with {name} {kept}, this is {here}")
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// How much of what is kept was counted; none if nothing is kept.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts are far below 2^52, and this is for a comparison with a few per cent"
)]
fn ratio(kept: Option<u64>, counted: u64) -> Option<f64> {
    kept.map(|kept| counted as f64 / kept.max(1) as f64)
}

/// Every case that is not as it is kept, in words.
fn wrong(kept: &Instructions, counts: &Instructions) -> Vec<String> {
    let mut wrong = Vec::new();
    for (case, &counted) in counts {
        let Some(ratio) = ratio(kept.get(case).copied(), counted) else {
            wrong.push(format!("{case} has no count yet"));
            continue;
        };
        let percent = (ratio - 1.0) * 100.0;
        if ratio > 1.0 + TOLERANCE {
            wrong.push(format!("{case} takes {percent:.1} % more than its count"));
        } else if ratio < 1.0 - TOLERANCE {
            wrong.push(format!(
                "{case} takes {:.1} % less: lower its count",
                -percent
            ));
        }
    }
    wrong
}

fn table(kept: &Instructions, counts: &Instructions) -> String {
    let mut text =
        String::from("| case | committed | measured | ratio |\n| --- | ---: | ---: | ---: |\n");
    for (case, &counted) in counts {
        let kept = kept.get(case).copied();
        let ratio = ratio(kept, counted).map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        let kept = kept.map_or_else(String::new, grouped);
        writeln!(text, "| {case} | {kept} | {} | {ratio} |", grouped(counted))
            .expect("a String takes every write");
    }
    text
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The program that repeats a case, and what counts depend on here.
struct Counter {
    program: PathBuf,
    with: With,
}

impl Counter {
    /// Builds the program; or says why nothing can be counted here.
    fn find() -> Result<Result<Self, String>> {
        if find(VALGRIND).is_none() {
            return Ok(Err(format!(
                "no {VALGRIND} here, which is Debian's package of that name"
            )));
        }
        let program = release::build_package("two-buckets-micro", "count")?;
        let processor = Program::new(VALGRIND)
            .args(["--tool=none", "--quiet"])
            .args([program.as_path(), Path::new("processor")])
            .output();
        let processor = match processor {
            Ok(processor) => processor,
            Err(why) => return Ok(Err(format!("{VALGRIND} does not run here: {why:#}"))),
        };
        let rustc = Program::new("rustc").args(["-vV"]).output()?;
        let of_rustc = |start: &str| {
            let line = rustc.lines().find_map(|line| line.strip_prefix(start));
            line.map(|line| line.trim().to_owned())
                .with_context(|| format!("rustc says no {start}"))
        };
        let valgrind = Program::new(VALGRIND).args(["--version"]).output()?;
        let c_library = match find("getconf") {
            Some(getconf) => Program::new(getconf).args(["GNU_LIBC_VERSION"]).output()?,
            None => "unknown".to_owned(),
        };
        let with = [
            ("rustc", of_rustc("rustc ")?),
            ("target", of_rustc("host: ")?),
            ("valgrind", valgrind.replace("valgrind-", "")),
            ("C library", c_library),
            ("processor", processor),
        ];
        let with = with.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Ok(Ok(Self {
            program,
            with: With::from(with),
        }))
    }

    /// Counts every case, or those whose names contain this; as many at once as there are processors.
    fn count(&self, only: Option<&str>) -> Result<Instructions> {
        let cases = Program::new(&self.program).args(["list"]).output()?;
        let cases: Vec<&str> = cases
            .lines()
            .filter(|case| only.is_none_or(|only| case.contains(only)))
            .collect();
        if cases.is_empty() {
            bail!("no case has that in its name");
        }
        println!(
            "$ {VALGRIND} --tool=callgrind {}: {} cases",
            self.program.display(),
            cases.len()
        );
        let next = AtomicUsize::new(0);
        let counts = Mutex::new(Instructions::new());
        let count_some = || -> Result<()> {
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let count = self.count_one(case)?;
                let mut counts = counts.lock().expect("nobody panics with it");
                counts.insert((*case).to_owned(), count);
            }
            Ok(())
        };
        let at_once = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(count_some)).collect();
            threads.into_iter().try_for_each(|thread| {
                let counted = thread.join();
                counted.expect("what counts does not panic")
            })
        })?;
        Ok(counts.into_inner().expect("nobody panics with it"))
    }

    /// What one run of the case takes: what more runs took more. All threads are counted.
    fn count_one(&self, case: &str) -> Result<u64> {
        let (first, last) = (
            self.repeat(case, DONE_FIRST)?,
            self.repeat(case, DONE_LAST)?,
        );
        let more = last
            .checked_sub(first)
            .with_context(|| format!("{case}: more runs took fewer instructions"))?;
        Ok(more / u64::from(DONE_LAST - DONE_FIRST))
    }

    /// The instructions of the whole program that does so many runs.
    fn repeat(&self, case: &str, done: u32) -> Result<u64> {
        let said = Program::new(VALGRIND)
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .args(["--log-fd=1"])
            .args([&self.program])
            .args(["repeat", case])
            .args(["--prepared", &PREPARED.to_string()])
            .args(["--done", &done.to_string()])
            .output()?;
        said.lines()
            .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
            .with_context(|| format!("callgrind counted nothing of {case}:\n{said}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, With, difference, grouped, table, wrong};

    fn kept(text: &str) -> Kept {
        Kept::of(text).expect("it is well made")
    }

    #[test]
    fn the_committed_counts_can_be_read_and_are_written_back_as_they_are() {
        let text = std::fs::read_to_string(super::path()).expect("it is committed");
        assert_eq!(kept(&text).text(), text);
    }

    #[test]
    fn a_count_may_be_missed_by_five_per_cent_and_no_more_either_way() {
        let counts = [("a".to_owned(), 1_000)].into();
        for (counted, is_wrong) in [
            (1_000, None),
            (1_050, None),
            (950, None),
            (1_051, Some("a takes 5.1 % more than its count")),
            (949, Some("a takes 5.1 % less: lower its count")),
        ] {
            let found = wrong(&counts, &[("a".to_owned(), counted)].into());
            assert_eq!(found.first().map(String::as_str), is_wrong, "{counted}");
        }
        let found = wrong(&counts, &[("b".to_owned(), 1)].into());
        assert_eq!(found, ["b has no count yet"]);
    }

    #[test]
    fn counts_of_another_compiler_are_not_compared() {
        let with = |rustc: &str| With::from([("rustc".to_owned(), rustc.to_owned())]);
        assert_eq!(difference(&with("1.95.0"), &with("1.95.0")), None);
        assert_eq!(
            difference(&with("1.95.0"), &with("1.96.0")).as_deref(),
            Some("counted with rustc 1.95.0, this is 1.96.0")
        );
        assert_eq!(
            difference(&With::new(), &with("1.96.0")).as_deref(),
            Some("counted with rustc unknown, this is 1.96.0")
        );
    }

    #[test]
    fn the_table_has_a_line_for_each_case() {
        let kept = [("a".to_owned(), 1_000_000)].into();
        let counts = [("a".to_owned(), 1_020_000), ("b".to_owned(), 12)].into();
        let table = table(&kept, &counts);
        assert!(table.contains("| a | 1,000,000 | 1,020,000 | 1.020 |\n"));
        assert!(table.contains("| b |  | 12 |  |\n"));
        assert_eq!(grouped(123_456), "123,456");
    }
}
