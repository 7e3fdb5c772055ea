//! What a function's processes find in their environment: as on Lambda, and nothing of the server's own.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::config::Config;
use crate::environment_id::EnvironmentId;

/// Names that the user must not set, as Lambda's "Reserved environment variables" lists them, with those we set ourselves.
/// `AWS_LAMBDA_` as a whole is reserved too, but for the two in [`ALLOWED`].
/// See <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.
const RESERVED: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "TMPDIR",
];

/// Settings of a runtime that the user may make although their names begin as the reserved ones do.
const ALLOWED: &[&str] = &[
    "AWS_LAMBDA_EXEC_WRAPPER",
    "AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING",
];

/// Which of the user's variables cannot be set, and why.
pub(crate) fn problems(variables: &[(OsString, OsString)]) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, value) in variables {
        let shown = name.to_string_lossy();
        let upper = shown.to_ascii_uppercase();
        if name.is_empty() || has(name, b'=') || has(name, 0) {
            problems.push(format!("{shown:?} is no name of an environment variable"));
        } else if RESERVED.contains(&upper.as_str())
            || (upper.starts_with("AWS_LAMBDA_") && !ALLOWED.contains(&upper.as_str()))
        {
            problems.push(format!(
                "the environment variable {shown} is reserved by Lambda and cannot be set"
            ));
        } else if has(value, 0) {
            problems.push(format!(
                "the value of the environment variable {shown} contains a NUL"
            ));
        }
    }
    problems
}

/// The log stream's name, which is unique to one environment and therefore marks its processes.
pub(crate) fn log_stream_name(id: &EnvironmentId) -> String {
    format!("{}/[$LATEST]{id}", crate::clock::today())
}

/// Everything one environment's processes are given. Later entries win: Lambda's defaults, then the user's, then ours,
/// then the environment's own.
///
/// `_X_AMZN_TRACE_ID` is left to the runtime, which sets it for each invocation. `AWS_EXECUTION_ENV` names a managed
/// runtime and is not defined for others; who knows which runtime it is sets it among the environment's own.
pub(crate) fn of(
    config: &Config,
    log_stream: &str,
    runtime_api: SocketAddr,
    scratch: &Path,
    own: Vec<(OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &str, value: &OsStr| all.push((name.into(), value.to_owned()));
    set("LANG", OsStr::new("en_US.UTF-8"));
    set("TZ", OsStr::new(":UTC"));
    set("PATH", &search_path());
    // So that SDKs do not find the credentials and settings of the server's user.
    set("HOME", scratch.as_os_str());
    all.extend(config.variables.iter().cloned());
    let mut set = |name: &str, value: &OsStr| all.push((name.into(), value.to_owned()));
    for (name, value) in [
        ("_HANDLER", config.handler.as_str()),
        ("AWS_REGION", &config.region),
        ("AWS_DEFAULT_REGION", &config.region),
        ("AWS_LAMBDA_FUNCTION_NAME", &config.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            &config.memory_mib.to_string(),
        ),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        (
            "AWS_LAMBDA_LOG_GROUP_NAME",
            &format!("/aws/lambda/{}", config.name),
        ),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream),
        ("AWS_LAMBDA_RUNTIME_API", &runtime_api.to_string()),
    ] {
        set(name, OsStr::new(value));
    }
    set("LAMBDA_TASK_ROOT", config.folder.as_os_str());
    set("LAMBDA_RUNTIME_DIR", config.folder.as_os_str());
    set("TMPDIR", scratch.as_os_str());
    all.extend(own);
    all
}

/// Where programs are found: where the server finds them, as functions run with the programs of this machine.
fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin"))
}

fn has(text: &OsStr, byte: u8) -> bool {
    text.as_bytes().contains(&byte)
}
