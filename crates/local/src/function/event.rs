//! What the function is told: S3's own notification, as [`EventRecord`] writes it.

use serde_json::{Value, json};
use two_buckets_pipeline::Incoming;
use two_buckets_s3_api::notifications::EventRecord;

/// Who sent the file, as far as this account knows them.
const PRINCIPAL: &str = "000000000000";

/// The event of these uploads, a record for each in their order, as the JSON that S3 sends.
pub(super) fn of(uploads: &[&Incoming], region: &str) -> Vec<u8> {
    let records: Vec<Value> = uploads.iter().map(|it| record(it, region)).collect();
    json!({ "Records": records }).to_string().into_bytes()
}

fn record(upload: &Incoming, region: &str) -> Value {
    let source = &upload.source;
    // The store does not keep how a version was made; a multipart upload's tag ends with its number of parts.
    let name = if source.etag.as_str().contains('-') {
        "ObjectCreated:CompleteMultipartUpload"
    } else {
        "ObjectCreated:Put"
    };
    let mut record = EventRecord {
        region,
        at: source.last_modified,
        name,
        principal: PRINCIPAL,
        source_address: None,
        request_id: &format!("{:016X}", upload.token.0),
        host_id: source.at.version_id.as_str(),
        configuration_id: "two-buckets",
        bucket: &source.at.bucket,
        key: source.at.key.as_str(),
        size_bytes: Some(source.size_bytes),
        etag: Some(source.etag.as_str()),
        version_id: Some(&source.at.version_id),
        sequencer: &sequencer(upload),
    }
    .to_json();
    // Not S3's: what a function with effects of its own needs to know a repeat. Readers of S3 events skip it.
    record["twoBuckets"] = json!({
        "idempotencyKey": upload.idempotency_key(),
        "attempt": upload.attempt,
    });
    record
}

/// Grows with the uploads of a key, as their order does. Always 28 digits, so that plain text comparison is right too.
fn sequencer(upload: &Incoming) -> String {
    let millis = u64::try_from(upload.order.last_modified.millis()).unwrap_or(0);
    format!("{millis:012X}{:016X}", upload.order.number)
}
