use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{Origin, Setting};
use crate::failure::Failure;
use crate::meant::nearest;

/// The settings given by flags.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// The configuration file, if one was named.
    pub(crate) config_file: Option<PathBuf>,
    /// The values by the flag's name, as `max-attempts`.
    pub(crate) values: BTreeMap<&'static str, OsString>,
}

/// The variables of the environment that begin with `TWO_BUCKETS_`, the active virtual environment of Python, and what
/// Batch on AWS calls a job.
pub(crate) struct Environment(pub(crate) BTreeMap<String, OsString>);

impl Environment {
    /// The process's own.
    pub(crate) fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .filter(|(name, _)| {
                    name.starts_with("TWO_BUCKETS_") || [VIRTUAL_ENV, BATCH_JOB].contains(&&**name)
                })
                .collect(),
        )
    }

    /// A variable; none if it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(name)
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// The folder of Python's virtual environment that is active (PEP 405).
    pub(crate) fn virtual_environment(&self) -> Option<&Path> {
        self.get(VIRTUAL_ENV).map(Path::new)
    }
}

/// The entries that are tables or lists of them, and read before the settings are.
const TABLES: [&str; 4] = [
    "[[route]]",
    "[processor.NAME]",
    "[[role]]",
    "[notifications.NAME]",
];

const VIRTUAL_ENV: &str = "VIRTUAL_ENV";
/// The id of the job on AWS Batch that this process is (Batch User Guide, "Batch job environment variables").
pub(crate) const BATCH_JOB: &str = "AWS_BATCH_JOB_ID";

/// Reads the configuration file that the flags or the environment name, or else the default one if it is there.
pub(super) fn read_file(
    flags: &Flags,
    environment: &Environment,
) -> Result<(Option<PathBuf>, toml::Table), Failure> {
    let named = flags
        .config_file
        .clone()
        .or_else(|| environment.get("TWO_BUCKETS_CONFIG").map(PathBuf::from));
    let (path, must_exist) = match named {
        Some(path) => (path, true),
        None => match dirs::config_dir() {
            Some(folder) => (folder.join("two-buckets").join("config.toml"), false),
            None => return Ok((None, toml::Table::new())),
        },
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok((None, toml::Table::new()));
        }
        Err(error) => {
            return Err(Failure::usage(format!(
                "the configuration file {} cannot be read: {error}",
                path.display()
            )));
        }
    };
    match text.parse::<toml::Table>() {
        Ok(table) => Ok((Some(path), table)),
        Err(error) => {
            let line = error.span().map_or(1, |span| {
                text.bytes()
                    .take(span.start)
                    .filter(|byte| *byte == b'\n')
                    .count()
                    + 1
            });
            Err(Failure::usage(format!(
                "the configuration file {} is no TOML, line {line}: {}",
                path.display(),
                error.message()
            )))
        }
    }
}

/// Where settings are looked up, and the problems met.
pub(super) struct Sources<'a> {
    flags: &'a Flags,
    environment: &'a Environment,
    file: Option<&'a Path>,
    table: toml::Table,
    known: Vec<&'static str>,
    problems: Vec<String>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        flags: &'a Flags,
        environment: &'a Environment,
        file: Option<&'a Path>,
        table: toml::Table,
    ) -> Self {
        Self {
            flags,
            environment,
            file,
            table,
            known: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Looks a setting up: flag, environment, file, default. With a problem the answer is none.
    pub(super) fn setting<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&OsStr) -> Result<T, String>,
        default: Option<T>,
    ) -> Option<Setting<T>> {
        self.known.push(name);
        let (raw, origin, shown) = match self.find(name) {
            Ok(Some(found)) => found,
            Ok(None) => {
                if default.is_none() {
                    self.problem(format!("there is no default for --{name} here; give it"));
                }
                return default.map(|value| Setting {
                    value,
                    origin: Origin::Default,
                });
            }
            Err(problem) => {
                self.problem(problem);
                return None;
            }
        };
        match parse(&raw) {
            Ok(value) => Some(Setting { value, origin }),
            Err(problem) => {
                self.problem(format!("{shown}: {problem}"));
                None
            }
        }
    }

    fn find(&self, name: &'static str) -> Result<Option<(OsString, Origin, String)>, String> {
        if let Some(value) = self.flags.values.get(name) {
            return Ok(Some((
                value.clone(),
                Origin::Flag(name),
                format!("--{name}"),
            )));
        }
        let variable = variable(name);
        if let Some(value) = self.environment.get(&variable) {
            return Ok(Some((
                value.to_owned(),
                Origin::Environment(variable.clone()),
                variable,
            )));
        }
        let Some((file, value)) = self
            .file
            .and_then(|file| Some((file, self.table.get(&entry(name))?)))
        else {
            return Ok(None);
        };
        let shown = format!("{} in {}", entry(name), file.display());
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Array(values) if values.iter().all(toml::Value::is_str) => {
                let texts: Vec<_> = values.iter().filter_map(toml::Value::as_str).collect();
                texts.join("\n")
            }
            toml::Value::Boolean(truth) => truth.to_string(),
            other => {
                return Err(format!(
                    "{shown}: is {}, but must be a text, a whole number, true or false, or a list of texts",
                    other.type_str()
                ));
            }
        };
        Ok(Some((text.into(), Origin::File(file.to_owned()), shown)))
    }

    /// Lists names in the file that mean nothing, for they are mostly misspelt.
    pub(super) fn refuse_unknown_names(&mut self) {
        let entries: Vec<String> = self.known.iter().map(|name| entry(name)).collect();
        if let Some(file) = self.file {
            for name in self.table.keys().filter(|name| !entries.contains(name)) {
                self.problems.push(format!(
                    "{name} in {} is no setting; {}",
                    file.display(),
                    meant(name, &entries)
                ));
            }
        }
    }

    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// The settings, or all problems.
    pub(super) fn finish<T>(self, settings: Option<T>) -> Result<T, Failure> {
        match (self.problems.as_slice(), settings) {
            ([], Some(settings)) => Ok(settings),
            ([only], _) => Err(Failure::usage(only.clone())),
            (problems, _) => Err(Failure::usage(format!(
                "the settings have {} problems: {}",
                problems.len(),
                problems.join("; ")
            ))),
        }
    }
}

/// Which entry was probably meant, or else all that there are.
fn meant(name: &str, entries: &[String]) -> String {
    let all = || entries.iter().map(String::as_str).chain(TABLES);
    let bare = |entry: &str| {
        entry
            .trim_matches(['[', ']'])
            .trim_end_matches(".NAME")
            .to_owned()
    };
    let names: Vec<(String, &str)> = all().map(|entry| (bare(entry), entry)).collect();
    let nearest = nearest(name, names.iter().map(|(bare, _)| bare.as_str()));
    match nearest.and_then(|it| names.iter().find(|(bare, _)| bare == it)) {
        Some((_, entry)) => format!("did you mean {entry}?"),
        None => format!("there are {}", all().collect::<Vec<_>>().join(", ")),
    }
}

/// A setting's variable: `max-attempts` is `TWO_BUCKETS_MAX_ATTEMPTS`.
fn variable(name: &str) -> String {
    format!(
        "TWO_BUCKETS_{}",
        name.to_ascii_uppercase().replace('-', "_")
    )
}

/// A setting's entry in the file: `max-attempts` is `max_attempts`.
fn entry(name: &str) -> String {
    name.replace('-', "_")
}
