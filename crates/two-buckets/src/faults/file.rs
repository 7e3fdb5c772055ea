use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// Reads a file of rules: TOML, or JSON if it begins with a brace. What they mean is not looked at.
pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    let problem = |what: String| Failure::usage(format!("the faults in {} {what}", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|error| problem(format!("cannot be read: {error}")))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text)
            .map_err(|error| problem(format!("are no JSON: {error}")));
    }
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = text
            .bytes()
            .take(before)
            .filter(|byte| *byte == b'\n')
            .count()
            + 1;
        problem(format!("are no TOML, line {line}: {}", error.message()))
    })?;
    serde_json::to_value(table).map_err(|error| problem(format!("cannot be read: {error}")))
}
