//! Virtual environments of Python with pinned packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::program::Program;
use crate::repository;

/// Makes the environment of the tests in `tests/.venv` and returns its `bin` folder; nothing is done when it already fits.
pub(crate) fn environment() -> Result<PathBuf> {
    let tests = repository::root().join("tests");
    let requirements = fs::read(tests.join("requirements.txt"))?;
    environment_of(&requirements, &tests.join(".venv"))
}

/// Makes an environment with exactly these packages, each pinned, in this folder and returns its `bin` folder; nothing is
/// done when it already fits.
pub(crate) fn environment_of(requirements: &[u8], venv: &Path) -> Result<PathBuf> {
    let bin = venv.join("bin");
    let stamp = venv.join("installed.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == requirements) {
        return Ok(bin);
    }
    Program::new("python3")
        .args(["-m", "venv", "--clear"])
        .args([venv])
        .run()?;
    let wanted = venv.join("wanted.txt");
    fs::write(&wanted, requirements)?;
    Program::new(bin.join("python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ])
        .args(["--requirement"])
        .args([&wanted])
        .run()?;
    fs::rename(wanted, stamp)?;
    Ok(bin)
}
