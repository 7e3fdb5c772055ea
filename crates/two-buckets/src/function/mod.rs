//! A Lambda function on this machine: found, with its runtime, and made the processor of uploads.

mod code;
mod node;
mod python;
mod zip;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use two_buckets_lambda_host as lambda;

use crate::config::{Environment, FunctionSettings, Settings};
use code::{Code, Language};

/// How long a runtime may take until it asks for its first event: 10 s (Lambda Developer Guide, "Init phase").
/// Here others compute beside it, so it gets more.
const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a process may go on after it was told to end (Lambda Developer Guide, "Shutdown phase": 2 s with extensions).
const KILL_AFTER: Duration = Duration::from_secs(2);
/// How long an environment waits for its next event before it is ended; Lambda says only that it does so.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);
/// How old an environment may grow; its credentials last longer.
const LIFE_MAX: Duration = Duration::from_hours(4);
/// How many invocations an environment has at most, so that a function that leaks is begun anew now and then.
const RECYCLE_AFTER: u32 = 10_000;
/// How much of one invocation's output is told apart; the ledger keeps less.
const LOG_BYTES_MAX: usize = 256 << 10;
/// The variables with the buckets' names, unless they are set otherwise.
const STAGING_VARIABLE: &str = "STAGING_BUCKET";
const ARCHIVE_VARIABLE: &str = "ARCHIVE_BUCKET";

/// Finds the function that its settings name, and how it is run; none if they name none. What is unpacked for it is below
/// the data folder; the folder that its environments have theirs in is for the caller to say. Blocks, and starts the language's own program once to ask what it has.
/// The error is a sentence for whoever configured it.
pub(crate) fn find(
    function: &FunctionSettings,
    settings: &Settings,
    environment: &Environment,
) -> Result<Option<lambda::Config>, String> {
    let Some(spec) = &function.function.value else {
        return Ok(None);
    };
    let data = &settings.data.value;
    let handler = function.handler.value.as_deref();
    let code = if spec.extension().is_some_and(|extension| extension == "zip") && spec.is_file() {
        code::in_folder(&zip::unpack(spec, &data.join("functions"))?, handler)?
    } else {
        code::find(spec, handler)?
    };
    let command = command(&code, function, environment, data)?;
    let name = name(&code);
    Ok(Some(lambda::Config {
        scratch: PathBuf::new(),
        name,
        region: settings.region.value.clone(),
        command,
        handler: code.handler,
        folder: code.folder,
        variables: variables(function, settings),
        concurrency: function.concurrency.value.unwrap_or(settings.workers.value),
        memory_mib: function.memory_mib.value,
        // Given when it is started: a process divides its group once, for all functions.
        cgroups: None,
        timeout: function.timeout.value,
        init_timeout: INIT_TIMEOUT,
        kill_after: KILL_AFTER,
        idle_timeout: IDLE_TIMEOUT,
        recycle_after: RECYCLE_AFTER,
        life_max: LIFE_MAX,
        scratch_bytes_max: function.scratch_mib.value << 20,
        log_bytes_max: LOG_BYTES_MAX,
        new_environment: Arc::new(|_| Ok(Vec::new())),
        environment_ended: Arc::new(|_| {}),
    }))
}

fn command(
    code: &Code,
    function: &FunctionSettings,
    environment: &Environment,
    data: &Path,
) -> Result<Vec<OsString>, String> {
    match code.language {
        Language::Python => python::command(
            function.python.value.as_deref(),
            environment.virtual_environment(),
            &code.folder,
            &code.handler,
        ),
        Language::Node => node::command(&code.folder, &code.handler, &data.join("runtimes")),
        Language::Program => Ok(vec![code.folder.join(&code.file).into()]),
    }
}

/// What people see: `lambda_function` in the folder `thumbnails` is `thumbnails`, and any other file goes by its own name.
fn name(code: &Code) -> String {
    let stem = code.file.rsplit_once('.').map_or(&*code.file, |it| it.0);
    let is_generic = ["bootstrap", "lambda_function", "index"].contains(&stem);
    let folder = code.folder.file_name().and_then(|name| name.to_str());
    let name = if is_generic {
        folder.unwrap_or(stem)
    } else {
        stem
    };
    // Lambda API, "FunctionName": letters, digits, hyphens and underscores, at most 64.
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(64)
        .collect();
    if name.is_empty() {
        "function".to_owned()
    } else {
        name
    }
}

fn variables(function: &FunctionSettings, settings: &Settings) -> Vec<(OsString, OsString)> {
    let given = &function.variables.value;
    let buckets = [
        (STAGING_VARIABLE, settings.staging.value.as_str()),
        (ARCHIVE_VARIABLE, settings.archive.value.as_str()),
    ];
    buckets
        .into_iter()
        .filter(|(name, _)| given.iter().all(|(known, _)| known != name))
        .chain(given.iter().map(|(name, value)| (&**name, &**value)))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}
