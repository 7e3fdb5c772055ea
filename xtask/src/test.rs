//! `cargo xtask test`: every test, with what the tests need installed first.

use std::thread::{self, JoinHandle};

use anyhow::{Result, bail};

use crate::program::Program;
use crate::stages::{Done, Stages};
use crate::template::Checkov;
use crate::{counts, debian, end_to_end, own_kernel, package, python, release, template, web};

pub(crate) fn run(only: Option<&str>) -> Result<()> {
    let mut stages = Stages::new(only);
    // It is downloaded for the most part, so it may go on beside the builds.
    let checkov = stages.has("template tests").then(Checkov::begin);
    // First, for the Rust tests use some of them.
    stages.run("debian packages", debian::install);
    stages.run_and_keep("rust tests", rust);
    // The next three wait for the most part: for a kernel, browsers and other programs.
    let builds = (stages.has("release build") && stages.has("package")).then(Builds::begin);
    stages.run_and_keep("own kernel tests", own_kernel::test);
    stages.run_and_keep("page tests", web::test);
    stages.run_and_keep("template tests", |closing| template::test(checkov, closing));
    stages.run("release build", || {
        builds.map_or(Ok(()), Builds::ended)?;
        release::build()?;
        Ok(Done::quietly())
    });
    stages.run_and_keep("instruction counts", counts::test);
    stages.run_and_keep("package", package::test);
    stages.run_and_keep("end to end tests", end_to_end::test);
    stages.finish()
}

/// What is built beside stages that leave a processor free.
struct Builds(JoinHandle<Result<()>>);

impl Builds {
    fn begin() -> Self {
        Self(thread::spawn(|| {
            release::build_in_the_background()?;
            package::build_in_the_background()
        }))
    }

    fn ended(self) -> Result<()> {
        match self.0.join() {
            Ok(ended) => ended,
            Err(_) => bail!("the builds panicked"),
        }
    }
}

fn rust(closing: &mut Vec<String>) -> Result<Done> {
    let mut tests =
        Program::new("cargo").args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    // Lambda's own client for Python is held to the same as ours for Node, and the traits on AWS to their contracts on
    // moto, where these can be installed.
    match python::environment() {
        Ok(bin) => {
            tests = tests.env("TWO_BUCKETS_TEST_PYTHON", bin.join("python"));
            closing.push("run too: the tests with Python's awslambdaric and moto".into());
        }
        Err(why) => closing.push(format!(
            "skipped: the tests with Python's awslambdaric and moto: {why:#}"
        )),
    }
    if std::env::var_os("TWO_BUCKETS_TEST_AWS_PREFIX").is_none() {
        closing.push(
            "skipped: the contracts on AWS itself: TWO_BUCKETS_TEST_AWS_PREFIX is not set".into(),
        );
    }
    let (lines, outcome) = tests.run_and_keep(|line| {
        (line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed"))
            || (line.starts_with("test ") && line.ends_with(" ... FAILED"))
    });
    closing.extend(lines);
    outcome?;
    Ok(Done::quietly())
}
