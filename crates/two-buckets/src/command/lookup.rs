//! Where the program of a command is.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Program;

/// Where programs are looked for when no `PATH` is set (`man 3 execvp`).
const SEARCH_PATH_DEFAULT: &str = "/bin:/usr/bin";

/// Finds the program as the start of a process does, with this environment. The error is a sentence that says what is
/// missing. Blocks on the disk for a moment.
pub(crate) fn look_up(
    program: &Program,
    environment: &[(OsString, OsString)],
) -> Result<PathBuf, String> {
    let name = program.program();
    if name.contains('/') {
        return match std::fs::metadata(name) {
            Err(error) => Err(format!("the program {name} cannot be found: {error}")),
            Ok(_) if !may_run(Path::new(name)) => {
                Err(format!("{name} is no program that may be run"))
            }
            Ok(_) => Ok(name.into()),
        };
    }
    let search_path = environment
        .iter()
        .rev()
        .find(|(variable, _)| variable == "PATH")
        .map_or(OsStr::new(SEARCH_PATH_DEFAULT), |(_, value)| value);
    std::env::split_paths(search_path)
        .map(|folder| folder.join(name))
        .find(|path| may_run(path))
        .ok_or_else(|| {
            format!(
                "there is no program {name} in the folders of PATH; install it, or name it by its path"
            )
        })
}

fn may_run(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_where_it_would_be_started() {
        let folder = tempfile::tempdir().unwrap();
        let (there, text) = (folder.path().join("there"), folder.path().join("text"));
        std::fs::write(&there, "").unwrap();
        std::fs::write(&text, "").unwrap();
        std::fs::set_permissions(&there, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&text, std::fs::Permissions::from_mode(0o644)).unwrap();
        let with_path = |path: &Path| vec![("PATH".into(), path.into())];
        for (words, environment, is_there) in [
            ("there -x", with_path(folder.path()), true),
            ("there", with_path(Path::new("/nowhere")), false),
            ("text", with_path(folder.path()), false),
            (there.to_str().unwrap(), Vec::new(), true),
            (text.to_str().unwrap(), Vec::new(), false),
            ("/nowhere/at-all", with_path(folder.path()), false),
            ("sh", Vec::new(), true),
        ] {
            let program = Program::parse(words).unwrap();
            let said = look_up(&program, &environment);
            assert_eq!(said.is_ok(), is_there, "{words}: {said:?}");
        }
    }
}
