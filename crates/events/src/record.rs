//! What is written.
//!
//! Shape: S3 User Guide, "Event message structure", version 2.x: `{"Records": [...]}`, the key form-encoded as S3 does
//! it (a space is `+`, a slash stays), the sequencer hexadecimal and comparable within one key as S3 documents: the
//! shorter padded with zeros on its left, then letter by letter.

use std::net::{IpAddr, Ipv4Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use two_buckets_objects::{BucketName, Timestamp, VersionId};

/// The version of the structure that is written; readers compare the major number only.
const VERSION: &str = "2.6";
/// What form encoding leaves as it is, and the slash, which S3 leaves as well.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*')
    .remove(b'/')
    .remove(b' ');

/// What one record of a message says.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The region.
    pub region: &'a str,
    /// When it happened.
    pub at: Timestamp,
    /// The event, such as `ObjectCreated:Put`.
    pub name: &'a str,
    /// Who did it.
    pub principal: &'a str,
    /// From where; none for this machine.
    pub source_address: Option<IpAddr>,
    /// The request that did it.
    pub request_id: &'a str,
    /// What S3 has for its own support.
    pub host_id: &'a str,
    /// The configuration that asked for it.
    pub configuration_id: &'a str,
    /// The bucket.
    pub bucket: &'a BucketName,
    /// Who owns the bucket.
    pub owner: &'a str,
    /// The key, as it is.
    pub key: &'a str,
    /// The size; none for what is gone.
    pub size_bytes: Option<u64>,
    /// The tag, without quotes; none for what is gone.
    pub etag: Option<&'a str>,
    /// The version; none where there is no versioning.
    pub version_id: Option<&'a VersionId>,
    /// Grows with the events of a key.
    pub sequencer: &'a str,
}

impl Record<'_> {
    /// The record as S3 writes it.
    pub fn to_json(&self) -> Value {
        let address = self.source_address.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let mut object = json!({ "key": key_in_event(self.key), "sequencer": self.sequencer });
        if let Some(size_bytes) = self.size_bytes {
            object["size"] = size_bytes.into();
        }
        if let Some(etag) = self.etag {
            object["eTag"] = etag.into();
        }
        if let Some(version_id) = self.version_id {
            object["versionId"] = version_id.as_str().into();
        }
        json!({
            "eventVersion": VERSION,
            "eventSource": "aws:s3",
            "awsRegion": self.region,
            "eventTime": self.at.to_string(),
            "eventName": self.name,
            "userIdentity": { "principalId": self.principal },
            "requestParameters": { "sourceIPAddress": address.to_string() },
            "responseElements": {
                "x-amz-request-id": self.request_id,
                "x-amz-id-2": self.host_id,
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": self.configuration_id,
                "bucket": {
                    "name": self.bucket.as_str(),
                    "ownerIdentity": { "principalId": self.owner },
                    "arn": format!("arn:aws:s3:::{}", self.bucket),
                },
                "object": object,
            },
        })
    }
}

/// A key as S3 puts it into events.
pub fn key_in_event(key: &str) -> String {
    utf8_percent_encode(key, ENCODED)
        .to_string()
        .replace(' ', "+")
}

/// A message of one record, as S3 sends them.
pub fn message(record: &Record<'_>) -> Vec<u8> {
    notification(&[record.to_json()])
}

pub(crate) fn notification(records: &[Value]) -> Vec<u8> {
    json!({ "Records": records }).to_string().into_bytes()
}

/// What S3 sends to a new destination (S3 User Guide, "Event message structure", `s3:TestEvent`).
pub fn test_message(
    bucket: &BucketName,
    at: Timestamp,
    request_id: &str,
    host_id: &str,
) -> Vec<u8> {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": at.to_string(),
        "Bucket": bucket.as_str(),
        "RequestId": request_id,
        "HostId": host_id,
    })
    .to_string()
    .into_bytes()
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
            assert_eq!(key_in_event(key), encoded);
        }
    }

    #[test]
    fn a_message_is_s3s_to_the_letter() {
        let version_id = VersionId::new("v1");
        let record = Record {
            region: "us-east-1",
            at: Timestamp::from_millis(1_700_000_000_007),
            name: "ObjectCreated:Put",
            principal: "TESTKEY",
            source_address: Some(IpAddr::from([192, 0, 2, 7])),
            request_id: "0000000000000001",
            host_id: "000000000000002A",
            configuration_id: "mine",
            bucket: &"staging".parse().unwrap(),
            owner: "000000000000",
            key: "in/a file.txt",
            size_bytes: Some(5),
            etag: Some("d41d8"),
            version_id: Some(&version_id),
            sequencer: "000000000000002A",
        };
        let expected = json!({ "Records": [{
            "eventVersion": "2.6",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2023-11-14T22:13:20.007Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": { "principalId": "TESTKEY" },
            "requestParameters": { "sourceIPAddress": "192.0.2.7" },
            "responseElements": {
                "x-amz-request-id": "0000000000000001",
                "x-amz-id-2": "000000000000002A",
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "mine",
                "bucket": {
                    "name": "staging",
                    "ownerIdentity": { "principalId": "000000000000" },
                    "arn": "arn:aws:s3:::staging",
                },
                "object": {
                    "key": "in/a+file.txt",
                    "size": 5,
                    "eTag": "d41d8",
                    "versionId": "v1",
                    "sequencer": "000000000000002A",
                },
            },
        }] });
        let written: Value = serde_json::from_slice(&message(&record)).unwrap();
        assert_eq!(written, expected);
        let gone = Record {
            name: "ObjectRemoved:Delete",
            size_bytes: None,
            etag: None,
            version_id: None,
            ..record
        };
        assert_eq!(
            gone.to_json()["s3"]["object"],
            json!({ "key": "in/a+file.txt", "sequencer": "000000000000002A" })
        );
    }

    #[test]
    fn a_test_message_is_s3s_to_the_letter() {
        let at = Timestamp::from_millis(1_700_000_000_007);
        let written = test_message(&"staging".parse().unwrap(), at, "R", "H");
        assert_eq!(
            serde_json::from_slice::<Value>(&written).unwrap(),
            json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2023-11-14T22:13:20.007Z",
                    "Bucket": "staging", "RequestId": "R", "HostId": "H" })
        );
    }
}
