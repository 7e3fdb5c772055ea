//! What an invocation may do until when.

use std::time::Duration;

use two_buckets_objects::Timestamp;

/// What is kept of an invocation's time to archive and record what was processed, as the template says it.
const ARCHIVE_RESERVE: Duration = Duration::from_secs(30);
/// What is kept to say what was not finished, and to answer.
const ANSWER_RESERVE: Duration = Duration::from_secs(5);

/// Until when an invocation of Lambda begins, processes and archives, so that nothing of it outlives it: once it has
/// answered, or its time is up, the process is frozen or ended without a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Nothing new is begun after this moment. It is half of the time for processing, so that what is begun last still
    /// has as much.
    pub begin_until: Timestamp,
    /// Functions that still run at this moment are given up; what they were given is tried again later.
    pub process_until: Timestamp,
    /// What is not archived at this moment is dropped, as by a crash.
    pub drop_at: Timestamp,
    /// What is dropped is not waited for beyond this moment.
    pub answer_by: Timestamp,
}

impl Bounds {
    /// Of an invocation that begins now. Where it is short, the reserves are a third and a tenth of it.
    pub fn of_invocation(now: Timestamp, deadline: Timestamp) -> Self {
        let whole = deadline.since(now);
        let process = whole.saturating_sub(ARCHIVE_RESERVE.min(whole / 3));
        let answer = ANSWER_RESERVE.min(whole / 10);
        Self {
            begin_until: now.after(process / 2),
            process_until: now.after(process),
            drop_at: now.after(whole.saturating_sub(answer)),
            answer_by: now.after(whole.saturating_sub(answer / 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn there_is_time_to_archive_what_was_processed_and_to_answer() {
        assert_eq!(
            Bounds::of_invocation(s(1_000), s(1_300)),
            Bounds {
                begin_until: s(1_135),
                process_until: s(1_270),
                drop_at: s(1_295),
                answer_by: Timestamp::from_millis(1_297_500),
            }
        );
    }

    #[test]
    fn a_short_invocation_begins_something_and_one_that_is_over_nothing() {
        let short = Bounds::of_invocation(s(0), s(3));
        assert_eq!(short.begin_until, s(1));
        assert_eq!(short.process_until, s(2));
        assert_eq!(short.drop_at, Timestamp::from_millis(2_700));
        let over = Bounds::of_invocation(s(10), s(3));
        assert_eq!(over.begin_until, s(10));
        assert_eq!(over.drop_at, s(10));
    }
}
