//! Programs the tests drive that come as Debian packages: a browser, an S3 client, what a shell speaks HTTP with, what
//! the examples work with, what counts instructions, and a kernel.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::program::{Program, find};
use crate::repository;
use crate::stages::Done;

/// A program and the package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("chromium", "chromium"),
    ("clamd", "clamav-daemon"),
    ("ffmpeg", "ffmpeg"),
    ("rclone", "rclone"),
    ("curl", "curl"),
    // A wall clock that can be moved.
    ("faketime", "faketime"),
    // What counts instructions.
    ("valgrind", "valgrind"),
    // A kernel that runs as a program, and what sets its network up.
    ("linux.uml", "user-mode-linux"),
    ("ip", "iproute2"),
];

/// Installs the packages whose programs are missing; needs root and apt-get, and is skipped without.
///
/// The tests that need a program that is still missing afterwards say so and are skipped one by one.
pub(crate) fn install() -> Result<Done> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(Done::quietly());
    }
    let missing_names = missing.join(", ");
    if find("apt-get").is_none() {
        return Ok(Done::Skipped(format!(
            "no apt-get here; {missing_names} missing"
        )));
    }
    if fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid()) != 0 {
        return Ok(Done::Skipped(format!("not root; {missing_names} missing")));
    }
    Program::new("apt-get").args(["update", "--quiet"]).run()?;
    Program::new("apt-get")
        .args(["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()?;
    Ok(Done::quietly())
}

/// A program of a package, unpacked below the target folder and not installed: a server among these would be started.
pub(crate) fn unpacked(package: &str, program: &str) -> Result<PathBuf> {
    let folder = repository::target()?.join("peers").join(package);
    let unpacked = folder.join(program);
    if unpacked.is_file() {
        return Ok(unpacked);
    }
    if find("apt-get").is_none() {
        bail!("no apt-get here");
    }
    fs::create_dir_all(&folder)?;
    Program::new("apt-get")
        .args(["download", "--quiet", package])
        .current_dir(&folder)
        .run()?;
    let archive = fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|it| it == "deb"))
        .with_context(|| format!("{package} was not downloaded"))?;
    Program::new("dpkg-deb")
        .args([
            "--extract".as_ref(),
            archive.as_os_str(),
            folder.as_os_str(),
        ])
        .run()?;
    if unpacked.is_file() {
        Ok(unpacked)
    } else {
        bail!("{package} has no {program}")
    }
}
