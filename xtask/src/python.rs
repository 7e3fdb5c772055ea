//! The Python the end-to-end tests run in: a virtual environment with pinned packages.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::program::Program;
use crate::repository;

/// Makes the environment in `tests/.venv` and returns its `bin` folder; nothing is done when it already fits.
pub(crate) fn environment() -> Result<PathBuf> {
    let tests = repository::root().join("tests");
    let requirements = tests.join("requirements.txt");
    let venv = tests.join(".venv");
    let bin = venv.join("bin");
    let wanted = fs::read(&requirements)?;
    let stamp = venv.join("installed.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(bin);
    }
    Program::new("python3")
        .args(["-m", "venv", "--clear"])
        .args([&venv])
        .run()?;
    Program::new(bin.join("python"))
        .args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-deps",
        ])
        .args(["--requirement"])
        .args([&requirements])
        .run()?;
    fs::write(stamp, wanted)?;
    Ok(bin)
}
