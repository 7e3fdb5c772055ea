//! The page's own checks and tests, run by npm.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::program::Program;
use crate::repository;
use crate::stages::Done;

/// Types, lints and formatting of the page.
pub(crate) fn check() -> Result<Done> {
    let web = repository::root().join("web");
    if !web.join("package.json").is_file() {
        return Ok(Done::Skipped("there is no page yet".into()));
    }
    install(&web)?;
    Program::new("npm")
        .args(["run", "check"])
        .current_dir(&web)
        .run()?;
    Ok(Done::quietly())
}

/// The page's tests; their closing lines go to `closing`.
pub(crate) fn test(closing: &mut Vec<String>) -> Result<Done> {
    let web = repository::root().join("web");
    if !web.join("package.json").is_file() {
        return Ok(Done::Skipped("there is no page yet".into()));
    }
    install(&web)?;
    let (lines, outcome) = Program::new("npm")
        .args(["test"])
        .current_dir(&web)
        .run_and_keep(|line| {
            let line = line.trim_start();
            ["not ok", "# tests", "# pass", "# fail"]
                .iter()
                .any(|start| line.starts_with(start))
        });
    closing.extend(lines);
    outcome?;
    Ok(Done::quietly())
}

/// Installs exactly the packages of the folder's lock file, unless that was done for this very lock file before.
/// The page's build script leaves and reads the same mark.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let wanted = fs::read(folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules").join(".two-buckets-installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    Program::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .run()?;
    fs::write(stamp, wanted)?;
    Ok(())
}
