use serde_json::json;

use super::meaning::Output;
use super::print;
use crate::config::Settings;
use crate::failure::Failure;

/// Prints each setting with its value and its origin.
pub(super) fn run(output: Output, settings: &Settings) -> Result<(), Failure> {
    let rows = settings.rows();
    match output {
        Output::Program => {
            let entries: serde_json::Map<_, _> = rows
                .into_iter()
                .map(|(name, value, origin)| {
                    (
                        name.replace('-', "_"),
                        json!({"value": value, "origin": origin.to_string()}),
                    )
                })
                .collect();
            print::json(&entries.into())
        }
        Output::Person => {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(name, value, origin)| {
                    vec![name.to_owned(), print::harmless(&value), origin.to_string()]
                })
                .collect();
            print::table(&["SETTING", "VALUE", "ORIGIN"], &rows)?;
            match &settings.file {
                Some(file) => print::text(&format!("\nfile read: {}\n", file.display())),
                None => Ok(()),
            }
        }
    }
}
