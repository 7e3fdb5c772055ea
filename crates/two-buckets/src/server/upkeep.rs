//! What is done on a schedule beside the sweep: the parts of uploads that nobody completed are removed, and what is kept
//! of completed ones so that a completion can be repeated.

use std::time::Duration;

use two_buckets_depot::{ConfigKind, Depot, Error, ListUploads};
use two_buckets_objects::{BucketName, ObjectRef};
use two_buckets_s3_api::AbortIncomplete;

/// How often it is looked for such uploads; they are days old when they go, so an hour more is nothing.
pub(super) const INTERVAL: Duration = Duration::from_hours(1);

/// Does all of it. Blocks on the disk.
pub(super) fn run(depot: &Depot) -> Result<(), Error> {
    abort_incomplete(depot)?;
    depot.forget_completions()?;
    Ok(())
}

/// Aborts the multipart uploads that their bucket's lifecycle rules give up on. Gives how many. Blocks on the disk.
fn abort_incomplete(depot: &Depot) -> Result<u64, Error> {
    let mut aborted = 0;
    for bucket in depot.buckets()? {
        let bucket = bucket.name;
        let Some(document) = depot.bucket_config(&bucket, ConfigKind::Lifecycle)? else {
            continue;
        };
        match AbortIncomplete::rules(&document) {
            Ok(rules) => {
                for rule in rules {
                    aborted += apply(depot, &bucket, &rule)?;
                }
            }
            Err(error) => tracing::error!(%bucket, "{error}"),
        }
    }
    Ok(aborted)
}

fn apply(depot: &Depot, bucket: &BucketName, rule: &AbortIncomplete) -> Result<u64, Error> {
    let age = Duration::from_hours(24) * rule.days;
    let now = depot.now();
    let mut options = ListUploads {
        prefix: rule.prefix.clone(),
        ..ListUploads::default()
    };
    let mut aborted = 0;
    loop {
        let page = depot.list_uploads(bucket, &options)?;
        for upload in page.uploads {
            if upload.initiated_at.after(age) > now {
                continue;
            }
            let at = ObjectRef {
                bucket: bucket.clone(),
                key: upload.key,
            };
            match depot.abort_upload(&at, &upload.id) {
                Ok(()) => {
                    tracing::info!(
                        %bucket, key = %at.key,
                        "removed the parts of an upload begun {} and never completed",
                        upload.initiated_at
                    );
                    aborted += 1;
                }
                // It was completed or aborted meanwhile.
                Err(Error::NoSuchUpload) => {}
                Err(error) => return Err(error),
            }
        }
        match page.next {
            Some((key, upload)) => {
                options.after_key = Some(key);
                options.after_upload = upload;
            }
            None => return Ok(aborted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use two_buckets_depot::{CompletePart, ConfigKind, CreateUpload, Depot, ListUploads, Options};
    use two_buckets_objects::{Algorithm, BucketName, ObjectRef, Timestamp, WriteCondition};

    use super::{abort_incomplete, run};
    use crate::server::buckets;

    #[test]
    fn an_upload_nobody_completes_is_removed_after_its_days_and_no_sooner() {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let now = Arc::new(AtomicI64::new(1_795_431_050_000));
        let clock = {
            let now = Arc::clone(&now);
            Arc::new(move || Timestamp::from_millis(now.load(Ordering::Relaxed)))
        };
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            clock,
            just_moved_grace: Duration::ZERO,
            small_body_bytes_max: 1024,
            on_created: None,
            record_change: None,
        };
        let depot = Depot::open(&folder.path().join("store"), options).unwrap();
        let staging: BucketName = "staging".parse().unwrap();
        buckets::ensure(&depot, &staging, 3).unwrap();
        // What another start says counts from then on.
        buckets::ensure(&depot, &staging, 7).unwrap();
        let begin = |key: &str| {
            let at = ObjectRef {
                bucket: staging.clone(),
                key: key.parse().unwrap(),
            };
            depot.create_upload(&at, CreateUpload::default()).unwrap();
        };
        let left = || {
            let page = depot.list_uploads(&staging, &ListUploads::default());
            let uploads = page.unwrap().uploads;
            uploads
                .iter()
                .map(|upload| upload.key.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        begin("forgotten");
        now.fetch_add(DAY_MS, Ordering::Relaxed);
        begin("younger");
        now.fetch_add(6 * DAY_MS - 1, Ordering::Relaxed);
        assert_eq!(abort_incomplete(&depot).unwrap(), 0);
        assert_eq!(left(), ["forgotten", "younger"]);
        now.fetch_add(1, Ordering::Relaxed);
        assert_eq!(abort_incomplete(&depot).unwrap(), 1);
        assert_eq!(left(), ["younger"]);
        // A rule of the user's own stays, and so does it when there is none.
        let document = depot.bucket_config(&staging, ConfigKind::Lifecycle);
        let document = String::from_utf8(document.unwrap().unwrap()).unwrap();
        let own = document.replace("two-buckets-abort-incomplete", "my own");
        for kept in [Some(own.as_bytes()), None] {
            depot
                .set_bucket_config(&staging, ConfigKind::Lifecycle, kept)
                .unwrap();
            buckets::ensure(&depot, &staging, 1).unwrap();
            let found = depot.bucket_config(&staging, ConfigKind::Lifecycle);
            assert_eq!(found.unwrap().as_deref(), kept);
        }
    }

    #[test]
    fn what_is_kept_of_a_completion_goes_after_its_day() {
        let now = Arc::new(AtomicI64::new(1_795_431_050_000));
        let clock = {
            let now = Arc::clone(&now);
            Arc::new(move || Timestamp::from_millis(now.load(Ordering::Relaxed)))
        };
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            clock,
            just_moved_grace: Duration::ZERO,
            small_body_bytes_max: 1024,
            on_created: None,
            record_change: None,
        };
        let depot = Depot::open(&folder.path().join("store"), options).unwrap();
        let staging: BucketName = "staging".parse().unwrap();
        buckets::ensure(&depot, &staging, 7).unwrap();
        let at = ObjectRef {
            bucket: staging,
            key: "a".parse().unwrap(),
        };
        let id = depot
            .create_upload(&at, CreateUpload::default())
            .unwrap()
            .id;
        let body = depot.body_writer(&[Algorithm::Crc64Nvme], 10).finish();
        let part = depot.put_part(&at, &id, 1, body.unwrap()).unwrap();
        let parts = [CompletePart {
            number: 1,
            etag: part.etag,
            checksum: None,
        }];
        depot
            .complete_upload(&at, &id, &parts, &WriteCondition::None, None)
            .unwrap();
        now.fetch_add(24 * 3600 * 1000, Ordering::Relaxed);
        run(&depot).unwrap();
        assert_eq!(depot.forget_completions().unwrap(), 0);
    }
}
