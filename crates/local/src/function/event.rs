//! What the function is told, see [`told`].

use two_buckets_events::{Told, told};
use two_buckets_objects::BucketName;
use two_buckets_pipeline::Incoming;
use two_buckets_pipeline::archive::results_prefix;

/// The event of these uploads, a record for each in their order, as the JSON that S3 sends.
pub(super) fn of(uploads: &[&Incoming], archive: &BucketName, region: &str) -> Vec<u8> {
    let names: Vec<(String, String)> = uploads
        .iter()
        .map(|upload| (upload.idempotency_key(), results_prefix(&upload.source.at)))
        .collect();
    let uploads: Vec<Told<'_>> = uploads
        .iter()
        .zip(&names)
        .map(|(upload, (idempotency_key, results_prefix))| Told {
            source: &upload.source,
            order: (upload.order.last_modified, upload.order.number),
            token: upload.token.0,
            idempotency_key,
            attempt: upload.attempt,
            archive,
            results_prefix,
        })
        .collect();
    told(&uploads, region)
}
