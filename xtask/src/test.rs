//! `cargo xtask test`: every test, with what the tests need installed first.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;

use crate::program::Program;
use crate::stages::{Done, Stages};
use crate::{debian, own_kernel, python, release, repository, web};

pub(crate) fn run(only: Option<&str>) -> Result<()> {
    let mut stages = Stages::new(only);
    // First, for the Rust tests use some of them.
    stages.run("debian packages", debian::install);
    stages.run_and_keep("rust tests", rust);
    stages.run_and_keep("own kernel tests", own_kernel::test);
    stages.run_and_keep("page tests", web::test);
    stages.run("release build", || {
        release::build()?;
        Ok(Done::quietly())
    });
    stages.run_and_keep("end to end tests", end_to_end);
    stages.finish()
}

fn rust(closing: &mut Vec<String>) -> Result<Done> {
    let mut tests =
        Program::new("cargo").args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    // Lambda's own client for Python is held to the same as ours for Node, where it can be installed.
    match python::environment() {
        Ok(bin) => tests = tests.env("TWO_BUCKETS_TEST_PYTHON", bin.join("python")),
        Err(why) => println!("skipped: the tests with Python's awslambdaric: {why:#}"),
    }
    let (lines, outcome) = tests.run_and_keep(|line| {
        line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed")
    });
    closing.extend(lines);
    outcome?;
    Ok(Done::quietly())
}

/// The suites in `tests/e2e`, against the release program.
fn end_to_end(closing: &mut Vec<String>) -> Result<Done> {
    if !repository::root().join("tests").join("e2e").is_dir() {
        return Ok(Done::Skipped("there are none yet".into()));
    }
    let program = release::build()?;
    let bin = python::environment()?;
    web::install(&repository::root().join("tests").join("js"))?;
    let (lines, outcome) = Program::new(bin.join("python"))
        .args([
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--durations=15",
            "tests/e2e",
        ])
        .env("TWO_BUCKETS_PROGRAM", &program)
        .env("PATH", path_with(&bin)?)
        .env("PYTHONUNBUFFERED", "1")
        .run_and_keep(|line| {
            line.starts_with("FAILED ")
                || line.starts_with("ERROR ")
                || (line.starts_with('=') && line.contains(" in "))
        });
    closing.extend(lines);
    outcome?;
    Ok(Done::quietly())
}

/// The path with `first` searched before everything else.
fn path_with(first: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}
