//! Programs for Amazon Linux 2023, whatever this machine is.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;

use super::glibc::LIMIT;
use super::programs::Program;
use crate::{program, python, repository};

/// What builds, each pinned. Neither brings another package.
const TOOLS: &str = "ziglang==0.17.1\ncargo-zigbuild==0.24.0\n";
/// A profile in the workspace's `Cargo.toml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Profile {
    /// What is deployed.
    Deployed,
    /// The same, which takes a quarter of the time to build.
    Unoptimised,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Deployed => "lambda",
            Self::Unoptimised => "lambda-unoptimised",
        }
    }
}

/// A processor that Lambda and Fargate have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Arch {
    /// Intel's and AMD's
    #[value(name = "x86_64")]
    X86_64,
    /// AWS's own (Graviton)
    #[value(name = "arm64")]
    Arm64,
}

impl Arch {
    /// As the template's `Architecture` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }
}

/// Builds the program and returns where it is.
pub(super) fn build(program: &Program, arch: Arch, profile: Profile) -> Result<PathBuf> {
    building(program, arch, profile)?.run()?;
    let built = built(program, arch, profile)?;
    if !built.is_file() {
        bail!("cargo built no {}", built.display());
    }
    Ok(built)
}

/// Builds it unseen and after everything else that wants a processor.
pub(super) fn build_in_the_background(
    program: &Program,
    arch: Arch,
    profile: Profile,
) -> Result<()> {
    building(program, arch, profile)?.last_of_all().run_unseen()
}

/// What the compiler warns of in the program and what it is made of here, which has other features than in the workspace.
pub(super) fn warnings(program: &Program, arch: Arch, profile: Profile) -> Result<Vec<String>> {
    let messages = building(program, arch, profile)?
        .args(["--message-format", "json"])
        .output()?;
    Ok(messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|it| it["reason"] == "compiler-message")
        .filter_map(|it| it["message"]["rendered"].as_str().map(str::to_owned))
        .collect())
}

fn building(program: &Program, arch: Arch, profile: Profile) -> Result<program::Program> {
    has_std(arch)?;
    let tools = repository::target()?.join("tools").join("zigbuild");
    let bin = python::environment_of(TOOLS.as_bytes(), &tools)?;
    let target = format!(
        "{}.{}",
        arch.target(),
        LIMIT.to_string().trim_start_matches("glibc ")
    );
    Ok(program::Program::new("cargo")
        .args(["zigbuild", "--locked", "--profile", profile.name()])
        .args(["--target", &target])
        .args(["--package", program.package, "--bin", program.package])
        .args(program.flags)
        // cargo finds cargo-zigbuild there, and that finds zig by the first python3.
        .env("PATH", program::path_with(&bin)?))
}

/// Where the program is once it is built.
pub(super) fn built(program: &Program, arch: Arch, profile: Profile) -> Result<PathBuf> {
    let target = repository::target()?.join(arch.target());
    let folder = target.join(profile.name());
    Ok(folder.join(program.package))
}

/// Whether this compiler has its standard library for that processor; without it rustc says so once for each crate.
fn has_std(arch: Arch) -> Result<()> {
    let found = program::Program::new("rustc")
        .args(["--print", "target-libdir", "--target", arch.target()])
        .output()?;
    let folder = PathBuf::from(found.trim());
    let has = folder.read_dir().is_ok_and(|mut files| {
        files.any(|file| {
            file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        })
    });
    if !has {
        bail!(
            "this Rust has no standard library for {}: rustup target add {0}",
            arch.target()
        );
    }
    Ok(())
}
