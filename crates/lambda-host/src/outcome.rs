//! How invocations end, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::Failure;

/// How an invocation ended, as it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The function answered.
    Succeeded,
    /// It reported an error, see [`Failure::Function`].
    FunctionError,
    /// It did not answer in time.
    TimedOut,
    /// Its runtime ended without an answer.
    Exited,
    /// It used more memory or temporary files than it may.
    OverLimit,
    /// Its event or its response was larger than it may be.
    TooLarge,
    /// Its runtime broke the rules of the Runtime API.
    Protocol,
    /// The environment did not come as far as to take the event.
    NotStarted,
    /// Its host was stopped, or whoever had asked for it went away.
    Stopped,
}

impl Outcome {
    /// Every outcome, in the order in which they are declared.
    pub const ALL: [Self; 9] = [
        Self::Succeeded,
        Self::FunctionError,
        Self::TimedOut,
        Self::Exited,
        Self::OverLimit,
        Self::TooLarge,
        Self::Protocol,
        Self::NotStarted,
        Self::Stopped,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::FunctionError => "function_error",
            Self::TimedOut => "timed_out",
            Self::Exited => "exited",
            Self::OverLimit => "over_limit",
            Self::TooLarge => "too_large",
            Self::Protocol => "protocol",
            Self::NotStarted => "not_started",
            Self::Stopped => "stopped",
        }
    }

    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Function { .. } => Self::FunctionError,
            Failure::TimedOut { .. } => Self::TimedOut,
            Failure::Exited { .. } => Self::Exited,
            Failure::OutOfMemory { .. } | Failure::ScratchFull { .. } => Self::OverLimit,
            Failure::PayloadTooLarge { .. } | Failure::ResponseTooLarge => Self::TooLarge,
            Failure::Protocol { .. } => Self::Protocol,
            Failure::Init { .. } | Failure::NotStarted { .. } => Self::NotStarted,
            Failure::Stopped => Self::Stopped,
        }
    }
}

/// What has ended since the host was started.
#[derive(Default)]
pub(crate) struct Ended {
    by_outcome: [AtomicU64; Outcome::ALL.len()],
    start_failures: AtomicU64,
}

/// An invocation that is counted when it has ended. Dropped before, it was not wanted any more.
pub(crate) struct Open<'a> {
    ended: &'a Ended,
    outcome: Outcome,
}

impl Open<'_> {
    /// It has ended so.
    pub(crate) fn end<T>(mut self, result: &Result<T, Failure>) {
        self.outcome = match result {
            Ok(_) => Outcome::Succeeded,
            Err(failure) => Outcome::of(failure),
        };
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.ended.by_outcome[self.outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Ended {
    /// An invocation begins.
    pub(crate) fn begin(&self) -> Open<'_> {
        Open {
            ended: self,
            outcome: Outcome::Stopped,
        }
    }

    /// An environment did not start; that the host was stopped meanwhile is no failure of it.
    pub(crate) fn count_start(&self, failure: &Failure) {
        if *failure != Failure::Stopped {
            self.start_failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn start_failures(&self) -> u64 {
        self.start_failures.load(Ordering::Relaxed)
    }

    pub(crate) fn by_outcome(&self) -> [u64; Outcome::ALL.len()] {
        self.by_outcome
            .each_ref()
            .map(|it| it.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_at_its_place_and_has_a_word_of_its_own() {
        let mut names: Vec<_> = Outcome::ALL.map(Outcome::name).into();
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}
