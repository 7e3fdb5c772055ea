//! How the program logs: on standard error, readable on a terminal or as JSON.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock;
use crate::config::{LogFormat, Settings};
use crate::failure::Failure;

/// Begins logging as the settings say, for the rest of the process.
pub(crate) fn begin(settings: &Settings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.log.value)
        .map_err(|error| Failure::usage(format!("--log: {error}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_timer(StoreTime);
    let begun = match settings.log_format.value {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
    };
    begun.map_err(|error| Failure::failed(format!("logging cannot begin: {error}")))
}

/// Stamps in the form the store and the API use, UTC with milliseconds.
struct StoreTime;

impl FormatTime for StoreTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", clock::now())
    }
}
