//! Which jobs to start. What a job does on its key is [`Work`](crate::step::Work)'s affair.

use std::collections::HashSet;

use two_buckets_objects::{ObjectRef, Timestamp};

use crate::{Lease, Upload, UploadId};

/// An unfinished upload of a job, as whoever starts jobs sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobSeen {
    /// Its row.
    pub upload: Upload,
    /// The live lease of its key, whoever holds it.
    pub lease: Option<Lease>,
    /// Whether a process that was started here for it still runs.
    pub is_started: bool,
    /// Not before this moment, whatever the row says.
    pub not_before: Option<Timestamp>,
}

impl JobSeen {
    fn is_running(&self) -> bool {
        let holds = |lease: &Lease| lease.job.as_ref() == Some(&self.upload.id);
        self.is_started || self.lease.as_ref().is_some_and(holds)
    }
}

/// The jobs to start now, of these in the order they came: those that are due, the first of each key, while no lease is
/// on the key, and so many that no more than `concurrency` run with those that do, whoever started them.
pub fn to_start(jobs: &[JobSeen], now: Timestamp, concurrency: usize) -> Vec<UploadId> {
    let running = jobs.iter().filter(|job| job.is_running()).count();
    let mut keys: HashSet<&ObjectRef> = jobs
        .iter()
        .filter(|job| job.is_started || job.lease.is_some())
        .map(|job| &job.upload.key)
        .collect();
    jobs.iter()
        .filter(|job| job.upload.is_due(now))
        // The first due one takes its key's place even where it has to wait.
        .filter(|job| keys.insert(&job.upload.key))
        .filter(|job| job.not_before.is_none_or(|at| at <= now))
        .map(|job| job.upload.id.clone())
        .take(concurrency.saturating_sub(running))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BootId, FencingToken, Holder};
    use two_buckets_objects::{ETag, ListedVersion, VersionId};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn job(id: &str, key: &str) -> JobSeen {
        let key = ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: key.parse().unwrap(),
        };
        let version = ListedVersion {
            key: key.key.clone(),
            version_id: VersionId::new(id),
            is_latest: true,
            is_delete_marker: false,
            last_modified: at(1),
            size_bytes: 1,
            etag: Some(ETag::new("e")),
        };
        let mut upload = Upload::listed(UploadId::new(id).unwrap(), key, 1, &version);
        upload.queue_job(at(2));
        JobSeen {
            upload,
            lease: None,
            is_started: false,
            not_before: None,
        }
    }

    fn held(mut job: JobSeen, by: Option<&str>) -> JobSeen {
        job.lease = Some(Lease {
            key: job.upload.key.clone(),
            holder: Holder("somebody".into()),
            token: FencingToken(1),
            expires_at: at(1_000),
            boot: BootId::NONE,
            dirty: false,
            job: by.map(|id| UploadId::new(id).unwrap()),
        });
        job
    }

    fn started(jobs: &[JobSeen], concurrency: usize) -> Vec<String> {
        to_start(jobs, at(10), concurrency)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn no_more_run_than_are_allowed_whoever_started_them() {
        let orphan = held(job("1", "a"), Some("1"));
        let mut ours = job("2", "b");
        ours.is_started = true;
        let jobs = [orphan, ours, job("3", "c"), job("4", "d"), job("5", "e")];
        assert_eq!(started(&jobs, 4), ["3", "4"]);
        assert!(started(&jobs, 2).is_empty());
        assert!(started(&jobs, 1).is_empty());
    }

    #[test]
    fn a_key_has_one_job_at_a_time_the_oldest_first() {
        let jobs = [job("1", "a"), job("2", "a"), job("3", "b")];
        assert_eq!(started(&jobs, 9), ["1", "3"]);
        let jobs = [held(job("1", "a"), Some("1")), job("2", "a")];
        assert!(started(&jobs, 9).is_empty());
    }

    #[test]
    fn a_key_that_a_worker_has_is_left_alone() {
        assert!(started(&[held(job("1", "a"), None)], 9).is_empty());
    }

    #[test]
    fn what_waits_for_its_next_attempt_lets_later_ones_go() {
        let mut waits = job("1", "a");
        waits.upload.next_attempt_at = Some(at(11));
        assert_eq!(started(&[waits, job("2", "a")], 9), ["2"]);
    }

    #[test]
    fn one_that_is_held_back_here_keeps_its_place() {
        let mut later = job("1", "a");
        later.not_before = Some(at(11));
        assert!(started(&[later, job("2", "a")], 9).is_empty());
    }
}
