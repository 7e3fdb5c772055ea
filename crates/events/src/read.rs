//! What is read: which objects were created.
//!
//! An event is a hint. What it is read for is one thing: which keys to look at. So versions of the format, sizes,
//! sequencers and everything else are passed over.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use two_buckets_objects::{BucketName, Key, ObjectRef};

/// The most records that are read of one message. S3 sends one (S3 User Guide, "Event message structure"); SQS takes
/// 1 MiB, which holds some thousands.
const RECORDS_MAX: usize = 10_000;

/// Why a message is not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is no event of S3, whatever else it may be.
    #[error("it is no event of S3, directly or through EventBridge")]
    Foreign,
    /// It is no JSON, or an event that says something else than S3 does.
    #[error("{0}")]
    Malformed(String),
}

/// The objects that a message says were created, each once: an S3 event notification of any 2.x version, S3's test of
/// a rule, or an event of `EventBridge` with the source `aws.s3`. Empty where it tells of nothing that has an object in
/// it: the test, or a deletion.
///
/// Keys in S3's notifications are encoded as in a form (a space is `+`), those in `EventBridge`'s events are not
/// (S3 User Guide, "Event message structure" and "Using `EventBridge`").
pub fn created(message: &str) -> Result<BTreeSet<ObjectRef>, Unreadable> {
    let body: Body = serde_json::from_str(message).map_err(malformed)?;
    if let Some(records) = body.records {
        return of_records(records);
    }
    if body.event.as_deref() == Some("s3:TestEvent") {
        return Ok(BTreeSet::new());
    }
    if let (Some("aws.s3"), Some(detail_type)) = (body.source.as_deref(), body.detail_type) {
        return of_event_bridge(&detail_type, body.detail);
    }
    Err(Unreadable::Foreign)
}

/// All shapes in one: each field is of one of them.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    #[serde(rename = "Event")]
    event: Option<String>,
    source: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    detail: Option<Entity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_version: Option<String>,
    event_source: Option<String>,
    event_name: String,
    s3: Option<Entity>,
}

#[derive(Deserialize)]
struct Entity {
    bucket: Named,
    object: Keyed,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Keyed {
    key: String,
}

fn of_records(records: Vec<Record>) -> Result<BTreeSet<ObjectRef>, Unreadable> {
    if records.len() > RECORDS_MAX {
        return Err(malformed(format!("it has more than {RECORDS_MAX} records")));
    }
    let mut created = BTreeSet::new();
    for record in records {
        let version = record.event_version.as_deref().unwrap_or("2.0");
        if !version.starts_with("2.") {
            return Err(malformed(format!(
                "its event is of version {version}, and only 2.x is known"
            )));
        }
        let name = &record.event_name;
        // Named with `s3:` in rules, without it in records; other stores send it.
        if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
            continue;
        }
        let entity = record.s3.ok_or_else(|| {
            let source = record.event_source.as_deref().unwrap_or("nobody");
            malformed(format!("an event of {source} names no object"))
        })?;
        created.insert(object(&entity.bucket.name, &decoded(&entity.object.key)?)?);
    }
    Ok(created)
}

fn of_event_bridge(
    detail_type: &str,
    detail: Option<Entity>,
) -> Result<BTreeSet<ObjectRef>, Unreadable> {
    if detail_type != "Object Created" {
        return Ok(BTreeSet::new());
    }
    let detail = detail.ok_or_else(|| malformed("an event names no object"))?;
    Ok([object(&detail.bucket.name, &detail.object.key)?].into())
}

fn decoded(key: &str) -> Result<String, Unreadable> {
    let spaced = key.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| malformed(format!("the key {key:?} is no text")))
}

fn object(bucket: &str, key: &str) -> Result<ObjectRef, Unreadable> {
    Ok(ObjectRef {
        bucket: bucket.parse::<BucketName>().map_err(malformed)?,
        key: key.parse::<Key>().map_err(malformed)?,
    })
}

fn malformed(why: impl std::fmt::Display) -> Unreadable {
    Unreadable::Malformed(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, message, test_message};
    use two_buckets_objects::Timestamp;

    fn keys(body: &str) -> Vec<String> {
        let created = created(body).unwrap();
        created.iter().map(|one| one.key.to_string()).collect()
    }

    /// As S3 sends it; more than one record, as others do.
    fn notification(version: &str, events: &[(&str, &str)]) -> String {
        let records: Vec<String> = events
            .iter()
            .map(|(name, key)| {
                format!(
                    r#"{{"eventVersion":"{version}","eventSource":"aws:s3","awsRegion":"us-west-2",
                    "eventTime":"2026-11-23T10:50:50.000Z","eventName":"{name}",
                    "userIdentity":{{"principalId":"AIDAJDPLRKLG7UEXAMPLE"}},
                    "requestParameters":{{"sourceIPAddress":"127.0.0.1"}},
                    "responseElements":{{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"F"}},
                    "s3":{{"s3SchemaVersion":"1.0","configurationId":"all",
                    "bucket":{{"name":"staging","ownerIdentity":{{"principalId":"A3"}},"arn":"arn:aws:s3:::staging"}},
                    "object":{{"key":"{key}","size":1024,"eTag":"d4","versionId":"096f","sequencer":"0055AED6DCD90281E5"}}}},
                    "glacierEventData":null}}"#
                )
            })
            .collect();
        format!(r#"{{"Records":[{}]}}"#, records.join(","))
    }

    #[test]
    fn the_keys_of_s3s_events_are_decoded_as_a_form_is_and_named_once() {
        for version in ["2.0", "2.1", "2.6", "2.17"] {
            let body = notification(
                version,
                &[
                    ("ObjectCreated:Put", "a+b%2Bc/%C3%A4%25"),
                    ("ObjectCreated:CompleteMultipartUpload", "z"),
                    ("s3:ObjectCreated:Copy", "a+b%2Bc/%C3%A4%25"),
                ],
            );
            assert_eq!(keys(&body), ["a b+c/ä%", "z"], "{version}");
        }
    }

    #[test]
    fn what_leaves_no_file_behind_tells_of_none() {
        let deleted = notification(
            "2.1",
            &[
                ("ObjectRemoved:Delete", "a"),
                ("ObjectRemoved:DeleteMarkerCreated", "a"),
                ("LifecycleExpiration:Delete", "a"),
                ("ObjectTagging:Put", "a"),
            ],
        );
        assert_eq!(keys(&deleted), [""; 0]);
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"staging","RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE"}"#;
        assert_eq!(keys(test), [""; 0]);
    }

    #[test]
    fn an_event_of_event_bridge_names_its_key_as_it_is() {
        let event = |detail_type: &str| {
            format!(
                r#"{{"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103","detail-type":"{detail_type}","source":"aws.s3",
                "account":"111122223333","time":"2021-11-12T00:00:00Z","region":"ca-central-1","resources":["arn:aws:s3:::staging"],
                "detail":{{"version":"0","bucket":{{"name":"staging"}},"object":{{"key":"a+b%20c ä","size":5,"etag":"b1",
                "version-id":"IYV3p45BT0ac8hjHg1houSdS1a.Mro8e","sequencer":"617f08299329d189"}},"request-id":"N4N7GDK58NMKJ12R",
                "requester":"123456789012","source-ip-address":"1.2.3.4","reason":"PutObject"}}}}"#
            )
        };
        assert_eq!(keys(&event("Object Created")), ["a+b%20c ä"]);
        assert_eq!(keys(&event("Object Deleted")), [""; 0]);
    }

    #[test]
    fn what_is_written_is_read_as_it_was_whatever_is_in_the_key() {
        let bucket = "staging".parse().unwrap();
        let at = Timestamp::from_millis(1_700_000_000_007);
        let all: String = (1..=0x2ff).filter_map(char::from_u32).collect();
        let mut keys: Vec<String> = [
            "a b",
            "a+b",
            "%2B",
            "100%",
            "a%20b",
            "ä/🙂",
            "\"\\\u{1}",
            " ",
            "+",
        ]
        .map(str::to_owned)
        .into();
        keys.extend(all.chars().map(String::from));
        for key in keys {
            let record = Record {
                region: "eu-central-1",
                at,
                name: "ObjectCreated:Put",
                principal: "p",
                source_address: None,
                request_id: "r",
                host_id: "h",
                configuration_id: "c",
                bucket: &bucket,
                owner: "o",
                key: &key,
                size_bytes: Some(1),
                etag: Some("e"),
                version_id: None,
                sequencer: "1",
            };
            let written = String::from_utf8(message(&record)).unwrap();
            let read: Vec<ObjectRef> = created(&written).unwrap().into_iter().collect();
            let wanted = ObjectRef {
                bucket: bucket.clone(),
                key: key.parse().unwrap(),
            };
            assert_eq!(read, [wanted], "{written}");
        }
        let test = String::from_utf8(test_message(&bucket, at, "r", "h")).unwrap();
        assert_eq!(created(&test), Ok(BTreeSet::new()));
    }

    #[test]
    fn what_is_no_event_of_s3_is_never_taken_for_nothing_to_do() {
        for body in [
            "{}",
            r#"{"source":"aws.ec2","detail-type":"Object Created"}"#,
            r#"{"Event":"s3:Other"}"#,
        ] {
            assert_eq!(created(body), Err(Unreadable::Foreign), "{body}");
        }
        for body in [
            "",
            "hello",
            "[]",
            r#"{"Records":"x"}"#,
            r#"{"Records":[{"eventName":"ObjectCreated:Put"}]}"#,
            r#"{"Records":[{}]}"#,
            r#"{"source":"aws.s3","detail-type":"Object Created"}"#,
            &notification("3.0", &[("ObjectCreated:Put", "a")]),
            &notification("2.1", &[("ObjectCreated:Put", "%FF")]),
            &notification("2.1", &[("ObjectCreated:Put", "")]),
        ] {
            assert!(
                matches!(created(body), Err(Unreadable::Malformed(_))),
                "{body}"
            );
        }
    }
}
