//! What is done on a schedule beside the sweep: the parts of uploads that nobody completed are removed.

use std::time::Duration;

use two_buckets_depot::{Depot, Error, ListUploads};
use two_buckets_objects::{BucketName, ObjectRef};

use super::buckets::ABORT_INCOMPLETE_DAYS;

/// How often it is looked for such uploads; they are days old when they go, so an hour more is nothing.
pub(super) const INTERVAL: Duration = Duration::from_hours(1);

/// Aborts the multipart uploads of this bucket that were begun more than seven days ago, as its lifecycle rule says
/// (S3 User Guide, "Configuring a bucket lifecycle configuration to delete incomplete multipart uploads").
/// Gives how many. Blocks on the disk.
pub(super) fn abort_incomplete(depot: &Depot, bucket: &BucketName) -> Result<u64, Error> {
    let age = Duration::from_hours(24) * ABORT_INCOMPLETE_DAYS;
    let now = depot.now();
    let mut options = ListUploads::default();
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
