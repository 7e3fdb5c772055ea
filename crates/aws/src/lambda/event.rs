//! What the processor is called with.

use serde_json::Value;

/// What an invocation brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Messages of SQS, each with its id and body (Lambda Developer Guide, "Using Lambda with Amazon SQS"). The answer
    /// says which of them are to come again.
    Messages(Vec<(String, String)>),
    /// One event that came by itself: of S3, of EventBridge, or a hint of ours. The answer says nothing; a failure
    /// has Lambda call again where it was called asynchronously.
    Alone(String),
}

/// The processor was called with what no trigger of it sends.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the event is not understood: {0}")]
pub struct NotAnEvent(&'static str);

impl Event {
    /// Reads an event. What is in its messages is read later, each by itself.
    pub fn read(event: &Value) -> Result<Self, NotAnEvent> {
        if !event.is_object() {
            return Err(NotAnEvent("it is no JSON object"));
        }
        let of_sqs = |record: &Value| record["eventSource"] == "aws:sqs";
        let records = event["Records"].as_array();
        let Some(records) = records.filter(|records| records.iter().any(of_sqs)) else {
            return Ok(Self::Alone(event.to_string()));
        };
        let messages = records.iter().map(|record| {
            // A message that cannot be named cannot be given back either.
            let id = record["messageId"]
                .as_str()
                .filter(|id| !id.is_empty())
                .ok_or(NotAnEvent("a record of it has no messageId"))?;
            let body = record["body"]
                .as_str()
                .ok_or(NotAnEvent("a record of it has no body"))?;
            Ok((id.to_owned(), body.to_owned()))
        });
        messages.collect::<Result<_, _>>().map(Self::Messages)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_told_from_events_that_come_alone() {
        let batch = json!({"Records": [{
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": "{}",
            "attributes": {"ApproximateReceiveCount": "1"},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
            "awsRegion": "us-east-2"
        }]});
        let id = "059f36b4-87a3-44ab-83d2-661975830a7d".to_owned();
        assert_eq!(
            Event::read(&batch),
            Ok(Event::Messages(vec![(id, "{}".into())]))
        );
        for alone in [
            json!({"Records": [{"eventSource": "aws:s3"}]}),
            json!({"source": "aws.s3", "detail-type": "Object Created"}),
            json!({"Event": "s3:TestEvent"}),
        ] {
            assert_eq!(Event::read(&alone), Ok(Event::Alone(alone.to_string())));
        }
    }

    #[test]
    fn what_cannot_be_given_back_is_refused() {
        for odd in [
            json!(null),
            json!([]),
            json!({"Records": [{"eventSource": "aws:sqs", "body": "x"}]}),
            json!({"Records": [{"eventSource": "aws:sqs", "messageId": "", "body": "x"}]}),
            json!({"Records": [{"eventSource": "aws:sqs", "messageId": "a"}]}),
        ] {
            assert!(Event::read(&odd).is_err(), "{odd}");
        }
    }
}
