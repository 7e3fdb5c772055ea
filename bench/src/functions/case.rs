//! What is measured: a function or a program with how it is given to the server, and the bare language beside it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

/// The program's own processor, which every other case is compared with.
pub(crate) const PEER: &str = "describe";

/// One row of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What the server is started with beside the usual.
    pub(crate) flags: Vec<OsString>,
    /// The language, started for nothing; none where there is nothing to start.
    pub(crate) bare: Option<Vec<OsString>>,
}

/// What this machine has.
pub(crate) struct Here<'a> {
    /// Where functions are written to.
    pub(crate) folder: &'a Path,
    pub(crate) empty_function: Option<&'a Path>,
    pub(crate) python: Option<&'a Path>,
    pub(crate) node_modules: Option<&'a Path>,
}

/// A case, or why there is none here.
type Found = Result<Case, String>;

/// Every row, in the table's order.
pub(crate) fn all(here: &Here<'_>) -> Result<Vec<(&'static str, Found)>> {
    let bare_true = || Some(words(&["true"]));
    Ok(vec![
        (
            PEER,
            Ok(Case {
                name: PEER,
                flags: Vec::new(),
                bare: None,
            }),
        ),
        ("command true", command("command true", "true")),
        (
            "command sha256sum",
            command("command sha256sum", "sha256sum"),
        ),
        ("rust empty", rust(here, bare_true())),
        (
            "rust tutorial",
            Err("this workspace does not build the AWS SDK for Rust".to_owned()),
        ),
        (
            "python empty",
            python(
                here,
                "python empty",
                "empty.py",
                include_str!("../../functions/empty.py"),
                "awslambdaric",
            )?,
        ),
        (
            "python tutorial",
            python(
                here,
                "python tutorial",
                "tutorial.py",
                include_str!("../../functions/tutorial.py"),
                "awslambdaric, boto3",
            )?,
        ),
        (
            "node empty",
            node(
                here,
                "node empty",
                "empty",
                include_str!("../../functions/empty.mjs"),
                None,
            )?,
        ),
        (
            "node tutorial",
            node(
                here,
                "node tutorial",
                "tutorial",
                include_str!("../../functions/tutorial.mjs"),
                Some("@aws-sdk/client-s3"),
            )?,
        ),
    ])
}

fn command(name: &'static str, program: &str) -> Found {
    starts(&words(&[program]))?;
    Ok(Case {
        name,
        flags: words(&["--command", program]),
        bare: Some(words(&["true"])),
    })
}

fn rust(here: &Here<'_>, bare: Option<Vec<OsString>>) -> Found {
    let program = here.empty_function.ok_or("--empty-function names none")?;
    Ok(Case {
        name: "rust empty",
        flags: vec!["--function".into(), program.into()],
        bare,
    })
}

fn python(
    here: &Here<'_>,
    name: &'static str,
    file: &str,
    text: &str,
    modules: &str,
) -> Result<Found> {
    let python = here.python.unwrap_or(Path::new("python3"));
    let with = |code: &str| vec![python.into(), "-c".into(), code.into()];
    if let Err(why) = starts(&with(&format!("import {modules}"))) {
        return Ok(Err(format!("no Python with {modules}: {why}")));
    }
    let function = here.folder.join(file);
    fs::write(&function, text)?;
    Ok(Ok(Case {
        name,
        flags: vec![
            "--function".into(),
            function.into(),
            "--function-python".into(),
            python.into(),
        ],
        bare: Some(with("pass")),
    }))
}

fn node(
    here: &Here<'_>,
    name: &'static str,
    folder: &str,
    text: &str,
    package: Option<&str>,
) -> Result<Found> {
    let bare = words(&["node", "-e", "0"]);
    if let Err(why) = starts(&bare) {
        return Ok(Err(why));
    }
    let folder = here.folder.join(folder);
    fs::create_dir(&folder)?;
    if let Some(package) = package {
        match here.node_modules.filter(|it| it.join(package).is_dir()) {
            Some(modules) => symlink(modules.canonicalize()?, folder.join("node_modules"))?,
            None => return Ok(Err(format!("--node-modules names none with {package}"))),
        }
    }
    let function = folder.join("index.mjs");
    fs::write(&function, text)?;
    Ok(Ok(Case {
        name,
        flags: vec!["--function".into(), function.into()],
        bare: Some(bare),
    }))
}

/// Whether a program starts here and ends well, with nothing on its standard input; else why not.
fn starts(command: &[OsString]) -> Result<(), String> {
    let shown = command[0].display();
    let output = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .output()
        .map_err(|why| format!("{shown} cannot be started: {why}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("it said nothing");
    Err(format!("{shown}: {last}"))
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
