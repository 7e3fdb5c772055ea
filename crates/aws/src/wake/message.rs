//! What a message of a queue says: pure parsing, for the worker and for the Lambda function alike.
//!
//! A message is a hint. What it is read for is one thing: which keys of staging to look at. So versions of the format,
//! sizes, sequencers and everything else are passed over, and a key is looked at once however many records name it.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use two_buckets_objects::{BucketName, Key, ObjectRef, Timestamp};
use two_buckets_pipeline::{WakeUp, Why};

/// What our own hints are marked by, so that no other message is taken for one.
const HINT: &str = "wake-up";

/// The most records that are read of one message. S3 sends one (S3 User Guide, "Event message structure"); SQS takes
/// 1 MiB, which holds some thousands.
const RECORDS_MAX: usize = 10_000;

/// What a message asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// These keys are to be looked at, each once, in their order. Empty where the message tells of nothing that has a
    /// file in it: the test of a rule, or a deletion.
    WakeUps(Vec<WakeUp>),
    /// Not before a moment, which may lie behind the longest delay of a queue: then it is put back.
    Later {
        /// What is to be looked at.
        wake_up: WakeUp,
        /// When.
        not_before: Timestamp,
    },
}

/// A message that is none of those we know. To be said loudly and dropped: it would be the same the next time, and what it
/// may have told of is found by the sweep.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message of the queue is not understood: {0}")]
pub struct NotUnderstood(String);

/// Reads a message's body: an S3 event notification of any 2.x version, S3's test of a rule, an "Object Created" event
/// of EventBridge, or our own hint.
///
/// Keys in S3's notifications are encoded as in a form (a space is `+`), those in EventBridge's events are not
/// (S3 User Guide, "Event message structure" and "Using EventBridge").
pub fn read(body: &str) -> Result<Message, NotUnderstood> {
    let body: Body =
        serde_json::from_str(body).map_err(|error| NotUnderstood(error.to_string()))?;
    if let Some(records) = body.records {
        return of_records(records);
    }
    if body.event.as_deref() == Some("s3:TestEvent") {
        return Ok(Message::WakeUps(Vec::new()));
    }
    if let (Some("aws.s3"), Some(detail_type)) = (body.source.as_deref(), body.detail_type) {
        return of_event_bridge(&detail_type, body.detail);
    }
    if let (Some(HINT), Some(hint)) = (body.kind.as_deref(), body.hint) {
        return hint.read();
    }
    Err(NotUnderstood(
        "it is neither an event of S3, directly or through EventBridge, nor a hint of ours".into(),
    ))
}

/// What a message says that is sent to be looked at later.
pub(super) fn hint(wake_up: &WakeUp, not_before: Option<Timestamp>) -> String {
    let hint = HintBody {
        kind: HINT.into(),
        hint: Hint {
            bucket: wake_up.key.bucket.as_str().into(),
            key: wake_up.key.key.as_str().into(),
            is_gone: wake_up.why == Why::Gone,
            not_before_ms: not_before.map(Timestamp::millis),
        },
    };
    serde_json::to_string(&hint).expect("texts and numbers can be written")
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
    #[serde(rename = "two-buckets")]
    kind: Option<String>,
    hint: Option<Hint>,
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

#[derive(Serialize)]
struct HintBody {
    #[serde(rename = "two-buckets")]
    kind: String,
    hint: Hint,
}

#[derive(Serialize, Deserialize)]
struct Hint {
    bucket: String,
    key: String,
    is_gone: bool,
    not_before_ms: Option<i64>,
}

impl Hint {
    fn read(self) -> Result<Message, NotUnderstood> {
        let wake_up = WakeUp {
            key: object(&self.bucket, &self.key)?,
            why: if self.is_gone { Why::Gone } else { Why::Event },
        };
        Ok(match self.not_before_ms {
            None => Message::WakeUps(vec![wake_up]),
            Some(millis) => Message::Later {
                wake_up,
                not_before: Timestamp::from_millis(millis),
            },
        })
    }
}

fn of_records(records: Vec<Record>) -> Result<Message, NotUnderstood> {
    if records.len() > RECORDS_MAX {
        return Err(NotUnderstood(format!(
            "it has more than {RECORDS_MAX} records"
        )));
    }
    let mut keys = BTreeSet::new();
    for record in records {
        let version = record.event_version.as_deref().unwrap_or("2.0");
        if !version.starts_with("2.") {
            return Err(NotUnderstood(format!(
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
            NotUnderstood(format!("an event of {source} names no object"))
        })?;
        keys.insert(object(&entity.bucket.name, &decoded(&entity.object.key)?)?);
    }
    Ok(of_keys(keys))
}

fn of_event_bridge(detail_type: &str, detail: Option<Entity>) -> Result<Message, NotUnderstood> {
    if detail_type != "Object Created" {
        return Ok(Message::WakeUps(Vec::new()));
    }
    let detail = detail.ok_or_else(|| NotUnderstood("an event names no object".into()))?;
    let key = object(&detail.bucket.name, &detail.object.key)?;
    Ok(of_keys([key].into()))
}

fn of_keys(keys: BTreeSet<ObjectRef>) -> Message {
    let wake_up = |key| WakeUp {
        key,
        why: Why::Event,
    };
    Message::WakeUps(keys.into_iter().map(wake_up).collect())
}

fn decoded(key: &str) -> Result<String, NotUnderstood> {
    let spaced = key.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| NotUnderstood(format!("the key {key:?} is no text")))
}

fn object(bucket: &str, key: &str) -> Result<ObjectRef, NotUnderstood> {
    let no_name = |error: two_buckets_objects::InvalidName| NotUnderstood(error.to_string());
    Ok(ObjectRef {
        bucket: bucket.parse::<BucketName>().map_err(no_name)?,
        key: key.parse::<Key>().map_err(no_name)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(body: &str) -> Vec<String> {
        match read(body).unwrap() {
            Message::WakeUps(all) => all.iter().map(|one| one.key.key.to_string()).collect(),
            later @ Message::Later { .. } => panic!("{later:?}"),
        }
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
                    ("ObjectCreated:Copy", "a+b%2Bc/%C3%A4%25"),
                ],
            );
            assert_eq!(keys(&body), ["a b+c/ä%", "z"], "{version}");
        }
    }

    #[test]
    fn what_leaves_no_file_behind_wakes_nobody() {
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
    fn a_hint_says_the_same_when_it_is_read() {
        for (why, not_before) in [
            (Why::Event, None),
            (Why::Gone, Some(Timestamp::from_millis(1_795_431_050_000))),
        ] {
            let wake_up = WakeUp {
                key: object("staging", "a+b %2F\"ä\u{1}").unwrap(),
                why,
            };
            let wanted = match not_before {
                None => Message::WakeUps(vec![wake_up.clone()]),
                Some(not_before) => Message::Later {
                    wake_up: wake_up.clone(),
                    not_before,
                },
            };
            assert_eq!(read(&hint(&wake_up, not_before)), Ok(wanted));
        }
    }

    #[test]
    fn anything_else_is_not_understood_and_never_taken_for_nothing_to_do() {
        for body in [
            "",
            "hello",
            "{}",
            "[]",
            r#"{"Records":"x"}"#,
            r#"{"Records":[{"eventName":"ObjectCreated:Put"}]}"#,
            r#"{"Records":[{}]}"#,
            r#"{"source":"aws.ec2","detail-type":"Object Created"}"#,
            r#"{"source":"aws.s3","detail-type":"Object Created"}"#,
            r#"{"two-buckets":"wake-up"}"#,
            &notification("3.0", &[("ObjectCreated:Put", "a")]),
            &notification("2.1", &[("ObjectCreated:Put", "%FF")]),
            &notification("2.1", &[("ObjectCreated:Put", "")]),
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }
}
