//! Jobs: which files are left to a process of their own, and within what those run.

use std::time::Duration;

use super::{Origin, Setting, Sources, number, optional_row, seconds};

/// The most jobs at once; each is a process.
const CONCURRENCY_MAX: usize = 256;
/// The highest nice level (`man 7 sched`).
const NICE_MAX: u8 = 19;
/// The most memory of a job in MiB: a TiB.
const MEMORY_MIB_MAX: u32 = 1 << 20;
/// The longest that a job may run: thirty days.
const TIMEOUT_S_MAX: u64 = 30 * 24 * 3600;

/// Which files are jobs by their size alone, and within what jobs run.
#[derive(Debug)]
pub(crate) struct JobSettings {
    /// From how many bytes on a file is a job where no route says so; none if only routes do.
    pub(crate) from_bytes: Setting<Option<u64>>,
    /// How many run at once; 1 to 256.
    pub(crate) concurrency: Setting<usize>,
    /// Their nice level; 0 to 19.
    pub(crate) nice: Setting<u8>,
    /// The memory that one may have resident with all its processes, in MiB; none for any. Linux only.
    pub(crate) memory_mib: Setting<Option<u32>>,
    /// The longest that one may run; none for as long as it takes.
    pub(crate) timeout: Setting<Option<Duration>>,
}

impl JobSettings {
    pub(super) fn of(sources: &mut Sources<'_>) -> Option<Self> {
        let from_bytes = sources.setting(
            "job-from-bytes",
            |text| number(text, 0, u64::MAX).map(Some),
            Some(None),
        );
        let concurrency = sources.setting(
            "job-concurrency",
            |text| number(text, 1, CONCURRENCY_MAX),
            Some(2),
        );
        let nice = sources.setting("job-nice", |text| number(text, 0, NICE_MAX), Some(10));
        let memory_mib = sources.setting(
            "job-memory-mib",
            |text| {
                if cfg!(target_os = "linux") {
                    number(text, 16, MEMORY_MIB_MAX).map(Some)
                } else {
                    Err("memory is watched on Linux only".to_owned())
                }
            },
            Some(None),
        );
        let timeout = sources.setting(
            "job-timeout-s",
            |text| seconds(text, 1, TIMEOUT_S_MAX).map(Some),
            Some(None),
        );
        Some(Self {
            from_bytes: from_bytes?,
            concurrency: concurrency?,
            nice: nice?,
            memory_mib: memory_mib?,
            timeout: timeout?,
        })
    }

    /// Each setting as name, value and origin.
    pub(super) fn rows(&self) -> Vec<(&'static str, String, &Origin)> {
        vec![
            optional_row("job-from-bytes", &self.from_bytes, u64::to_string),
            (
                "job-concurrency",
                self.concurrency.value.to_string(),
                &self.concurrency.origin,
            ),
            ("job-nice", self.nice.value.to_string(), &self.nice.origin),
            optional_row("job-memory-mib", &self.memory_mib, u32::to_string),
            optional_row("job-timeout-s", &self.timeout, |timeout| {
                timeout.as_secs().to_string()
            }),
        ]
    }
}
