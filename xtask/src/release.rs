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
    build_among(&[package], &["--bin", program])
}

/// Builds a Lambda function of a deployment and returns where it is. With the features that the release program gives to
/// what both are made of, so that this is built once; the program that is deployed has its own only.
pub(crate) fn build_function(name: &str) -> Result<PathBuf> {
    build_among(&["two-buckets", name], &["--bin", name])
}

/// Builds what runs functions on events of standard input and returns where it is.
pub(crate) fn build_invoke() -> Result<PathBuf> {
    let packages = ["two-buckets", "two-buckets-lambda-host"];
    build_among(&packages, &["--example", "invoke"])
}

/// Builds one program with the features that these packages have together.
fn build_among(packages: &[&str], [kind, program]: &[&str; 2]) -> Result<PathBuf> {
    Program::new("cargo")
        .args(["build", "--release", "--locked", kind, program])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .run()?;
    let folder = match *kind {
        "--example" => "release/examples",
        _ => "release",
    };
    let built = repository::target()?.join(folder).join(program);
    if !built.is_file() {
        bail!("cargo built no {}", built.display());
    }
    Ok(built)
}
