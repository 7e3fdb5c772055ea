//! The function that runs on each file, where one is brought.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::{Setting, Sources, number, optional, optional_path, seconds, truth, utf8};

/// The longest that one invocation may take: 15 minutes (Lambda quotas, "Function timeout").
const TIMEOUT_S_MAX: u64 = 900;
/// The least and the most memory of an execution environment (Lambda quotas, "Function memory allocation").
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 128..=10_240;
/// The least and the most of its scratch folder (Lambda quotas, "/tmp directory storage").
const SCRATCH_MIB: std::ops::RangeInclusive<u64> = 1..=10_240;
/// The most execution environments; each is a process or more.
const CONCURRENCY_MAX: usize = 256;
/// The most records of one invocation. The message with the event stays far below the 6 MB of a payload.
const BATCH_MAX: usize = 100;
/// What Lambda keeps for itself (Lambda Developer Guide, "Reserved environment variables"), and what we set.
const RESERVED: [&str; 3] = ["AWS_", "_", "LAMBDA_"];

/// The function, and within what it runs.
#[derive(Debug)]
pub(crate) struct FunctionSettings {
    /// What `--function` says; none for a processor of our own.
    pub(crate) function: Setting<Option<PathBuf>>,
    /// What is called, as `file.function` or `function`; none where it is found by itself.
    pub(crate) handler: Setting<Option<String>>,
    /// The Python that runs it; none for the one found.
    pub(crate) python: Setting<Option<PathBuf>>,
    /// The longest invocation; 1 s to 15 minutes.
    pub(crate) timeout: Setting<Duration>,
    /// The memory of an environment in MiB; 128 to 10,240.
    pub(crate) memory_mib: Setting<u32>,
    /// What an environment may write into its scratch folder, in MiB; 1 to 10,240.
    pub(crate) scratch_mib: Setting<u64>,
    /// The most environments; none for as many as there are workers.
    pub(crate) concurrency: Setting<Option<usize>>,
    /// The most records of one invocation; 1 to 100.
    pub(crate) batch: Setting<usize>,
    /// Whether the function always moves its file, so that not having done it is a failure.
    pub(crate) moves: Setting<bool>,
    /// Its variables, in the order given, each name once.
    pub(crate) variables: Setting<Vec<(String, String)>>,
    /// The error types that will not pass by trying again.
    pub(crate) permanent_errors: Setting<Vec<String>>,
}

impl FunctionSettings {
    pub(super) fn of(sources: &mut Sources<'_>) -> Option<Self> {
        let function = sources.setting("function", optional_path_as_typed, Some(None));
        let handler = sources.setting("function-handler", optional(handler), Some(None));
        let python = sources.setting("function-python", optional_path, Some(None));
        let timeout = sources.setting(
            "function-timeout-s",
            |text| seconds(text, 1, TIMEOUT_S_MAX),
            Some(Duration::from_mins(1)),
        );
        let memory_mib = sources.setting(
            "function-memory-mib",
            |text| number(text, *MEMORY_MIB.start(), *MEMORY_MIB.end()),
            Some(512),
        );
        let scratch_mib = sources.setting(
            "function-scratch-mib",
            |text| number(text, *SCRATCH_MIB.start(), *SCRATCH_MIB.end()),
            Some(512),
        );
        let concurrency = sources.setting(
            "function-concurrency",
            |text| number(text, 1, CONCURRENCY_MAX).map(Some),
            Some(None),
        );
        let batch = sources.setting("function-batch", |text| number(text, 1, BATCH_MAX), Some(1));
        let moves = sources.setting("function-moves", truth, Some(false));
        let variables = sources.setting("function-env", variables, Some(Vec::new()));
        let permanent_errors = sources.setting(
            "function-permanent-errors",
            super::list(|text| Ok(text.to_owned())),
            Some(Vec::new()),
        );
        let settings = Self {
            function: function?,
            handler: handler?,
            python: python?,
            timeout: timeout?,
            memory_mib: memory_mib?,
            scratch_mib: scratch_mib?,
            concurrency: concurrency?,
            batch: batch?,
            moves: moves?,
            variables: variables?,
            permanent_errors: permanent_errors?,
        };
        for problem in settings.problems() {
            sources.problem(problem);
        }
        Some(settings)
    }

    /// What contradicts itself.
    fn problems(&self) -> Vec<String> {
        if self.function.value.is_some() {
            return Vec::new();
        }
        let said = |origin: &super::Origin, name: &str| {
            (*origin != super::Origin::Default)
                .then(|| format!("--{name} says how the function runs, but --function names none"))
        };
        [
            said(&self.handler.origin, "function-handler"),
            said(&self.python.origin, "function-python"),
            said(&self.moves.origin, "function-moves"),
            said(&self.batch.origin, "function-batch"),
            said(&self.variables.origin, "function-env"),
            said(&self.permanent_errors.origin, "function-permanent-errors"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Each as name, value and origin. Values of variables may be secrets: only their names are shown.
    pub(super) fn rows(&self) -> Vec<(&'static str, String, &super::Origin)> {
        let names: Vec<&str> = self
            .variables
            .value
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        vec![
            super::optional_row("function", &self.function, |path| {
                path.display().to_string()
            }),
            super::optional_row("function-handler", &self.handler, String::clone),
            super::optional_row("function-python", &self.python, |path| {
                path.display().to_string()
            }),
            (
                "function-timeout-s",
                self.timeout.value.as_secs().to_string(),
                &self.timeout.origin,
            ),
            (
                "function-memory-mib",
                self.memory_mib.value.to_string(),
                &self.memory_mib.origin,
            ),
            (
                "function-scratch-mib",
                self.scratch_mib.value.to_string(),
                &self.scratch_mib.origin,
            ),
            super::optional_row("function-concurrency", &self.concurrency, usize::to_string),
            (
                "function-batch",
                self.batch.value.to_string(),
                &self.batch.origin,
            ),
            (
                "function-moves",
                self.moves.value.to_string(),
                &self.moves.origin,
            ),
            ("function-env", names.join(","), &self.variables.origin),
            super::list_row("function-permanent-errors", &self.permanent_errors),
        ]
    }
}

/// `module.function` is no path, so nothing is put in front of it.
fn optional_path_as_typed(text: &OsStr) -> Result<Option<PathBuf>, String> {
    if text.is_empty() {
        return Err(
            "must name a file of Python or JavaScript, a program, a folder or a zip".to_owned(),
        );
    }
    Ok(Some(PathBuf::from(OsString::from(text))))
}

fn handler(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.len()) && !text.contains(char::is_whitespace);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no handler; write it as file.function, without blanks and at most 128 characters"
        ))
    }
}

/// One `NAME=VALUE` a line.
fn variables(text: &OsStr) -> Result<Vec<(String, String)>, String> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for line in utf8(text)?.split('\n') {
        // The value may be a secret: it is never in the sentence.
        let (name, value) = line
            .split_once('=')
            .ok_or("each variable is written as NAME=VALUE, and one has no =")?;
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !is_name {
            return Err(format!(
                "{name:?} is no variable's name: letters, digits and _ make one"
            ));
        }
        if RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
            return Err(format!(
                "{name} is set for the function; names that begin with {} are taken",
                RESERVED.join(", ")
            ));
        }
        if value.contains('\0') {
            return Err(format!("the value of {name} has a zero byte"));
        }
        if variables.iter().any(|(known, _)| known == name) {
            return Err(format!("{name} is given twice"));
        }
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_commas_and_equals_signs_and_never_show_values() {
        assert_eq!(
            variables(OsStr::new("A=1,2=3\nB=")),
            Ok(vec![
                ("A".into(), "1,2=3".into()),
                ("B".into(), String::new())
            ])
        );
        for bad in [
            "hunter2",
            "1A=hunter2",
            "A B=hunter2",
            "AWS_REGION=hunter2",
            "A=hunter2\nA=x",
            "_X=hunter2",
        ] {
            let problem = variables(OsStr::new(bad)).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
