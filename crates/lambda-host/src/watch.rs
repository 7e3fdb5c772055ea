//! Looks whether an environment keeps to its limits of memory and disk.
//!
//! In a control group the kernel keeps to the limit of memory, and it is only looked whether it had to. Else memory is what
//! its processes have resident, together. An address-space limit would be exact and useless: Node alone reserves many times
//! what it uses.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cgroup::Cgroup;
use crate::config::Config;
use crate::failure::Failure;
use crate::members::{Look, Members};
use crate::procfs;
use crate::scanner::Scanner;
use crate::scratch;

/// How often an environment is looked at while it starts or runs.
pub(crate) const BUSY_INTERVAL: Duration = Duration::from_millis(100);

/// How often while it waits for an invocation.
pub(crate) const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// How often processes that left the group and lost their parent are looked for.
const THOROUGH_INTERVAL: Duration = Duration::from_secs(5);

/// How often the folder is looked at; rarer when that takes long, as it does with many files.
const FOLDER_INTERVAL: Duration = Duration::from_millis(500);

/// The part of the time that may be spent on looking at the folder: a tenth.
const FOLDER_SHARE: u32 = 10;

pub(crate) struct Watch {
    scanner: Arc<Scanner>,
    members: Arc<Mutex<Members>>,
    cgroup: Option<Arc<Cgroup>>,
    folder: PathBuf,
    memory_mib: u32,
    scratch_bytes_max: u64,
    thorough_at: Instant,
    folder_at: Instant,
}

/// What one look showed.
pub(crate) struct Seen {
    /// All processes together.
    pub(crate) memory_bytes: u64,
    /// The limit that is passed, if one is.
    pub(crate) passed: Option<Failure>,
}

impl Watch {
    pub(crate) fn new(
        config: &Config,
        scanner: Arc<Scanner>,
        members: Arc<Mutex<Members>>,
        cgroup: Option<Arc<Cgroup>>,
        folder: PathBuf,
    ) -> Watch {
        let now = Instant::now();
        Watch {
            scanner,
            members,
            cgroup,
            folder,
            memory_mib: config.memory_mib,
            scratch_bytes_max: config.scratch_bytes_max,
            thorough_at: now + THOROUGH_INTERVAL,
            folder_at: now,
        }
    }

    pub(crate) async fn look(&mut self) -> Seen {
        let limit_bytes = u64::from(self.memory_mib) * 1024 * 1024;
        let (memory_bytes, is_passed) = if let Some(cgroup) = &self.cgroup {
            (cgroup.memory_bytes(), cgroup.was_out_of_memory())
        } else {
            let memory_bytes = self.resident_bytes(limit_bytes).await;
            (memory_bytes, memory_bytes > limit_bytes)
        };
        let passed = if is_passed {
            Some(Failure::OutOfMemory {
                limit_mib: self.memory_mib,
            })
        } else {
            self.folder_is_full().await.then_some(Failure::ScratchFull {
                limit_bytes: self.scratch_bytes_max,
            })
        };
        Seen {
            memory_bytes,
            passed,
        }
    }

    async fn resident_bytes(&mut self, limit_bytes: u64) -> u64 {
        let now = Instant::now();
        let look = if now >= self.thorough_at {
            self.thorough_at = now + THOROUGH_INTERVAL;
            Look::Thorough
        } else {
            Look::Quick
        };
        let all = self.scanner.processes(BUSY_INTERVAL / 2).await;
        let members = self.members.clone();
        let measured = tokio::task::spawn_blocking(move || {
            let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = members.among(&all, look);
            procfs::resident_bytes(&seen, limit_bytes)
        });
        // Fails only when the program is being torn down.
        measured.await.unwrap_or(0)
    }

    async fn folder_is_full(&mut self) -> bool {
        let began = Instant::now();
        if began < self.folder_at {
            return false;
        }
        let (folder, limit) = (self.folder.clone(), self.scratch_bytes_max);
        let bytes = tokio::task::spawn_blocking(move || scratch::bytes_below(&folder, limit)).await;
        self.folder_at = began + FOLDER_INTERVAL.max(began.elapsed() * FOLDER_SHARE);
        bytes.is_ok_and(|it| it > limit)
    }
}
