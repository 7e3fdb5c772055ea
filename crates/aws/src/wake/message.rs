//! What a message of a queue says: pure parsing, for the worker and for the Lambda function alike.
//!
//! A message is a hint. What it is read for is one thing: which keys of staging to look at. A key is looked at once
//! however many records name it.

use serde::{Deserialize, Serialize};
use two_buckets_events::{Unreadable, created};
use two_buckets_objects::{BucketName, Key, ObjectRef, Timestamp};
use two_buckets_pipeline::{WakeUp, Why};

/// What our own hints are marked by, so that no other message is taken for one.
const HINT: &str = "wake-up";

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

/// Reads a message's body: what [`created`] reads, or our own hint.
pub fn read(body: &str) -> Result<Message, NotUnderstood> {
    match created(body) {
        Ok(keys) => {
            let wake_up = |key| WakeUp {
                key,
                why: Why::Event,
            };
            Ok(Message::WakeUps(keys.into_iter().map(wake_up).collect()))
        }
        Err(Unreadable::Foreign) => of_hint(body),
        Err(error) => Err(NotUnderstood(error.to_string())),
    }
}

fn of_hint(body: &str) -> Result<Message, NotUnderstood> {
    match serde_json::from_str::<HintBody>(body) {
        Ok(body) if body.kind == HINT => body.hint.read(),
        _ => Err(NotUnderstood(
            "it is neither an event of S3, directly or through EventBridge, nor a hint of ours"
                .into(),
        )),
    }
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

#[derive(Serialize, Deserialize)]
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

    #[test]
    fn what_was_created_is_looked_at_and_what_leaves_no_file_behind_is_not() {
        let event = |name: &str| {
            format!(
                r#"{{"Records":[{{"eventVersion":"2.6","eventName":"{name}","s3":{{"bucket":{{"name":"staging"}},"object":{{"key":"a+b"}}}}}}]}}"#
            )
        };
        assert_eq!(keys(&event("ObjectCreated:Put")), ["a b"]);
        assert_eq!(keys(&event("ObjectRemoved:Delete")), [""; 0]);
        assert_eq!(keys(r#"{"Event":"s3:TestEvent"}"#), [""; 0]);
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
            r#"{"two-buckets":"other","hint":{"bucket":"staging","key":"a","is_gone":false,"not_before_ms":null}}"#,
            r#"{"two-buckets":"wake-up","hint":{"bucket":"staging","key":"","is_gone":false,"not_before_ms":null}}"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }
}
