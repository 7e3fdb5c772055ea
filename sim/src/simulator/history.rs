//! What happened, one line after the other, and a hash over all of it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::VirtualClock;

/// The history of a run: every call and answer, with its time. Two runs of a seed have the same one.
pub(super) struct History {
    clock: Arc<VirtualClock>,
    is_kept: bool,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    hash: u64,
    count: u64,
    line: String,
    lines: Vec<String>,
}

impl History {
    /// An empty history. Its lines are kept where somebody wants to read them.
    pub(super) fn new(clock: Arc<VirtualClock>, is_kept: bool) -> Self {
        Self {
            clock,
            is_kept,
            written: Mutex::default(),
        }
    }

    /// Adds a line.
    pub(super) fn note(&self, what: std::fmt::Arguments<'_>) {
        let now = self.clock.elapsed();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Written {
            hash,
            count,
            line,
            lines,
        } = &mut *written;
        line.clear();
        write!(line, "{:>11.3} {what}", now.as_secs_f64()).expect("a String takes every write");
        *count += 1;
        for byte in line.bytes().chain(*b"\n") {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.is_kept {
            lines.push(line.clone());
        }
    }

    /// The hash over all lines, and how many there are.
    pub(super) fn hash(&self) -> (u64, u64) {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        (written.hash, written.count)
    }

    /// The lines, if they are kept.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut written.lines)
    }
}
