//! Programs that come as crates, each pinned to a version and installed below the target folder.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::program::Program;

/// The program that a crate is named after, in this folder; it is installed where it is missing or of another version.
///
/// `how` adds to cargo's command what it takes to build it.
pub(crate) fn installed(
    name: &str,
    version: &str,
    folder: &Path,
    how: impl FnOnce(Program) -> Program,
) -> Result<PathBuf> {
    let program = folder.join("bin").join(name);
    if program.is_file()
        && Program::new(&program).args(["--version"]).output()?.trim()
            == format!("{name} {version}")
    {
        return Ok(program);
    }
    let install = Program::new("cargo")
        .args(["install", "--locked", "--root"])
        .args([folder])
        .args(["--version", &format!("={version}"), name]);
    how(install).run()?;
    Ok(program)
}
