use serde_json::{Value, json};

use super::api::Api;
use super::meaning::{Output, Which};
use super::print;
use crate::config::Settings;
use crate::failure::Failure;

/// Makes failed uploads pending again.
pub(super) async fn run(which: &Which, output: Output, settings: &Settings) -> Result<(), Failure> {
    let body = match which {
        Which::Key(key) => json!({"key": key.as_str()}),
        Which::All => json!({"all": true}),
    };
    let answer = Api::find(settings)?.post("/api/retry", &body).await?;
    let retried = answer.get("retried").and_then(Value::as_u64).unwrap_or(0);
    match (output, which) {
        (Output::Program, _) => print::json(&answer),
        (Output::Person, Which::Key(key)) if retried == 0 => Err(Failure::failed(format!(
            "no upload of {} has failed",
            print::harmless(key.as_str())
        ))),
        (Output::Person, _) => print::text(&format!(
            "{} to be tried again\n",
            print::count(retried, "upload")
        )),
    }
}
