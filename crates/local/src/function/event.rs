//! What the function is told: S3's own notification.
//!
//! Shape: S3 User Guide, "Event message structure", version 2.x: `{"Records": [...]}`, the key form-encoded as S3 does
//! it (a space is `+`, a slash stays), the sequencer hexadecimal and comparable within one key as S3 documents: the
//! shorter padded with zeros on its left, then letter by letter.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::Incoming;

/// The version of the structure that is written; readers compare the major number only.
const VERSION: &str = "2.6";
/// The bucket's owner and who sent the file, as far as this account knows them.
const PRINCIPAL: &str = "000000000000";
/// What form encoding leaves as it is, and the slash, which S3 leaves as well.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*')
    .remove(b'/')
    .remove(b' ');

/// The event of these uploads, a record for each in their order, as the JSON that S3 sends.
pub(super) fn of(uploads: &[&Incoming], region: &str) -> Vec<u8> {
    let records: Vec<Value> = uploads.iter().map(|it| record(it, region)).collect();
    json!({ "Records": records }).to_string().into_bytes()
}

fn record(upload: &Incoming, region: &str) -> Value {
    let source = &upload.source;
    let bucket = source.at.bucket.as_str();
    // The store does not keep how a version was made; a multipart upload's tag ends with its number of parts.
    let name = if source.etag.as_str().contains('-') {
        "ObjectCreated:CompleteMultipartUpload"
    } else {
        "ObjectCreated:Put"
    };
    json!({
        "eventVersion": VERSION,
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": iso(source.last_modified),
        "eventName": name,
        "userIdentity": { "principalId": PRINCIPAL },
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": {
            "x-amz-request-id": format!("{:016X}", upload.token.0),
            "x-amz-id-2": source.at.version_id.as_str(),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "two-buckets",
            "bucket": {
                "name": bucket,
                "ownerIdentity": { "principalId": PRINCIPAL },
                "arn": format!("arn:aws:s3:::{bucket}"),
            },
            "object": {
                "key": form_encoded(source.at.key.as_str()),
                "size": source.size_bytes,
                "eTag": source.etag.as_str(),
                "versionId": source.at.version_id.as_str(),
                "sequencer": sequencer(upload),
            },
        },
        // Not S3's: what a function with effects of its own needs to know a repeat. Readers of S3 events skip it.
        "twoBuckets": {
            "idempotencyKey": upload.idempotency_key(),
            "attempt": upload.attempt,
        },
    })
}

/// A key as S3 puts it into events.
fn form_encoded(key: &str) -> String {
    utf8_percent_encode(key, ENCODED)
        .to_string()
        .replace(' ', "+")
}

/// Grows with the uploads of a key, as their order does. Always 28 digits, so that plain text comparison is right too.
fn sequencer(upload: &Incoming) -> String {
    let millis = u64::try_from(upload.order.last_modified.millis()).unwrap_or(0);
    format!("{millis:012X}{:016X}", upload.order.number)
}

fn iso(at: Timestamp) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.millis()) * 1_000_000)
        .ok()
        .and_then(|at| at.format(format).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_form_encoded_as_s3_does() {
        for (key, encoded) in [
            ("folder/a file.txt", "folder/a+file.txt"),
            ("a+b", "a%2Bb"),
            ("100%", "100%25"),
            ("übersicht", "%C3%BCbersicht"),
            ("a&b=c?d", "a%26b%3Dc%3Fd"),
            ("tilde~star*", "tilde%7Estar*"),
            ("line\nbreak", "line%0Abreak"),
        ] {
            assert_eq!(form_encoded(key), encoded);
        }
    }

    #[test]
    fn times_have_milliseconds() {
        let at = Timestamp::from_millis(1_700_000_000_007);
        assert_eq!(iso(at), "2023-11-14T22:13:20.007Z");
    }
}
