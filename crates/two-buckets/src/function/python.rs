//! Finds the Python that runs a function, and asks it for Lambda's runtime client.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell;

/// The command that runs the handler: the Python given, or that of a virtual environment (the one that is active, or
/// `.venv` or `venv` in the function's folder), or `python3`. It must have `awslambdaric`, in its own packages or in the folder.
/// The error is a sentence that says what to install. Starts Python once, and blocks until it has answered.
pub(crate) fn command(
    given: Option<&Path>,
    active: Option<&Path>,
    folder: &Path,
    handler: &str,
) -> Result<Vec<OsString>, String> {
    let python = match given {
        Some(python) => python.to_owned(),
        None => environments(active, folder).unwrap_or_else(|| PathBuf::from("python3")),
    };
    let shown = shell::quoted(&python.display().to_string());
    let asked = Command::new(&python)
        .args(["-c", "import sys, awslambdaric; print(sys.executable)"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    match asked {
        // What was asked may be a shim that needs the environment of whoever started the server; the function's is another.
        Ok(answer) if answer.status.success() => {
            let said = String::from_utf8_lossy(&answer.stdout);
            let itself = Some(said.trim()).filter(|it| Path::new(it).is_absolute());
            Ok(vec![
                itself.map_or_else(|| python.into(), OsString::from),
                "-m".into(),
                "awslambdaric".into(),
                handler.into(),
            ])
        }
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.stderr);
            if said.contains("No module named 'awslambdaric'") {
                Err(format!(
                    "a function in Python needs Lambda's runtime client, and {shown} does not have it; install it by: {shown} -m pip install awslambdaric"
                ))
            } else {
                let last = said.lines().last().unwrap_or("it said nothing");
                Err(format!(
                    "{shown} cannot load Lambda's runtime client: {last}"
                ))
            }
        }
        Err(error) => Err(format!(
            "a function in Python needs Python, and {shown} cannot be started: {error}; install it, or name it by --function-python"
        )),
    }
}

fn environments(active: Option<&Path>, folder: &Path) -> Option<PathBuf> {
    let beside = [folder.join(".venv"), folder.join("venv")];
    active
        .into_iter()
        .chain(beside.iter().map(PathBuf::as_path))
        .map(|environment| environment.join("bin").join("python"))
        .find(|python| python.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn fake(folder: &Path, script: &str) -> PathBuf {
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let path = bin.join("python");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_virtual_environment_beside_the_function_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let python = fake(&folder.path().join(".venv"), "echo \"$0\"");
        let found = command(None, None, folder.path(), "a.handler").unwrap();
        let expected: [OsString; 4] = [
            python.into(),
            "-m".into(),
            "awslambdaric".into(),
            "a.handler".into(),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn without_the_client_the_sentence_says_how_to_install_it() {
        let folder = tempfile::tempdir().unwrap();
        let python = fake(
            folder.path(),
            "echo \"ModuleNotFoundError: No module named 'awslambdaric'\" >&2; exit 1",
        );
        let problem = command(Some(&python), None, folder.path(), "a.handler").unwrap_err();
        assert!(problem.contains("-m pip install awslambdaric"), "{problem}");
        assert!(problem.contains(python.to_str().unwrap()), "{problem}");
    }

    #[test]
    fn without_python_the_sentence_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        let problem = command(Some(&none), None, folder.path(), "a.handler").unwrap_err();
        assert!(problem.contains("needs Python"), "{problem}");
    }
}
