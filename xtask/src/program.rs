//! Runs other programs: says what it runs, and keeps their closing lines.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::repository;

/// How much of what a program said is shown with its failure.
const LINES_OF_AN_ERROR: usize = 100;

/// A program to run in the repository's root.
pub(crate) struct Program {
    command: Command,
}

impl Program {
    /// A program found on the path, or named by one.
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command.current_dir(repository::root());
        // What cargo says of this program is nothing to what it starts: build scripts that look at it (ring's does) would
        // run again, and all that hangs on them, whenever cargo is called from here and by hand by turns.
        for (name, _) in env::vars_os() {
            let is_of_cargo =
                |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
            if name.to_str().is_some_and(is_of_cargo) {
                command.env_remove(name);
            }
        }
        Self { command }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with its output shown; an exit code other than 0 is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        let line = self.line();
        println!("$ {line}");
        let status = self
            .command
            .status()
            .with_context(|| format!("could not start {line}"))?;
        if !status.success() {
            bail!("{line}: {status}");
        }
        Ok(())
    }

    /// Lets all others go first, of this process's too.
    pub(crate) fn last_of_all(self) -> Self {
        let mut nice = Command::new("nice");
        nice.args(["-n", "19"])
            .arg(self.command.get_program())
            .args(self.command.get_args());
        if let Some(folder) = self.command.get_current_dir() {
            nice.current_dir(folder);
        }
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => nice.env(name, value),
                None => nice.env_remove(name),
            };
        }
        Self { command: nice }
    }

    /// Runs it with its output kept out of sight; an error shows its end.
    pub(crate) fn run_unseen(mut self) -> Result<()> {
        let line = self.line();
        let output = self
            .command
            .output()
            .with_context(|| format!("could not start {line}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let from = said.lines().count().saturating_sub(LINES_OF_AN_ERROR);
            let end: Vec<&str> = said.lines().skip(from).collect();
            bail!("{line}: {}\n{}", output.status, end.join("\n"));
        }
        Ok(())
    }

    /// Runs it with its output shown, and returns the lines of stdout that `is_closing` picks.
    ///
    /// They come back even when the program fails, beside the failure, so that a summary can show them.
    pub(crate) fn run_and_keep(
        mut self,
        is_closing: impl Fn(&str) -> bool,
    ) -> (Vec<String>, Result<()>) {
        let line = self.line();
        println!("$ {line}");
        let mut closing = Vec::new();
        let outcome = (|| {
            let mut child = self
                .command
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("could not start {line}"))?;
            let stdout = child.stdout.take().expect("stdout was piped");
            for text in BufReader::new(stdout).split(b'\n') {
                let text = String::from_utf8_lossy(&text?).into_owned();
                println!("{text}");
                if is_closing(&text) {
                    closing.push(text.trim().to_owned());
                }
            }
            let status = child.wait()?;
            if !status.success() {
                bail!("{line}: {status}");
            }
            Ok(())
        })();
        (closing, outcome)
    }

    /// Runs it silently and returns what it wrote to stdout.
    pub(crate) fn output(mut self) -> Result<String> {
        let line = self.line();
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("could not start {line}"))?;
        if !output.status.success() {
            bail!("{line}: {}", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("{line} did not print UTF-8"))
    }

    /// The command line as a person would type it, with the folder left out.
    fn line(&self) -> String {
        let mut words: Vec<&OsStr> = vec![self.command.get_program()];
        words.extend(self.command.get_args());
        let words: Vec<OsString> = words.into_iter().map(OsStr::to_owned).collect();
        words.join(OsStr::new(" ")).to_string_lossy().into_owned()
    }
}

/// Where a program is on the path, if it is there.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The path with `first` searched before everything else.
pub(crate) fn path_with(first: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}
