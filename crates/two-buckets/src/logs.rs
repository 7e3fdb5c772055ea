//! How the program logs: on standard error, readable on a terminal or as JSON.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock;
use crate::config::{LogFormat, Origin, Settings};
use crate::failure::Failure;

/// What a command says beside its answer, unless somebody says otherwise: what went wrong, and what our own parts could
/// not do.
const OF_COMMANDS: &str = "error,two_buckets=warn";

/// Begins logging as the settings say, for the rest of the process.
pub(crate) fn begin(settings: &Settings) -> Result<(), Failure> {
    begin_with(settings, &settings.log.value)
}

/// The same for a command that ends by itself, which says little unless it is asked to.
pub(crate) fn begin_for_a_command(settings: &Settings) -> Result<(), Failure> {
    match settings.log.origin {
        Origin::Default => begin_with(settings, OF_COMMANDS),
        _ => begin(settings),
    }
}

fn begin_with(settings: &Settings, filter: &str) -> Result<(), Failure> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| Failure::usage(format!("--log: {error}")))?;
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
