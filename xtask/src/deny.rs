//! Licences, bans and sources of the dependencies, by cargo-deny.
//!
//! Advisories are left out: they need a clone of a database from the network on every run.

use std::path::PathBuf;

use anyhow::Result;

use crate::program::Program;
use crate::stages::Done;
use crate::{crates, repository};

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
    crates::installed("cargo-deny", VERSION, &tools, |install| {
        // To optimise it takes minutes and wins seconds in the one run.
        install
            .args(["--debug"])
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
    })
}
