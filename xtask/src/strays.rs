//! Things that slip into a repository from the machine it was written on: folders of that machine, package mirrors.

use std::fs;

use anyhow::{Result, bail};

use crate::repository;

/// Starts of absolute paths that exist on one machine only. Written in halves, so that this file passes its own check.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Use", "rs/"),
    concat!("C:\\Use", "rs\\"),
];

/// Words that only a configured package mirror needs.
const MIRRORS: &[&str] = &[
    concat!("://regi", "stry."),
    concat!("index", "-url"),
    concat!("find", "-links"),
    concat!("replace", "-with"),
];

/// Fails with every line that names a folder of one machine or a package mirror.
pub(crate) fn check() -> Result<()> {
    let mut strays = Vec::new();
    for file in repository::files()? {
        let Ok(text) = fs::read_to_string(repository::root().join(&file)) else {
            continue; // not text
        };
        for (line, what) in strays_in(&text) {
            strays.push(format!("{}:{line}: {what}", file.display()));
        }
    }
    if !strays.is_empty() {
        bail!("{}", strays.join("; "));
    }
    Ok(())
}

/// Line numbers and what was found there.
fn strays_in(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for start in MACHINE_PATHS {
            if starts_a_path(line, start) {
                found.push((number + 1, format!("a path of one machine, {start}")));
            }
        }
        for word in MIRRORS {
            if line.contains(word) {
                found.push((number + 1, format!("a package mirror, {word}")));
            }
        }
    }
    found
}

/// True when `start` begins a path in `line`, rather than going on with a longer one such as `src/work/`.
fn starts_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-~*}".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::{MACHINE_PATHS, MIRRORS, strays_in};

    #[test]
    fn the_repository_names_no_machine_and_no_mirror() {
        super::check().expect("no strays");
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_relative_one_is_not() {
        let path = format!("see `{}somebody/notes`", MACHINE_PATHS[0]);
        assert_eq!(strays_in(&path).len(), 1);
        let relative = format!("see src{}somebody", MACHINE_PATHS[2]);
        assert!(strays_in(&relative).is_empty());
    }

    #[test]
    fn a_mirror_is_found() {
        let lock = format!("\"resolved\": \"https{}example.org/x.tgz\"", MIRRORS[0]);
        assert_eq!(strays_in(&lock).len(), 1);
    }
}
