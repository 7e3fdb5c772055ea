//! One process of a job, as its server sees it: how it is started and ended, and what is cleaned behind it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::time::Instant;
use two_buckets_lambda_host as lambda;
use two_buckets_objects::VersionRef;

use super::holder_of;
use crate::server::strays::MARKS;

/// How long a process that was told to end may take before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// A process that was started. Dropping it lets it go on.
pub(super) struct Child {
    id: u32,
    group: Option<Pid>,
    folder: PathBuf,
    told_to_end: Option<Instant>,
    was_killed: bool,
}

impl Child {
    /// Starts the job of a version by these words, in a folder of its own in that of the job. Ends and removes first
    /// what earlier processes of the job left there.
    pub(super) async fn start(
        at: &VersionRef,
        words: &[OsString],
        of_job: PathBuf,
        folder: PathBuf,
    ) -> Result<(Self, tokio::process::Child), String> {
        let temporary = folder.join("tmp");
        let made = temporary.clone();
        tokio::task::spawn_blocking(move || {
            clean(&of_job);
            make(&made)
        })
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("its folder cannot be made: {error}"))?;
        let own = [
            // No argument of a process may hold a zero byte, and a key may.
            ("--key-hex", hex::encode(at.key.as_str())),
            ("--version", at.version_id.as_str().to_owned()),
        ];
        let process = Command::new(this_program())
            .arg("job")
            .args(own.map(|(flag, value)| format!("{flag}={value}")))
            .args(words)
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Ctrl-C in the server's terminal is not for it.
            .process_group(0)
            .spawn()
            .map_err(|error| error.to_string())?;
        let id = process.id();
        let child = Self {
            id: id.unwrap_or_default(),
            group: id.and_then(|id| Pid::from_raw(id.cast_signed())),
            folder,
            told_to_end: None,
            was_killed: false,
        };
        Ok((child, process))
    }

    /// How the name begins by which it holds its key.
    pub(super) fn holder(&self) -> String {
        holder_of(self.id)
    }

    pub(super) fn was_told_to_end(&self) -> bool {
        self.told_to_end.is_some()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends and removes what it left, once it has ended.
    pub(super) async fn clean(self) {
        let cleaned = tokio::task::spawn_blocking(move || {
            clean(&self.folder);
            // Another process of the job may have its folder beside it.
            self.folder.parent().map(std::fs::remove_dir)
        });
        if let Err(error) = cleaned.await {
            tracing::error!(%error, "cleaning a job's folder broke");
        }
    }

    /// Tells it to end, and kills it with all that is its own when it was told some time ago.
    pub(super) fn end(&mut self) {
        let told = *self.told_to_end.get_or_insert_with(|| {
            if let Some(group) = self.group {
                // Where it has ended, that is what was wanted.
                _ = kill_process_group(group, Signal::TERM);
            }
            Instant::now()
        });
        if told.elapsed() >= KILL_AFTER && !self.was_killed {
            self.was_killed = true;
            if let Some(group) = self.group {
                _ = kill_process_group(group, Signal::KILL);
            }
        }
    }
}

/// Makes a folder that nobody else may look into.
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Ends whatever has its temporary folder in a job's folder, and removes that. Blocks.
pub(super) fn clean(folder: &Path) {
    lambda::end_strays(&MARKS, folder);
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "a job's folder cannot be removed");
    }
}

/// This program's file; where another was put in its place, what is still open of the one that runs.
fn this_program() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        _ => PathBuf::from("/proc/self/exe"),
    }
}

/// How a process ended.
pub(super) fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("its process ended with exit code {code}"),
        (None, Some(signal)) => format!("its process was ended by signal {signal}"),
        (None, None) => "its process ended".to_owned(),
    }
}
