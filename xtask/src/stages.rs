//! A chore's stages: each named and timed, all run, then a summary.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a stage ended when it did not fail.
pub(crate) enum Done {
    /// It ran; the runners' closing lines, if there were any.
    Ok(Vec<String>),
    /// It could not run here, and why.
    Skipped(String),
}

impl Done {
    /// It ran and has nothing to add.
    pub(crate) fn quietly() -> Self {
        Self::Ok(Vec::new())
    }
}

enum Ended {
    Ok,
    Skipped(String),
    Failed(String),
}

struct Stage {
    name: &'static str,
    took: Duration,
    ended: Ended,
    closing: Vec<String>,
}

/// The stages of one run of a chore.
///
/// A failed stage does not stop the ones after it: one run shows everything that is wrong.
pub(crate) struct Stages<'a> {
    only: Option<&'a str>,
    stages: Vec<Stage>,
}

impl<'a> Stages<'a> {
    /// Stages of which only those run whose names contain `only`.
    pub(crate) fn new(only: Option<&'a str>) -> Self {
        Self {
            only,
            stages: Vec::new(),
        }
    }

    /// Whether the stage of this name is among those that run.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.only.is_none_or(|only| name.contains(only))
    }

    /// Runs a stage and says how long it took; true when it ended ok.
    pub(crate) fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<Done>) -> bool {
        self.run_and_keep(name, |_| work())
    }

    /// As [`Stages::run`], for work that has closing lines to show even when it fails.
    #[expect(
        clippy::disallowed_methods,
        reason = "the chores time themselves by the real clock"
    )]
    pub(crate) fn run_and_keep(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Vec<String>) -> Result<Done>,
    ) -> bool {
        if !self.has(name) {
            return true;
        }
        println!("\n=== {name}");
        let started = Instant::now();
        let mut closing = Vec::new();
        let ended = match work(&mut closing) {
            Ok(Done::Ok(lines)) => {
                closing.extend(lines);
                Ended::Ok
            }
            Ok(Done::Skipped(why)) => Ended::Skipped(why),
            Err(why) => Ended::Failed(format!("{why:#}")),
        };
        let stage = Stage {
            name,
            took: started.elapsed(),
            ended,
            closing,
        };
        println!("=== {}", stage.line());
        let ok = matches!(stage.ended, Ended::Ok);
        self.stages.push(stage);
        ok
    }

    /// Prints every stage with its time, then the runners' closing lines; an error names the failed stages.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n=== stages");
        for stage in &self.stages {
            println!("{}", stage.line());
        }
        let total: Duration = self.stages.iter().map(|stage| stage.took).sum();
        println!("{:<24} {:>7.1} s", "all", total.as_secs_f64());
        let failed: Vec<&str> = self
            .stages
            .iter()
            .filter(|stage| matches!(stage.ended, Ended::Failed(_)))
            .map(|stage| stage.name)
            .collect();
        for stage in self.stages.iter().filter(|stage| !stage.closing.is_empty()) {
            println!("\n=== {}: closing lines", stage.name);
            for line in &stage.closing {
                println!("{line}");
            }
        }
        if self.stages.is_empty() {
            bail!("no stage has that in its name");
        }
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

impl Stage {
    fn line(&self) -> String {
        let ended = match &self.ended {
            Ended::Ok => "ok".to_owned(),
            Ended::Skipped(why) => format!("skipped: {why}"),
            Ended::Failed(why) => format!("FAILED: {why}"),
        };
        format!(
            "{:<24} {:>7.1} s  {ended}",
            self.name,
            self.took.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Done, Stages};

    #[test]
    fn a_failed_stage_fails_the_chore_and_the_others_still_run() {
        let mut stages = Stages::new(None);
        assert!(!stages.run("first", || anyhow::bail!("broken")));
        let mut ran = false;
        assert!(stages.run("second", || {
            ran = true;
            Ok(Done::quietly())
        }));
        assert!(ran);
        let why = stages.finish().expect_err("a stage failed").to_string();
        assert_eq!(why, "failed: first");
    }

    #[test]
    fn a_skipped_stage_is_not_ok_and_not_a_failure() {
        let mut stages = Stages::new(None);
        assert!(!stages.run("elsewhere", || Ok(Done::Skipped("no root here".into()))));
        stages.finish().expect("nothing failed");
    }

    #[test]
    fn a_filter_that_names_no_stage_is_a_failure() {
        let mut stages = Stages::new(Some("nothing"));
        stages.run("first", || Ok(Done::quietly()));
        stages.finish().expect_err("nothing ran");
    }
}
