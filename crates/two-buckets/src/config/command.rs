//! The program that runs on each file, where one is brought.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use super::{Origin, Setting, Sources, number, optional, seconds, truth, utf8};
use crate::command::{InvalidOutput, Output, Program, Settings as Command};

/// The longest time-out of a program: a week.
const TIMEOUT_S_MAX: u64 = 7 * 24 * 3600;
/// The most MiB of the scratch folder, and of standard output: as large as the largest object, some 49 TiB.
const MIB_MAX: u64 = 50 << 20;

/// What is run, and within what.
#[derive(Debug)]
pub(crate) struct CommandSettings {
    /// The program with its arguments; none for a processor of our own.
    pub(crate) command: Setting<Option<String>>,
    /// Whether it is a script for the shell.
    pub(crate) shell: Setting<bool>,
    /// The longest run; 1 s to a week.
    pub(crate) timeout: Setting<Duration>,
    /// The exit code that means that a file cannot be processed; 1 to 255.
    pub(crate) permanent_exit: Setting<u8>,
    /// What its standard output is kept as; none for its report.
    pub(crate) output: Setting<Option<Output>>,
    /// The variables it gets beside the usual ones: those of the server by name, others with their value.
    pub(crate) variables: Setting<Vec<(String, Option<String>)>>,
    /// The most bytes of files that programs read by path.
    pub(crate) scratch_bytes_max: Setting<u64>,
    /// The most bytes of its standard output.
    pub(crate) stdout_bytes_max: Setting<u64>,
}

impl CommandSettings {
    pub(super) fn of(sources: &mut Sources<'_>) -> Option<Self> {
        let command = sources.setting("command", optional(|text| Ok(text.to_owned())), Some(None));
        let shell = sources.setting("shell", truth, Some(false));
        let timeout = sources.setting(
            "command-timeout-s",
            |text| seconds(text, 1, TIMEOUT_S_MAX),
            Some(Command::TIMEOUT_DEFAULT),
        );
        let permanent_exit = sources.setting(
            "command-permanent-exit",
            |text| number(text, 1, u8::MAX),
            Some(Command::PERMANENT_EXIT_DEFAULT),
        );
        let output = sources.setting(
            "command-output",
            optional(|text| {
                text.parse()
                    .map_err(|problem: InvalidOutput| problem.to_string())
            }),
            Some(None),
        );
        let variables = sources.setting("command-env", variables, Some(Vec::new()));
        let mib = |text: &OsStr| number(text, 1, MIB_MAX).map(|mib: u64| mib << 20);
        let scratch_bytes_max = sources.setting(
            "command-scratch-mib",
            mib,
            Some(Command::SCRATCH_BYTES_MAX_DEFAULT),
        );
        let stdout_bytes_max = sources.setting(
            "command-stdout-mib",
            mib,
            Some(Command::STDOUT_BYTES_MAX_DEFAULT),
        );
        let settings = Self {
            command: command?,
            shell: shell?,
            timeout: timeout?,
            permanent_exit: permanent_exit?,
            output: output?,
            variables: variables?,
            scratch_bytes_max: scratch_bytes_max?,
            stdout_bytes_max: stdout_bytes_max?,
        };
        for problem in settings.problems() {
            sources.problem(problem);
        }
        Some(settings)
    }

    /// The program, if one is brought.
    pub(crate) fn program(&self) -> Result<Option<Program>, String> {
        let program = self.command.value.as_deref().map(|text| {
            if self.shell.value {
                Program::shell(text)
            } else {
                Program::parse(text)
            }
        });
        program
            .transpose()
            .map_err(|problem| format!("--command {problem}"))
    }

    fn problems(&self) -> Vec<String> {
        if self.command.value.is_some() {
            return self.program().err().into_iter().collect();
        }
        [
            (&self.shell.origin, "shell"),
            (&self.timeout.origin, "command-timeout-s"),
            (&self.permanent_exit.origin, "command-permanent-exit"),
            (&self.output.origin, "command-output"),
            (&self.variables.origin, "command-env"),
            (&self.scratch_bytes_max.origin, "command-scratch-mib"),
            (&self.stdout_bytes_max.origin, "command-stdout-mib"),
        ]
        .into_iter()
        .filter(|(origin, _)| **origin != Origin::Default)
        .map(|(_, name)| format!("--{name} says how a program runs, but --command names none"))
        .collect()
    }

    /// Each setting as name, value and origin. Values of variables may be secret and are not shown.
    pub(super) fn rows(&self) -> Vec<(&'static str, String, &Origin)> {
        let names: Vec<&str> = self
            .variables
            .value
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let mib = |setting: &Setting<u64>| (setting.value >> 20).to_string();
        vec![
            super::optional_row("command", &self.command, String::clone),
            ("shell", self.shell.value.to_string(), &self.shell.origin),
            (
                "command-timeout-s",
                self.timeout.value.as_secs().to_string(),
                &self.timeout.origin,
            ),
            (
                "command-permanent-exit",
                self.permanent_exit.value.to_string(),
                &self.permanent_exit.origin,
            ),
            super::optional_row("command-output", &self.output, Output::to_string),
            ("command-env", names.join(","), &self.variables.origin),
            (
                "command-scratch-mib",
                mib(&self.scratch_bytes_max),
                &self.scratch_bytes_max.origin,
            ),
            (
                "command-stdout-mib",
                mib(&self.stdout_bytes_max),
                &self.stdout_bytes_max.origin,
            ),
        ]
    }

    /// The environment of the program: what is always passed on of the server's, and what is configured.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let named = |name: &OsStr| {
            Command::PASSED_ON.iter().any(|usual| name == *usual)
                || self
                    .variables
                    .value
                    .iter()
                    .any(|(one, value)| value.is_none() && name == one.as_str())
        };
        let given = self
            .variables
            .value
            .iter()
            .filter_map(|(name, value)| Some((name.into(), value.as_ref()?.into())));
        std::env::vars_os()
            .filter(|(name, _)| named(name))
            .chain(given)
            .collect()
    }
}

/// `NAME`, which is passed on, or `NAME=VALUE`; one a line, or with commas between where none has a value.
fn variables(text: &OsStr) -> Result<Vec<(String, Option<String>)>, String> {
    let text = utf8(text)?;
    let ends: &[char] = if text.contains('=') {
        &['\n']
    } else {
        &['\n', ',']
    };
    text.split(ends)
        .map(|one| {
            // The value may be a secret: it is never in the sentence.
            let (name, value) = match one.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (one.trim(), None),
            };
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name {
                return Err("each is a variable's name, or written as NAME=VALUE".to_owned());
            }
            if name.starts_with("TWO_BUCKETS_") {
                return Err(format!(
                    "{name} is not passed on: what begins with TWO_BUCKETS_ is the server's own, or a fact of the file"
                ));
            }
            if value.as_ref().is_some_and(|value| value.contains('\0')) {
                return Err(format!("the value of {name} has a zero byte"));
            }
            Ok((name.to_owned(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_or_given_and_values_never_shown() {
        assert_eq!(
            variables(OsStr::new("A=1,2=3\nB")),
            Ok(vec![("A".into(), Some("1,2=3".into())), ("B".into(), None)])
        );
        assert_eq!(
            variables(OsStr::new("A, B")),
            Ok(vec![("A".into(), None), ("B".into(), None)])
        );
        for bad in [
            "1A=hunter2",
            "A B=hunter2",
            "TWO_BUCKETS_X=hunter2",
            "=hunter2",
        ] {
            let problem = variables(OsStr::new(bad)).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
