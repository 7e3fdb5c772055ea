use serde_json::{Value, json};

use super::api::Api;
use super::meaning::{Output, Replay, Replayed, Since};
use super::print;
use super::status::moment;
use crate::clock;
use crate::config::Settings;
use crate::failure::Failure;

/// Has what is archived processed again, or says how much that would be.
pub(super) async fn run(replay: &Replay, settings: &Settings) -> Result<(), Failure> {
    let mut body = match &replay.what {
        Replayed::Prefix { prefix, since } => {
            let since = since.map(|since| match since {
                Since::At(at) => at,
                Since::Ago(ago) => {
                    let millis = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                    let then = clock::now().millis().saturating_sub(millis).max(0);
                    two_buckets_objects::Timestamp::from_millis(then)
                }
            });
            json!({"prefix": prefix, "since": since.map(|since| since.to_string()), "anew": replay.is_anew})
        }
        Replayed::Version { key, version_id } => {
            json!({"key": key.as_str(), "version_id": version_id})
        }
    };
    body["dry_run"] = replay.is_dry_run.into();
    let api = Api::find(settings).await?;
    let mut answer = api.post("/api/replay", &body).await?;
    // One call does a portion, so that none takes minutes; who stops in between goes on with the same command.
    while answer.get("has_more").and_then(Value::as_bool) == Some(true) {
        body["anew"] = false.into();
        let more = api.post("/api/replay", &body).await?;
        answer = added(&answer, &more);
    }
    if replay.output == Output::Program {
        return print::json(&answer);
    }
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    let size = print::size(number("size"));
    if let Some(since) = answer.get("continued_since").and_then(Value::as_str) {
        print::text(&format!("the replay begun {} goes on\n", moment(since)))?;
    }
    print::text(&if replay.is_dry_run {
        let count = print::count(number("matched"), "upload");
        format!("{count} ({size}) would be processed again\n")
    } else {
        let count = print::count(number("replayed"), "upload");
        format!("{count} ({size}) to be processed again\n")
    })
}

/// What two portions of one replay did together.
fn added(before: &Value, more: &Value) -> Value {
    let mut both = before.clone();
    for name in ["matched", "replayed", "size"] {
        let number = |answer: &Value| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        both[name] = (number(before) + number(more)).into();
    }
    both["has_more"] = more.get("has_more").cloned().unwrap_or_default();
    both
}
