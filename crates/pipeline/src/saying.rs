use crate::ledger::Said;
use crate::{AttemptLog, Progress, ProgressAt};

/// What a run has said, and how much of it was passed on.
#[derive(Debug)]
pub struct Saying {
    log: AttemptLog,
    progress: Progress,
    passed_on_bytes: u64,
    passed_on_progress: Option<ProgressAt>,
}

impl Saying {
    /// Of a run with this log and this progress, of which nothing was passed on.
    pub fn new(log: AttemptLog, progress: Progress) -> Self {
        Self {
            log,
            progress,
            passed_on_bytes: 0,
            passed_on_progress: None,
        }
    }

    /// What was not passed on yet; the log is given whole or not at all.
    pub fn news(&self) -> Said {
        Said {
            log: (self.log.written_bytes() > self.passed_on_bytes).then(|| self.log.excerpt()),
            progress: self
                .progress
                .now()
                .filter(|now| self.passed_on_progress.as_ref() != Some(now)),
        }
    }

    /// Takes note that this was passed on.
    pub fn passed_on(&mut self, said: Said) {
        if let Some(log) = said.log {
            self.passed_on_bytes = log.written_bytes();
        }
        if said.progress.is_some() {
            self.passed_on_progress = said.progress;
        }
    }
}
