//! Whether a job is to be submitted, by what Batch has under its name.

use std::time::Duration;

use aws_sdk_batch::types::{JobStatus, JobSummary};
use two_buckets_objects::Timestamp;

/// How long after the end of a job that ended before it had begun, it is submitted again; twice as long for each
/// further one. Batch remembers ended jobs for some days, so nothing need be kept here.
const AGAIN_FIRST: Duration = Duration::from_mins(1);
const AGAIN_MAX: Duration = Duration::from_hours(1);

/// How it stands with the job of a run, which has not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// There is none that lives: submit it.
    Wanted,
    /// One waits at Batch, or runs.
    Lives,
    /// So many ended before they had begun: submit it no sooner.
    Rests {
        /// How many.
        ended: u32,
        /// Until when.
        until: Timestamp,
    },
}

/// Whether a job in this state goes on to run or runs.
pub(super) fn is_live(status: Option<&JobStatus>) -> bool {
    // One in a state that nobody knew when this was written is taken for alive: it is looked at again.
    !matches!(status, Some(JobStatus::Succeeded | JobStatus::Failed))
}

/// By the jobs that Batch has under the run's name.
pub(super) fn standing(jobs: &[JobSummary], now: Timestamp) -> Standing {
    if jobs.iter().any(|job| is_live(job.status.as_ref())) {
        return Standing::Lives;
    }
    // One that never ran may have no end.
    let ends = jobs.iter().map(|job| job.stopped_at.or(job.created_at));
    let Some(last) = ends.map(Option::unwrap_or_default).max() else {
        return Standing::Wanted;
    };
    let ended = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
    let doublings = ended.saturating_sub(1).min(16);
    let wait = AGAIN_FIRST.saturating_mul(1 << doublings).min(AGAIN_MAX);
    let until = Timestamp::from_millis(last).after(wait);
    if until <= now {
        Standing::Wanted
    } else {
        Standing::Rests { ended, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: JobStatus, stopped_at: Option<i64>) -> JobSummary {
        JobSummary::builder()
            .job_id("1")
            .job_name("n")
            .status(status)
            .set_stopped_at(stopped_at)
            .build()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn one_that_lives_is_not_submitted_again_in_whatever_state_it_is() {
        for status in [
            "SUBMITTED",
            "PENDING",
            "RUNNABLE",
            "STARTING",
            "RUNNING",
            "NEW",
        ] {
            let jobs = [
                job(JobStatus::Failed, Some(0)),
                job(JobStatus::from(status), None),
            ];
            assert_eq!(
                standing(&jobs, at(i64::MAX / 2)),
                Standing::Lives,
                "{status}"
            );
        }
    }

    #[test]
    fn one_that_ended_before_it_had_begun_waits_longer_each_time() {
        assert_eq!(standing(&[], at(0)), Standing::Wanted);
        let failed = |stopped_at| job(JobStatus::Failed, Some(stopped_at));
        let until = |jobs: &[JobSummary]| match standing(jobs, at(1_000)) {
            Standing::Rests { until, .. } => until.millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!(until(&[failed(1_000)]), 61_000);
        assert_eq!(until(&[failed(1_000), failed(500)]), 121_000);
        assert_eq!(until(&vec![failed(1_000); 40]), 3_601_000);
        assert_eq!(standing(&[failed(1_000)], at(61_000)), Standing::Wanted);
    }
}
