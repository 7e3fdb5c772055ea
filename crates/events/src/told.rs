//! What a function is invoked with: S3's own notification, so that a function written for S3 needs no change.

use serde_json::{Value, json};
use two_buckets_objects::{BucketName, ObjectInfo, Timestamp};

use crate::record::{Record, notification};

/// Who sent the file, and who owns the bucket, as far as whoever invokes the function knows them.
const NOBODY_KNOWN: &str = "000000000000";

/// One upload, as a function is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What staging says of exactly its version.
    pub source: &'a ObjectInfo,
    /// Its place among the uploads of its key: the time that staging reports, then the number of its first listing.
    pub order: (Timestamp, u64),
    /// The fencing token of the run.
    pub token: u64,
    /// The same in every run for this version, and no other's.
    pub idempotency_key: &'a str,
    /// Which run it is, from 1.
    pub attempt: u32,
    /// The bucket that it will be kept in, and that its results are written to.
    pub archive: &'a BucketName,
    /// What the keys of its results begin with, in the archive bucket.
    pub results_prefix: &'a str,
}

/// The event of these uploads, a record for each in their order, as the JSON that S3 sends.
///
/// Each record has one member that is not S3's, and that readers of S3's events skip: `twoBuckets` with
/// `idempotencyKey` and `attempt`, by which a function with effects of its own knows a repeat, and `archiveBucket` and
/// `resultsPrefix`, which say where what it makes is kept. No secret is ever in it: functions print their events.
pub fn told(uploads: &[Told<'_>], region: &str) -> Vec<u8> {
    let records: Vec<_> = uploads
        .iter()
        .map(|upload| record(upload, region))
        .collect();
    notification(&records)
}

fn record(upload: &Told<'_>, region: &str) -> Value {
    let source = upload.source;
    // No store keeps how a version was made; a multipart upload's tag ends with its number of parts.
    let name = if source.etag.as_str().contains('-') {
        "ObjectCreated:CompleteMultipartUpload"
    } else {
        "ObjectCreated:Put"
    };
    let mut record = Record {
        region,
        at: source.last_modified,
        name,
        principal: NOBODY_KNOWN,
        source_address: None,
        request_id: &format!("{:016X}", upload.token),
        host_id: source.at.version_id.as_str(),
        configuration_id: "two-buckets",
        bucket: &source.at.bucket,
        owner: NOBODY_KNOWN,
        key: source.at.key.as_str(),
        size_bytes: Some(source.size_bytes),
        etag: Some(source.etag.as_str()),
        version_id: Some(&source.at.version_id),
        sequencer: &sequencer(upload),
    }
    .to_json();
    record["twoBuckets"] = json!({
        "idempotencyKey": upload.idempotency_key,
        "attempt": upload.attempt,
        "archiveBucket": upload.archive.as_str(),
        "resultsPrefix": upload.results_prefix,
    });
    record
}

/// Grows with the uploads of a key, as their order does. Always 28 digits, so that plain text comparison is right too.
fn sequencer(upload: &Told<'_>) -> String {
    let (last_modified, number) = upload.order;
    let millis = u64::try_from(last_modified.millis()).unwrap_or(0);
    format!("{millis:012X}{number:016X}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::{ETag, Metadata, ObjectRef, VersionId, VersionRef};

    fn source(key: &str, etag: &str) -> ObjectInfo {
        ObjectInfo {
            at: VersionRef {
                bucket: "staging".parse().unwrap(),
                key: key.parse().unwrap(),
                version_id: VersionId::new("v1"),
            },
            size_bytes: 5,
            etag: ETag::new(etag),
            last_modified: Timestamp::from_millis(1_700_000_000_007),
            checksums: Vec::new(),
            metadata: Metadata::default(),
        }
    }

    fn of<'a>(source: &'a ObjectInfo, archive: &'a BucketName) -> Told<'a> {
        Told {
            source,
            order: (source.last_modified, 42),
            token: 7,
            idempotency_key: "staging/a b#v1",
            attempt: 3,
            archive,
            results_prefix: "_results/a b/v1/",
        }
    }

    #[test]
    fn a_function_is_told_of_exactly_one_version_by_s3s_event_and_how_to_know_a_repeat() {
        let (source, archive) = (source("a b", "d41d8"), "archive".parse().unwrap());
        let event: Value =
            serde_json::from_slice(&told(&[of(&source, &archive)], "eu-central-1")).unwrap();
        assert_eq!(
            event,
            json!({ "Records": [{
                "eventVersion": "2.6",
                "eventSource": "aws:s3",
                "awsRegion": "eu-central-1",
                "eventTime": "2023-11-14T22:13:20.007Z",
                "eventName": "ObjectCreated:Put",
                "userIdentity": { "principalId": "000000000000" },
                "requestParameters": { "sourceIPAddress": "127.0.0.1" },
                "responseElements": { "x-amz-request-id": "0000000000000007", "x-amz-id-2": "v1" },
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "two-buckets",
                    "bucket": {
                        "name": "staging",
                        "ownerIdentity": { "principalId": "000000000000" },
                        "arn": "arn:aws:s3:::staging",
                    },
                    "object": {
                        "key": "a+b",
                        "size": 5,
                        "eTag": "d41d8",
                        "versionId": "v1",
                        "sequencer": "018BCFE56807000000000000002A",
                    },
                },
                "twoBuckets": {
                    "idempotencyKey": "staging/a b#v1",
                    "attempt": 3,
                    "archiveBucket": "archive",
                    "resultsPrefix": "_results/a b/v1/",
                },
            }] })
        );
    }

    #[test]
    fn what_came_in_parts_is_told_so_and_several_uploads_are_records_in_their_order() {
        let (one, two) = (source("a", "e"), source("b", "e-3"));
        let archive = "archive".parse().unwrap();
        let event = told(&[of(&one, &archive), of(&two, &archive)], "r");
        let read: Value = serde_json::from_slice(&event).unwrap();
        let names = [0, 1].map(|n| read["Records"][n]["eventName"].as_str().unwrap().to_owned());
        assert_eq!(
            names,
            ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload"]
        );
        let text = std::str::from_utf8(&event).unwrap();
        let objects: Vec<ObjectRef> = crate::created(text).unwrap().into_iter().collect();
        assert_eq!(objects, [one.at.object(), two.at.object()]);
    }
}
