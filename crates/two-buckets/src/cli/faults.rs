use serde_json::Value;

use super::api::Api;
use super::meaning::{FaultsChange, Output};
use super::print;
use super::wire::{Faults, read};
use crate::config::Settings;
use crate::failure::Failure;
use crate::faults;

const PATH: &str = "/api/faults";

/// Shows which faults are on, after it switched them if it shall.
pub(super) async fn run(
    change: &FaultsChange,
    output: Output,
    settings: &Settings,
) -> Result<(), Failure> {
    let answer = match change {
        FaultsChange::None => Api::find(settings).await?.get(PATH).await?,
        FaultsChange::Set(file) => {
            let rules = faults::read_file(file)?;
            Api::find(settings).await?.put(PATH, &rules).await?
        }
        FaultsChange::Off => Api::find(settings).await?.delete(PATH).await?,
    };
    if output == Output::Program {
        return print::json(&answer);
    }
    let Faults { rules } = read(answer)?;
    if rules.is_empty() {
        return print::text("no faults are on\n");
    }
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            vec![
                print::harmless(&rule.name),
                rule.struck.to_string(),
                rule.matched.to_string(),
                print::harmless(&rule.words),
            ]
        })
        .collect();
    print::table(&["NAME", "STRUCK", "OF", "FAULT"], &rows)
}

/// What the server says of its faults, and a sentence if any are on; nothing from a server that has none to switch on.
pub(super) async fn of_server(api: &Api) -> (Value, Option<String>) {
    let Ok(answer) = api.get(PATH).await else {
        return (Value::Null, None);
    };
    let Faults { rules } = read(answer.clone()).unwrap_or_default();
    let struck: u64 = rules.iter().map(|rule| rule.struck).sum();
    let sentence = (!rules.is_empty()).then(|| {
        format!(
            "FAULTS ARE ON: {} make S3 and its events misbehave on purpose, {} so far; `two-buckets faults` shows them\n",
            print::count(rules.len() as u64, "rule"),
            print::count(struck, "time"),
        )
    });
    (answer.get("rules").cloned().unwrap_or_default(), sentence)
}
