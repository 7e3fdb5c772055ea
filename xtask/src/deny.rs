//! Licences, bans and sources of the dependencies, by cargo-deny.
//!
//! Advisories are left out: they need a clone of a database from the network on every run.

use std::path::PathBuf;

use anyhow::Result;

use crate::program::Program;
use crate::repository;
use crate::stages::Done;

/// The version the configuration in `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// Checks what `deny.toml` says; installs cargo-deny beside the build products once (some two minutes).
pub(crate) fn check() -> Result<Done> {
    let program = installed()?;
    Program::new(program)
        .args([
            "--locked",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ])
        .run()?;
    Ok(Done::quietly())
}

fn installed() -> Result<PathBuf> {
    let tools = repository::target()?.join("tools");
    let program = tools.join("bin").join("cargo-deny");
    let version = Program::new(&program).args(["--version"]);
    if program.is_file() && version.output()?.trim() == format!("cargo-deny {VERSION}") {
        return Ok(program);
    }
    Program::new("cargo")
        .args(["install", "--locked", "--root"])
        .args([&tools])
        .args(["--version", &format!("={VERSION}"), "cargo-deny"])
        // To optimise it takes minutes and wins seconds in the one run.
        .args(["--debug"])
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .run()?;
    Ok(program)
}
