//! The tests in `tests/deploy`: what the template promises, held to by its own rules and by tools that know AWS.

use std::fs;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use anyhow::{Result, bail};

use crate::program::{Program, path_with};
use crate::stages::Done;
use crate::{python, repository};

/// All of them; checkov, where it cannot be installed, is skipped and said to be.
pub(crate) fn test(checkov: Option<Checkov>, closing: &mut Vec<String>) -> Result<Done> {
    let bin = python::environment()?;
    let mut tests = Program::new(bin.join("python"))
        .args([
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--durations=5",
            "--numprocesses=2",
            "--dist=worksteal",
            "tests/deploy",
        ])
        .env("TWO_BUCKETS_XTASK", std::env::current_exe()?)
        .env("PATH", path_with(&bin)?)
        .env("PYTHONUNBUFFERED", "1");
    match checkov.map(Checkov::installed) {
        Some(Ok(program)) => tests = tests.env("TWO_BUCKETS_CHECKOV", program),
        Some(Err(why)) => closing.push(format!("skipped: checkov: {why:#}")),
        None => {}
    }
    let (lines, outcome) = tests.run_and_keep(|line| {
        line.starts_with("FAILED ")
            || line.starts_with("ERROR ")
            || (line.starts_with('=') && line.contains(" in "))
    });
    closing.extend(lines);
    outcome?;
    Ok(Done::quietly())
}

/// checkov, being installed in an environment of its own: its pins of boto3, networkx and packaging fit nobody else's.
pub(crate) struct Checkov(JoinHandle<Result<PathBuf>>);

impl Checkov {
    /// Begins to install it, where that was not done before (some 90 packages, 90 s on a quiet machine).
    pub(crate) fn begin() -> Self {
        Self(thread::spawn(|| {
            let folder = repository::root().join("tests").join("deploy");
            let requirements = fs::read(folder.join("requirements.txt"))?;
            Ok(python::environment_of(&requirements, &folder.join(".venv"))?.join("checkov"))
        }))
    }

    /// Where it is, once it is there.
    fn installed(self) -> Result<PathBuf> {
        match self.0.join() {
            Ok(installed) => installed,
            Err(_) => bail!("its installation panicked"),
        }
    }
}
