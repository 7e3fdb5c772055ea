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
    build_among(&[package], program)
}

/// Builds the upload function and returns where it is. With the features that the release program gives to what both are
/// made of, so that this is built once; the program that is deployed has its own only.
pub(crate) fn build_upload_function() -> Result<PathBuf> {
    build_among(&["two-buckets", "uploads"], "uploads")
}

/// Builds one program with the features that these packages have together.
fn build_among(packages: &[&str], program: &str) -> Result<PathBuf> {
    Program::new("cargo")
        .args(["build", "--release", "--locked", "--bin", program])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .run()?;
    let built = repository::target()?.join("release").join(program);
    if !built.is_file() {
        bail!("cargo built no {}", built.display());
    }
    Ok(built)
}
