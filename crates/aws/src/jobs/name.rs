//! What jobs are called, so that who asks again finds what was submitted before.

use sha2::{Digest as _, Sha256};
use two_buckets_pipeline::{Holder, Upload};

/// How the name begins by which a job on Batch holds a key.
const HOLDER: &str = "job on Batch ";

/// What the names of all runs of an upload's job begin with. Small letters, digits and `-`, because Batch compares
/// names without regard to case (Batch API, `ListJobs`, `filters`), and an upload's id may differ from another in case
/// only.
pub(super) fn base(upload: &Upload) -> String {
    let name = format!("{}/{}", upload.key.bucket, upload.id);
    let digest = hex::encode(Sha256::digest(name));
    format!("two-buckets-{}-", &digest[..32])
}

/// What the job of an upload's next run is called: the same whoever submits it, and another for each run.
pub(super) fn of_next_run(upload: &Upload) -> String {
    format!("{}{}", base(upload), upload.attempts_ever + 1)
}

/// Who a job on Batch is in the ledger: by the id that Batch gives it, which its container has as `AWS_BATCH_JOB_ID`.
pub fn holder(batch_job_id: &str) -> Holder {
    Holder(format!("{HOLDER}{batch_job_id}"))
}

/// The job on Batch that this holder is; none if it is something else.
pub(super) fn batch_job_of(holder: &Holder) -> Option<&str> {
    holder.0.strip_prefix(HOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::{ETag, ListedVersion, ObjectRef, Timestamp, VersionId};
    use two_buckets_pipeline::UploadId;

    fn upload(id: &str) -> Upload {
        let key = ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: "a".parse().unwrap(),
        };
        let version = ListedVersion {
            key: key.key.clone(),
            version_id: VersionId::new("v"),
            is_latest: true,
            is_delete_marker: false,
            last_modified: Timestamp::from_millis(1),
            size_bytes: 1,
            etag: Some(ETag::new("e")),
        };
        Upload::listed(UploadId::new(id).unwrap(), key, 1, &version)
    }

    #[test]
    fn a_name_is_one_runs_of_one_upload_and_one_that_batch_takes() {
        let mut one = upload(&"i".repeat(UploadId::BYTES_MAX));
        let first = of_next_run(&one);
        assert!(first.len() <= 128);
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            first.chars().all(legal) && first.starts_with('t'),
            "{first}"
        );
        assert_eq!(of_next_run(&one), first);
        one.attempts_ever += 1;
        assert_ne!(of_next_run(&one), first);
        assert!(of_next_run(&one).starts_with(&base(&one)));
        assert_ne!(base(&upload("a")), base(&upload("A")));
    }

    #[test]
    fn a_holder_names_its_job_on_batch() {
        assert_eq!(batch_job_of(&holder("j-1")), Some("j-1"));
        assert_eq!(batch_job_of(&Holder("a worker".into())), None);
    }
}
