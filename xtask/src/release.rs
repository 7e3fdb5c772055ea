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
    let [built] = build_among(&[package], [program])?;
    Ok(built)
}

/// Builds the release program, what measures it and the least function, with their features together, so that what they
/// are made of is built once.
pub(crate) fn build_with_bench() -> Result<[PathBuf; 3]> {
    build_among(
        &["two-buckets", "two-buckets-bench"],
        ["two-buckets", "bench", "empty_function"],
    )
}

/// Builds all that the tests need of it, unseen and after everything else that wants a processor.
pub(crate) fn build_in_the_background() -> Result<()> {
    building(
        &BESIDE_PACKAGES,
        &["two-buckets", "processor", "sweep", "uploads", "invoke"],
    )
    .last_of_all()
    .run_unseen()
}

/// What has the programs beside the release program, which gives them its features.
const BESIDE_PACKAGES: [&str; 5] = [
    "two-buckets",
    "processor",
    "sweep",
    "uploads",
    "two-buckets-lambda-host",
];

/// What the tests use beside the release program.
pub(crate) struct Beside {
    /// The Lambda function that processes.
    pub(crate) processor: PathBuf,
    /// The Lambda function that sweeps.
    pub(crate) sweep: PathBuf,
    /// The Lambda function of the upload API.
    pub(crate) uploads: PathBuf,
    /// What runs functions on the events of its standard input.
    pub(crate) invoke: PathBuf,
}

/// Builds them with the features that the release program gives to what all are made of, so that this is built once; what
/// is deployed has its own only.
pub(crate) fn build_beside() -> Result<Beside> {
    let programs = ["processor", "sweep", "uploads", "invoke"];
    let [processor, sweep, uploads, invoke] = build_among(&BESIDE_PACKAGES, programs)?;
    Ok(Beside {
        processor,
        sweep,
        uploads,
        invoke,
    })
}

/// Builds programs with the features that these packages have together.
fn build_among<const N: usize>(packages: &[&str], programs: [&str; N]) -> Result<[PathBuf; N]> {
    building(packages, &programs).run()?;
    let folder = repository::target()?.join("release");
    let built = programs.map(|program| folder.join(program));
    if let Some(missing) = built.iter().find(|it| !it.is_file()) {
        bail!("cargo built no {}", missing.display());
    }
    Ok(built)
}

fn building(packages: &[&str], programs: &[&str]) -> Program {
    Program::new("cargo")
        .args(["build", "--release", "--locked"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args(programs.iter().flat_map(|program| ["--bin", program]))
}
