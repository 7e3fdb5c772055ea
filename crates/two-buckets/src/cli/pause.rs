use std::fmt::Write as _;

use serde_json::{Value, json};

use super::api::Api;
use super::meaning::Output;
use super::print;
use super::status::moment;
use super::wire::{Paused, read};
use crate::config::Settings;
use crate::failure::Failure;

/// Has the server process nothing new.
pub(super) async fn pause(
    reason: Option<&str>,
    output: Output,
    settings: &Settings,
) -> Result<(), Failure> {
    let api = Api::find(settings).await?;
    let answer = api.post("/api/pause", &json!({"reason": reason})).await?;
    show(&answer, output)
}

/// Has it process what waits and what comes.
pub(super) async fn resume(output: Output, settings: &Settings) -> Result<(), Failure> {
    let answer = Api::find(settings)
        .await?
        .post("/api/resume", &json!({}))
        .await?;
    show(&answer, output)
}

fn show(answer: &Value, output: Output) -> Result<(), Failure> {
    if output == Output::Program {
        return print::json(answer);
    }
    let paused = answer.get("paused").cloned().unwrap_or(Value::Null);
    let paused: Option<Paused> = read(paused)?;
    let count = |state: &str| {
        let of_state = answer.get("counts").and_then(|counts| counts.get(state));
        of_state.and_then(Value::as_u64).unwrap_or(0)
    };
    let waiting = count("pending");
    let text = match paused {
        Some(paused) => {
            let mut text = sentence(&paused);
            match count("processing") {
                0 => {}
                n => writeln!(text, "{} in work, to its end", print::count(n, "upload"))
                    .expect("writing to a String cannot fail"),
            }
            text + &format!("{} waiting\n", print::count(waiting, "upload"))
        }
        None => format!(
            "processing goes on; {} waiting\n",
            print::count(waiting, "upload")
        ),
    };
    print::text(&text)
}

/// A line that says since when and why.
pub(super) fn sentence(paused: &Paused) -> String {
    let why = paused.reason.as_deref().map(print::harmless);
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!(
        "processing is paused since {}{why}\n",
        moment(&paused.since)
    )
}
