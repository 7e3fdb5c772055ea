use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// What one run writes for people to read, kept with the upload: `two-buckets logs` and the page show it.
///
/// Any bytes, usually lines of UTF-8. Bounded: of a run that writes more than the two bounds, its first
/// [`Self::FIRST_BYTES_MAX`] and its last [`Self::LAST_BYTES_MAX`] bytes are kept, and how many there were between.
/// Cheap to clone, and of no cost where nothing is written. It is a [`std::io::Write`] too, so that `writeln!` works:
///
/// ```
/// use std::io::Write as _;
/// use two_buckets_pipeline::AttemptLog;
///
/// let mut log = AttemptLog::default();
/// writeln!(log, "found {} pages", 3)?;
/// log.append(b"done\n");
/// assert_eq!(&log.excerpt().first[..], b"found 3 pages\ndone\n");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Default)]
pub struct AttemptLog(Arc<Mutex<Written>>);

#[derive(Default)]
struct Written {
    bytes: u64,
    first: Vec<u8>,
    last: VecDeque<u8>,
}

impl AttemptLog {
    /// How many bytes are kept of a run's beginning.
    pub const FIRST_BYTES_MAX: usize = 16 << 10;
    /// How many bytes are kept of what was written last.
    pub const LAST_BYTES_MAX: usize = 48 << 10;

    /// Writes bytes behind those before.
    pub fn append(&self, bytes: &[u8]) {
        // Every step below leaves a whole value, so a panic elsewhere spoils nothing.
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.bytes += bytes.len() as u64;
        let room = Self::FIRST_BYTES_MAX - written.first.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        written.first.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(Self::LAST_BYTES_MAX)..];
        let too_many = (written.last.len() + rest.len()).saturating_sub(Self::LAST_BYTES_MAX);
        written.last.drain(..too_many);
        written.last.extend(rest);
    }

    /// How many bytes were written.
    pub fn written_bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// What is kept of what was written until now.
    pub fn excerpt(&self) -> LogExcerpt {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last: Vec<u8> = written.last.iter().copied().collect();
        LogExcerpt {
            dropped_bytes: written.bytes - (written.first.len() + last.len()) as u64,
            first: written.first.clone().into(),
            last: last.into(),
        }
    }
}

impl std::fmt::Debug for AttemptLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttemptLog")
    }
}

impl io::Write for AttemptLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is kept of a run's log: the beginning, and of what is behind it the end.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LogExcerpt {
    /// What was written first; at most [`AttemptLog::FIRST_BYTES_MAX`] bytes.
    pub first: Bytes,
    /// How many bytes between the two were dropped.
    pub dropped_bytes: u64,
    /// What was written last; at most [`AttemptLog::LAST_BYTES_MAX`] bytes.
    pub last: Bytes,
}

impl LogExcerpt {
    /// How many bytes were written.
    pub fn written_bytes(&self) -> u64 {
        (self.first.len() + self.last.len()) as u64 + self.dropped_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{AttemptLog, LogExcerpt};

    fn number_lines(log: &AttemptLog, lines: u32) -> String {
        let mut all = String::new();
        for n in 0..lines {
            let line = format!("line {n}\n");
            log.append(line.as_bytes());
            all.push_str(&line);
        }
        all
    }

    #[test]
    fn a_short_log_is_kept_whole() {
        let log = AttemptLog::default();
        assert_eq!(log.excerpt(), LogExcerpt::default());
        let all = number_lines(&log, 6_000);
        let LogExcerpt {
            first,
            dropped_bytes,
            last,
        } = log.excerpt();
        assert_eq!(dropped_bytes, 0);
        assert_eq!([&first[..], &last[..]].concat(), all.as_bytes());
    }

    #[test]
    fn a_flood_leaves_its_beginning_its_end_and_the_number_between() {
        for is_at_once in [false, true] {
            let log = AttemptLog::default();
            let all = if is_at_once {
                let all = "x\n".repeat(1 << 20) + "end";
                log.append(all.as_bytes());
                all
            } else {
                number_lines(&log, 100_000)
            };
            let kept = log.excerpt();
            assert_eq!(
                kept.first[..],
                all.as_bytes()[..AttemptLog::FIRST_BYTES_MAX]
            );
            assert_eq!(
                kept.last[..],
                all.as_bytes()[all.len() - AttemptLog::LAST_BYTES_MAX..]
            );
            assert_eq!(kept.written_bytes(), all.len() as u64);
            assert_eq!(log.written_bytes(), all.len() as u64);
        }
    }
}
