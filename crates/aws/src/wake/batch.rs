//! What the messages of a batch ask for together.

use std::collections::BTreeMap;

use two_buckets_objects::{ObjectRef, Timestamp};
use two_buckets_pipeline::WakeUp;

use super::message::{Message, NotUnderstood, read};

/// A batch of messages by what is to be done about them. `Id` names a message: an index, a receipt, the `messageId`
/// that a partial batch response repeats.
///
/// A message may be in several turns; it is done with when all of them are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch<Id> {
    /// Each key once, with all messages that name it, in the order of the keys.
    pub turns: Vec<(WakeUp, Vec<Id>)>,
    /// Hints whose moment has not come.
    pub later: Vec<(Id, WakeUp, Timestamp)>,
    /// Messages that tell of nothing that has a file in it; done with.
    pub idle: Vec<Id>,
    /// Messages that are none of ours. Done with as well, after somebody was told: they would be the same the next time,
    /// and end in a dead-letter queue that nobody can be sent to the file from.
    pub not_understood: Vec<(Id, NotUnderstood)>,
}

impl<Id: Clone> Batch<Id> {
    /// Reads the messages' bodies. A hint whose moment is not behind `now` is for later.
    pub fn of<'a>(messages: impl IntoIterator<Item = (Id, &'a str)>, now: Timestamp) -> Self {
        let mut turns: BTreeMap<ObjectRef, (WakeUp, Vec<Id>)> = BTreeMap::new();
        let mut batch = Self {
            turns: Vec::new(),
            later: Vec::new(),
            idle: Vec::new(),
            not_understood: Vec::new(),
        };
        for (id, body) in messages {
            let wake_ups = match read(body) {
                Ok(Message::WakeUps(wake_ups)) => wake_ups,
                Ok(Message::Later {
                    wake_up,
                    not_before,
                }) if now < not_before => {
                    batch.later.push((id, wake_up, not_before));
                    continue;
                }
                Ok(Message::Later { wake_up, .. }) => vec![wake_up],
                Err(error) => {
                    batch.not_understood.push((id, error));
                    continue;
                }
            };
            if wake_ups.is_empty() {
                batch.idle.push(id);
                continue;
            }
            for wake_up in wake_ups {
                let turn = turns
                    .entry(wake_up.key.clone())
                    .or_insert_with(|| (wake_up.clone(), Vec::new()));
                // The later reason looks at all that the earlier one does.
                turn.0.why = turn.0.why.max(wake_up.why);
                turn.1.push(id.clone());
            }
        }
        batch.turns = turns.into_values().collect();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::hint;
    use super::*;
    use two_buckets_pipeline::Why;

    fn wake_up(key: &str, why: Why) -> WakeUp {
        WakeUp {
            key: ObjectRef {
                bucket: "staging".parse().unwrap(),
                key: key.parse().unwrap(),
            },
            why,
        }
    }

    #[test]
    fn a_key_is_looked_at_once_however_many_messages_name_it() {
        let at = Timestamp::from_millis;
        let bodies = [
            hint(&wake_up("b", Why::Event), None),
            hint(&wake_up("a", Why::Event), None),
            hint(&wake_up("b", Why::Gone), Some(at(10))),
            hint(&wake_up("c", Why::Event), Some(at(11))),
            r#"{"Event":"s3:TestEvent"}"#.to_owned(),
            "garbage".to_owned(),
        ];
        let batch = Batch::of(bodies.iter().map(String::as_str).enumerate(), at(10));
        assert_eq!(
            batch.turns,
            [
                (wake_up("a", Why::Event), vec![1]),
                (wake_up("b", Why::Gone), vec![0, 2])
            ]
        );
        assert_eq!(batch.later, [(3, wake_up("c", Why::Event), at(11))]);
        assert_eq!(batch.idle, [4]);
        assert_eq!(batch.not_understood.len(), 1);
        assert_eq!(batch.not_understood[0].0, 5);
    }
}
