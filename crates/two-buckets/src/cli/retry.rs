use serde_json::{Value, json};

use super::api::Api;
use super::meaning::{Output, Which};
use super::print;
use crate::config::Settings;
use crate::failure::Failure;

/// Makes failed uploads pending again, or says how many it would.
pub(super) async fn run(
    which: &Which,
    is_dry_run: bool,
    output: Output,
    settings: &Settings,
) -> Result<(), Failure> {
    let mut body = match which {
        Which::Key(key) => json!({"key": key.as_str()}),
        Which::Reason(pattern) => json!({"reason": pattern.to_string()}),
        Which::All => json!({"all": true}),
    };
    body["dry_run"] = is_dry_run.into();
    let answer = Api::find(settings).await?.post("/api/retry", &body).await?;
    if output == Output::Program {
        return print::json(&answer);
    }
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    let matched = number("matched");
    match which {
        Which::Key(key) if matched == 0 => Err(Failure::failed(format!(
            "no upload of {} has failed",
            print::harmless(key.as_str())
        ))),
        Which::Reason(pattern) if matched == 0 => Err(Failure::failed(format!(
            "no upload has failed for a reason like {}",
            print::harmless(&pattern.to_string())
        ))),
        _ if is_dry_run => print::text(&format!(
            "{} would be tried again\n",
            print::count(matched, "upload")
        )),
        _ => print::text(&format!(
            "{} to be tried again\n",
            print::count(number("retried"), "upload")
        )),
    }
}
