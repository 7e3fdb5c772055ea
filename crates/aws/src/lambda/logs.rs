//! Logs as CloudWatch takes them.

use std::io;

use tracing_subscriber::EnvFilter;

/// The logs written unless said otherwise.
const DEFAULT: &str = "info";

/// Begins to log on standard output for the rest of the process: one JSON object a line, with `timestamp`, `level` and
/// `message` as Lambda's JSON format has them. A filter that cannot be read, and a second call, are errors in words.
pub fn begin_logs(filter: Option<&str>) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter.unwrap_or(DEFAULT))
        .map_err(|error| format!("TWO_BUCKETS_LOG: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stdout)
        .json()
        .flatten_event(true)
        .try_init()
        .map_err(|error| format!("logging cannot begin: {error}"))
}
