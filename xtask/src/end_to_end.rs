//! The suites in `tests/e2e`, against the release program.

use anyhow::Result;

use crate::program::{Program, path_with};
use crate::stages::Done;
use crate::{python, release, repository, web};

/// How hard `cargo xtask torture` is.
#[derive(clap::Args)]
pub(crate) struct Torture {
    /// How often the server is killed
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// What the clients choose by; the same as last time unless given
    #[arg(long)]
    seed: Option<u64>,
}

/// Every suite.
pub(crate) fn test(closing: &mut Vec<String>) -> Result<Done> {
    if !repository::root().join("tests").join("e2e").is_dir() {
        return Ok(Done::Skipped("there are none yet".into()));
    }
    web::install(&repository::root().join("tests").join("js"))?;
    let (lines, outcome) = pytest()?
        .args(["--durations=15", "tests/e2e"])
        // Most of a test's time is waiting; what a module's tests share is made once by each of the three.
        .args(["--numprocesses=3", "--dist=worksteal"])
        .run_and_keep(|line| {
            line.starts_with("FAILED ")
                || line.starts_with("ERROR ")
                || (line.starts_with('=') && line.contains(" in "))
        });
    closing.extend(lines);
    outcome?;
    Ok(Done::quietly())
}

/// Kills the server under load, more often than the tests do.
pub(crate) fn torture(flags: &Torture) -> Result<()> {
    let mut program = pytest()?
        .args(["--capture=no", "tests/e2e/test_torture.py"])
        .env("TWO_BUCKETS_TORTURE_KILLS", flags.kills.to_string());
    if let Some(seed) = flags.seed {
        program = program.env("TWO_BUCKETS_TORTURE_SEED", seed.to_string());
    }
    program.run()
}

/// The tests' runner, with the release program and what else the suites need but the packages for Node.
fn pytest() -> Result<Program> {
    let program = release::build()?;
    let release::Beside {
        processor,
        sweep,
        uploads,
        invoke,
    } = release::build_beside()?;
    let bin = python::environment()?;
    Ok(Program::new(bin.join("python"))
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
        .env("TWO_BUCKETS_PROGRAM", &program)
        .env("TWO_BUCKETS_PROCESSOR_FUNCTION", processor)
        .env("TWO_BUCKETS_SWEEP_FUNCTION", sweep)
        .env("TWO_BUCKETS_UPLOADS_FUNCTION", uploads)
        .env("TWO_BUCKETS_INVOKE", invoke)
        .env("PATH", path_with(&bin)?)
        .env("PYTHONUNBUFFERED", "1"))
}
