//! Finds the Node that runs a function, and what makes it a Lambda runtime.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use two_buckets_lambda_host::NODE_RUNTIME;

/// The oldest Node that is taken: what the runtime's code needs.
const MAJOR_MIN: u32 = 18;

/// The command that runs the handler: by AWS's `aws-lambda-ric`, where the function's folder has it installed, else by the
/// runtime that comes with this program, which is written below `runtimes`. Starts Node once, and blocks until it has answered.
/// The error is a sentence that says what to install.
pub(super) fn command(
    folder: &Path,
    handler: &str,
    runtimes: &Path,
) -> Result<Vec<OsString>, String> {
    let asked = Command::new("node")
        .args(["-p", "process.version + ' ' + process.execPath"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            format!(
                "a function in JavaScript needs Node, and it cannot be started: {error}; install it"
            )
        })?;
    // What was asked may be a shim that needs the environment of whoever started the server; the function's is another.
    let said = String::from_utf8_lossy(&asked.stdout);
    let (version, node) = said.trim().split_once(' ').unwrap_or((said.trim(), "node"));
    let major = version
        .strip_prefix('v')
        .and_then(|version| version.split('.').next())
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < MAJOR_MIN) {
        return Err(format!(
            "a function in JavaScript needs Node {MAJOR_MIN} or later, and node says that it is {version:?}"
        ));
    }
    let ric = folder.join("node_modules/aws-lambda-ric/bin/index.mjs");
    let runtime = if ric.is_file() {
        ric
    } else {
        let path = runtimes.join("node.mjs");
        write_once(runtimes, &path)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        path
    };
    Ok(vec![node.into(), runtime.into(), handler.into()])
}

/// Writes the runtime unless it is there. Another version of this program may have left another; and others may start by
/// it at this moment, so it is replaced whole.
fn write_once(runtimes: &Path, path: &Path) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == NODE_RUNTIME.as_bytes()) {
        return Ok(());
    }
    fs::create_dir_all(runtimes)?;
    let begun = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&begun, NODE_RUNTIME)?;
    fs::rename(&begun, path)
}
