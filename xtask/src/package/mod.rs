//! `cargo xtask package`: what `cargo xtask deploy` uploads, in a folder named by its content.
//!
//! Programs are built for Lambda's `provided.al2023` (Amazon Linux 2023, glibc 2.34) whatever this machine has, by
//! cargo-zigbuild, and each is looked into: one that asks for a newer glibc is not packaged.

mod archive;
mod build;
mod glibc;
mod programs;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::repository;
use crate::stages::Done;

pub(crate) use build::Arch;
use build::Profile;
use programs::{PROGRAMS, Program, Shape};

/// What of `deploy/` is part of a release.
const DEPLOYED: [&str; 2] = ["two-buckets.yaml", "stack-policy.json"];
/// How many of the programs the tests build: those that share their features.
const TESTED: usize = 2;
/// How many characters of a release's digest name it.
const RELEASE_CHARS: usize = 16;

/// What is packaged.
#[derive(clap::Args)]
pub(crate) struct Package {
    /// The processor that functions and jobs run on
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,
    /// Build and pack only these programs, into target/package; that is no release to deploy
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// A release: a folder of files, named by what is in them.
pub(crate) struct Release {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// Its name, which changes when anything in it does.
    pub(crate) name: String,
}

/// Builds what was asked for and says how large it is.
pub(crate) fn run(flags: &Package) -> Result<()> {
    if flags.only.is_empty() {
        let release = release(flags.arch)?;
        println!("\nrelease {}: {}", release.name, release.folder.display());
        return Ok(());
    }
    for name in &flags.only {
        let program = PROGRAMS.iter().find(|program| program.package == name);
        let Some(program) = program else {
            let names: Vec<_> = PROGRAMS.iter().map(|program| program.package).collect();
            bail!("{name} is none of what is packaged: {}", names.join(", "));
        };
        println!(
            "{}",
            alone(program, flags.arch, Profile::Deployed)?
                .packed
                .display()
        );
    }
    Ok(())
}

/// A program that was built and packed outside of a release.
pub(crate) struct Alone {
    /// The program itself.
    pub(crate) built: PathBuf,
    /// What would be uploaded of it.
    pub(crate) packed: PathBuf,
}

/// The processor, packed.
pub(crate) fn processor() -> Result<Alone> {
    alone(&PROGRAMS[0], Arch::X86_64, Profile::Deployed)
}

fn alone(program: &Program, arch: Arch, profile: Profile) -> Result<Alone> {
    let bytes = packed(program, arch, profile)?;
    let target = repository::target()?;
    let folder = match profile {
        Profile::Deployed => target.join("package"),
        Profile::Unoptimised => target.join("package-unoptimised"),
    };
    fs::create_dir_all(&folder)?;
    let file = folder.join(program.file);
    fs::write(&file, bytes)?;
    Ok(Alone {
        built: build::built(program, arch, profile)?,
        packed: file,
    })
}

/// Builds every program and puts together what is deployed.
pub(crate) fn release(arch: Arch) -> Result<Release> {
    let mut files = BTreeMap::new();
    for program in &PROGRAMS {
        files.insert(
            program.file.to_owned(),
            packed(program, arch, Profile::Deployed)?,
        );
    }
    for name in DEPLOYED {
        let file = repository::root().join("deploy").join(name);
        files.insert(name.to_owned(), fs::read(file)?);
    }
    write(&files)
}

/// A release that was packaged before.
pub(crate) fn packaged(folder: &Path) -> Result<Release> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().into_string();
        let name =
            name.map_err(|name| anyhow::anyhow!("{} is no part of a release", name.display()))?;
        files.insert(name, fs::read(entry.path())?);
    }
    for name in DEPLOYED {
        if !files.contains_key(name) {
            bail!("{} is no release: it has no {name}", folder.display());
        }
    }
    Ok(Release {
        folder: folder.canonicalize()?,
        name: name_of(&files),
    })
}

/// Builds what [`test`] looks at, unseen and after everything else that wants a processor.
pub(crate) fn build_in_the_background() -> Result<()> {
    PROGRAMS[..TESTED].iter().try_for_each(|program| {
        build::build_in_the_background(program, Arch::X86_64, Profile::Unoptimised)
    })
}

/// The stage of the tests: the functions that share their features are built without a warning, for no newer glibc than
/// they will meet, and one starts here and is packed twice with the same result.
pub(crate) fn test(closing: &mut Vec<String>) -> Result<Done> {
    let profile = Profile::Unoptimised;
    let Alone { built, packed } = alone(&PROGRAMS[0], Arch::X86_64, profile)?;
    starts(&built)?;
    for program in &PROGRAMS[..TESTED] {
        let warnings = build::warnings(program, Arch::X86_64, profile)?;
        if !warnings.is_empty() {
            let name = program.package;
            bail!("{name} alone has warnings:\n{}", warnings.join("\n"));
        }
    }
    let (built, packed) = (fs::read(built)?, fs::read(packed)?);
    if archive::zipped(&built)? != packed {
        bail!("the processor is not the same when it is packed again");
    }
    closing.push(format!(
        "processor, not optimised: {:.1} MB zipped, {:.1} MB unpacked",
        megabytes(packed.len()),
        megabytes(built.len())
    ));
    Ok(Done::quietly())
}

/// A function that was built for Lambda starts on this machine too, and says what it was not told.
fn starts(built: &Path) -> Result<()> {
    let said = Command::new(built)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
        .output()?;
    let text = String::from_utf8_lossy(&said.stderr);
    if said.status.code() != Some(1) || !text.contains("TWO_BUCKETS_STAGING is not set") {
        bail!(
            "{} does not start: {}: {text}",
            built.display(),
            said.status
        );
    }
    Ok(())
}

/// Builds a program and gives what is uploaded of it.
fn packed(program: &Program, arch: Arch, profile: Profile) -> Result<Vec<u8>> {
    let built = build::build(program, arch, profile)?;
    let bytes = fs::read(&built)?;
    let newest = glibc::within_limit(&bytes).with_context(|| built.display().to_string())?;
    let packed = match program.shape {
        Shape::Function => archive::zipped(&bytes)?,
        Shape::Job => bytes.clone(),
    };
    println!(
        "{}: {:.1} MB, {:.1} MB unpacked, {newest}",
        program.file,
        megabytes(packed.len()),
        megabytes(bytes.len())
    );
    Ok(packed)
}

fn write(files: &BTreeMap<String, Vec<u8>>) -> Result<Release> {
    let name = name_of(files);
    let folder = repository::target()?.join("package").join(&name);
    fs::create_dir_all(&folder)?;
    for (file, bytes) in files {
        fs::write(folder.join(file), bytes)?;
    }
    Ok(Release { folder, name })
}

fn name_of(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut digest = Sha256::new();
    for (file, bytes) in files {
        digest.update(file.as_bytes());
        digest.update([0]);
        digest.update(Sha256::digest(bytes));
    }
    hex::encode(digest.finalize())[..RELEASE_CHARS].to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "sizes are shown in megabytes")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
        of.iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
            .collect()
    }

    #[test]
    fn a_release_has_another_name_when_any_file_or_name_of_one_is_another() {
        let first = name_of(&files(&[("a", b"1"), ("b", b"2")]));
        assert_eq!(first, name_of(&files(&[("b", b"2"), ("a", b"1")])));
        for other in [
            files(&[("a", b"1"), ("b", b"3")]),
            files(&[("a", b"1"), ("c", b"2")]),
            files(&[("a", b"1")]),
            files(&[("a", b"12"), ("b", b"")]),
        ] {
            assert_ne!(first, name_of(&other));
        }
    }

    #[test]
    fn a_folder_without_a_template_is_no_release() {
        let folder = tempfile::tempdir().expect("a folder");
        let Err(why) = packaged(folder.path()) else {
            panic!("it is one")
        };
        assert!(why.to_string().contains("two-buckets.yaml"), "{why}");
    }
}
