//! The release program, as a user builds it.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::program::Program;
use crate::repository;

/// Builds the release program and returns where it is.
pub(crate) fn build() -> Result<PathBuf> {
    build_package("two-buckets", "two-buckets")
}

/// Builds one program of one package, optimised, and returns where it is.
pub(crate) fn build_package(package: &str, program: &str) -> Result<PathBuf> {
    Program::new("cargo")
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            package,
            "--bin",
            program,
        ])
        .run()?;
    let built = repository::target()?.join("release").join(program);
    if !built.is_file() {
        bail!("cargo built no {}", built.display());
    }
    Ok(built)
}
