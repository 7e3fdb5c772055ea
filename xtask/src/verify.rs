//! `cargo xtask verify`: a deployed stack against what it promises, by `deploy/verify.py` in the tests' Python.

use anyhow::Result;

use crate::program::Program;
use crate::{python, repository};

/// Everything behind `verify` goes to the script; `--help` says what it takes.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Verify {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs the script.
pub(crate) fn run(flags: &Verify) -> Result<()> {
    let bin = python::environment()?;
    Program::new(bin.join("python"))
        .args([repository::root().join("deploy").join("verify.py")])
        .args(&flags.words)
        .run()
}
