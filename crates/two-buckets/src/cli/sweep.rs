use serde_json::{Value, json};

use super::api::Api;
use super::meaning::Output;
use super::print;
use crate::config::Settings;
use crate::failure::Failure;

/// Has the server sweep now, and prints what the sweep found.
pub(super) async fn run(output: Output, settings: &Settings) -> Result<(), Failure> {
    let found = Api::find(settings)
        .await?
        .post("/api/sweep", &json!({}))
        .await?;
    match output {
        Output::Program => print::json(&found),
        Output::Person => {
            let number = |name: &str| found.get(name).and_then(Value::as_u64).unwrap_or(0);
            print::text(&format!(
                "{} in staging, {} woken, {} finished that had been interrupted, {} explained\n",
                print::count(number("listed"), "version"),
                print::count(number("woken"), "key"),
                print::count(number("finished"), "upload"),
                number("explained"),
            ))?;
            match number("passed_over") {
                0 => Ok(()),
                keys => print::text(&format!(
                    "{} could not be looked at: the server's log says why\n",
                    print::count(keys, "key")
                )),
            }
        }
    }
}
