//! Which processor a file is given to: `[[route]]` and `[processor.NAME]` in the configuration file.
//!
//! ```toml
//! [processor.thumbnails]
//! function = "./thumbnails"          # and the other function_… or command_… settings, as at the top of the file
//!
//! [[route]]                          # the first that takes a file decides; what none takes goes to the default
//! name = "photos"
//! key = ["photos/**", "*.jpg"]       # any of these; * stops at a slash
//! type = "image/*"                   # the media type that the uploader named
//! size_min = 1                       # in bytes, both included
//! size_max = 50000000
//! processor = "thumbnails"           # or "describe", or "default" for what runs without a route
//! as = "job"                         # in a process of its own, without a function's time-out
//! concurrency = 2                    # of all files at once on this route; of jobs --job-concurrency says that
//! timeout_s = 120
//! max_attempts = 3                   # at most the server's own
//! backoff_s = 30                     # between two attempts at least
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::sources::Sources;
use super::{
    BOTH, CommandSettings, Environment, Flags, FunctionSettings, JobSettings, MAX_ATTEMPTS_MAX,
    WORKERS_MAX,
};
use crate::route::rule::{KeyPattern, Rule};

/// The longest that one run may take on a route: thirty days, as of any job.
const TIMEOUT_S_MAX: u64 = 30 * 24 * 3600;
/// The longest wait between two attempts: a day.
const BACKOFF_S_MAX: u64 = 24 * 3600;
/// The most routes; each is looked at for each file.
const ROUTES_MAX: usize = 1_000;
/// What runs where no route says otherwise.
pub(crate) const DEFAULT: &str = "default";
/// The processor that comes with the program.
pub(crate) const DESCRIBE: &str = "describe";

/// The routes and what they lead to.
#[derive(Debug, Default)]
pub(crate) struct RouteSettings {
    /// The routes, in their order.
    pub(crate) routes: Vec<Route>,
    /// The processors by their names, each named by a route.
    pub(crate) processors: BTreeMap<String, ProcessorSettings>,
}

/// What a name stands for: a function or a command, one of the two.
#[derive(Debug)]
pub(crate) struct ProcessorSettings {
    /// The function and within what it runs.
    pub(crate) function: FunctionSettings,
    /// The command and within what it runs.
    pub(crate) command: CommandSettings,
}

/// One route.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Its name, as people see it.
    pub(crate) name: String,
    /// Which files it takes.
    pub(crate) rule: Rule,
    /// What they are given to.
    pub(crate) processor: String,
    /// Whether they are jobs.
    pub(crate) is_job: bool,
    /// Within what.
    pub(crate) bounds: Bounds,
}

/// Within what a route's files are processed; none for what the server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bounds {
    /// How many at once; at least one.
    pub(crate) concurrency: Option<usize>,
    /// The longest run.
    pub(crate) timeout: Option<Duration>,
    /// The most attempts.
    pub(crate) max_attempts: Option<u32>,
    /// The least wait between two attempts.
    pub(crate) backoff: Option<Duration>,
}

impl RouteSettings {
    /// What names a Lambda function that a job could be given to; none if there is none.
    pub(super) fn function_of_a_job(
        &self,
        default: &FunctionSettings,
        job: &JobSettings,
    ) -> Option<String> {
        let default = default.function.value.is_some().then_some("--function");
        let of_name = |name: &str| match self.processors.get(name) {
            Some(processor) => processor
                .function
                .function
                .value
                .is_some()
                .then(|| format!("the function of the processor {name}")),
            None if name == DEFAULT => default.map(str::to_owned),
            None => None,
        };
        let is_any_large_one = job.from_bytes.value.is_some();
        let of_routes = self
            .routes
            .iter()
            .filter(|route| route.is_job || is_any_large_one)
            .find_map(|route| of_name(&route.processor));
        of_routes.or_else(|| of_name(DEFAULT).filter(|_| is_any_large_one))
    }
}

/// Takes the routes and processors out of the file's table. With a problem, that one is left out.
pub(super) fn take(table: &mut toml::Table, file: Option<&Path>) -> (RouteSettings, Vec<String>) {
    let mut settings = RouteSettings::default();
    let mut problems = Vec::new();
    let (processors, routes) = (table.remove("processor"), table.remove("route"));
    let Some(file) = file else {
        return (settings, problems);
    };
    let mut say = |what: &str, problem: String| {
        problems.push(format!("{what} in {}: {problem}", file.display()));
    };
    match processors {
        None => {}
        Some(toml::Value::Table(entries)) => {
            for (name, entry) in entries {
                match processor(&name, entry, file) {
                    Ok(processor) => _ = settings.processors.insert(name, processor),
                    Err(problem) => say(&format!("processor {name}"), problem),
                }
            }
        }
        Some(_) => say(
            "processor",
            "must be tables of their own, [processor.NAME]".to_owned(),
        ),
    }
    match routes {
        None => {}
        Some(toml::Value::Array(entries)) if entries.len() <= ROUTES_MAX => {
            let mut names = BTreeSet::new();
            for (number, entry) in entries.into_iter().enumerate() {
                match route(entry, &settings.processors) {
                    Ok(route) if names.insert(route.name.clone()) => settings.routes.push(route),
                    Ok(route) => say(
                        &format!("route {}", number + 1),
                        format!("there is a route {} already", route.name),
                    ),
                    Err(problem) => say(&format!("route {}", number + 1), problem),
                }
            }
        }
        Some(toml::Value::Array(_)) => say("route", format!("there are more than {ROUTES_MAX}")),
        Some(_) => say("route", "must be a table of its own, [[route]]".to_owned()),
    }
    for name in settings.processors.keys() {
        if !settings.routes.iter().any(|route| route.processor == *name) {
            say(
                &format!("processor {name}"),
                "no route leads to it".to_owned(),
            );
        }
    }
    (settings, problems)
}

fn processor(name: &str, entry: toml::Value, file: &Path) -> Result<ProcessorSettings, String> {
    if [DEFAULT, DESCRIBE].contains(&name) {
        return Err("the name is taken".to_owned());
    }
    let toml::Value::Table(table) = entry else {
        return Err("must be a table".to_owned());
    };
    let (flags, environment) = (Flags::default(), Environment(BTreeMap::new()));
    let mut sources = Sources::new(&flags, &environment, Some(file), table);
    let function = FunctionSettings::of(&mut sources);
    let command = CommandSettings::of(&mut sources);
    sources.refuse_unknown_names();
    let settings = match (function, command) {
        (Some(function), Some(command)) => {
            match (&function.function.value, &command.command.value) {
                (None, None) => sources
                    .problem("it says not what runs; give it a function or a command".to_owned()),
                (Some(_), Some(_)) => sources.problem(BOTH.to_owned()),
                _ => {}
            }
            Some(ProcessorSettings { function, command })
        }
        _ => None,
    };
    sources
        .finish(settings)
        .map_err(|failure| failure.to_string())
}

fn route(
    entry: toml::Value,
    processors: &BTreeMap<String, ProcessorSettings>,
) -> Result<Route, String> {
    let toml::Value::Table(table) = entry else {
        return Err("must be a table".to_owned());
    };
    let mut entry = Entry(table);
    let name = entry.text("name")?.ok_or("has no name")?;
    let processor = entry.text("processor")?.ok_or("has no processor")?;
    let built_in = [DEFAULT, DESCRIBE];
    if !built_in.contains(&&*processor) && !processors.contains_key(&processor) {
        let known = built_in
            .into_iter()
            .chain(processors.keys().map(|it| &**it));
        return Err(format!(
            "there is no processor {processor}; there are {}",
            known.collect::<Vec<_>>().join(", ")
        ));
    }
    let rule = Rule {
        keys: entry.texts("key", KeyPattern::parse)?,
        types: entry.texts("type", |text| {
            FromStr::from_str(text).map_err(|error: two_buckets_uploads::InvalidMediaRange| {
                format!("{text:?}: {error}")
            })
        })?,
        size_bytes_min: entry.number("size_min", 0, u64::MAX)?,
        size_bytes_max: entry.number("size_max", 0, u64::MAX)?,
    };
    if let (Some(min), Some(max)) = (rule.size_bytes_min, rule.size_bytes_max)
        && min > max
    {
        return Err(format!(
            "size_min is {min} and size_max {max}: nothing is between"
        ));
    }
    let is_job = match entry.text("as")?.as_deref() {
        None => false,
        Some("job") => true,
        Some(other) => return Err(format!("as is {other:?}; it can be \"job\" only")),
    };
    let at_most =
        |number: Option<u64>| number.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let bounds = Bounds {
        concurrency: at_most(entry.number("concurrency", 1, WORKERS_MAX as u64)?),
        timeout: entry
            .number("timeout_s", 1, TIMEOUT_S_MAX)?
            .map(Duration::from_secs),
        max_attempts: entry
            .number("max_attempts", 1, u64::from(MAX_ATTEMPTS_MAX))?
            .and_then(|number| u32::try_from(number).ok()),
        backoff: entry
            .number("backoff_s", 0, BACKOFF_S_MAX)?
            .map(Duration::from_secs),
    };
    entry.finish()?;
    if is_job && bounds.concurrency.is_some() {
        return Err(
            "concurrency is of files in the server's own workers; how many jobs run at once is said by job_concurrency for all of them"
                .to_owned(),
        );
    }
    Ok(Route {
        name,
        rule,
        processor,
        is_job,
        bounds,
    })
}

/// What is left to read of a route.
struct Entry(toml::Table);

impl Entry {
    const NAMES: &str = "name, key, type, size_min, size_max, processor, as, concurrency, timeout_s, max_attempts, backoff_s";

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(format!("{name} is no text, or an empty one")),
        }
    }

    /// A text or a list of texts.
    fn texts<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        match self.0.remove(name) {
            None => Ok(Vec::new()),
            Some(toml::Value::String(text)) => Ok(vec![parse(&text)?]),
            Some(toml::Value::Array(values)) if !values.is_empty() => values
                .iter()
                .map(|value| {
                    value
                        .as_str()
                        .ok_or_else(|| format!("{name} has {}, not a text", value.type_str()))
                        .and_then(&parse)
                })
                .collect(),
            Some(_) => Err(format!("{name} is no text and no list of texts")),
        }
    }

    fn number(&mut self, name: &str, min: u64, max: u64) -> Result<Option<u64>, String> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(toml::Value::Integer(number)) => match u64::try_from(number) {
                Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
                _ => Err(format!("{name} is {number}, not from {min} to {max}")),
            },
            Some(other) => Err(format!(
                "{name} is {}, not a whole number",
                other.type_str()
            )),
        }
    }

    fn finish(self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(format!(
                "{unknown} means nothing; there are {}",
                Self::NAMES
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (RouteSettings, Vec<String>) {
        let mut table = text.parse().unwrap();
        let taken = take(&mut table, Some(Path::new("config.toml")));
        assert!(table.is_empty());
        taken
    }

    #[test]
    fn routes_keep_their_order_and_their_bounds() {
        let (settings, problems) = taken(
            "[processor.thumbs]\nfunction = 'thumbs.py'\nfunction_timeout_s = 7\n\
             [[route]]\nname = 'photos'\nkey = ['photos/**', '*.jpg']\ntype = 'image/*'\nsize_max = 5\nprocessor = 'thumbs'\n\
             concurrency = 2\ntimeout_s = 3\nmax_attempts = 4\nbackoff_s = 0\n\
             [[route]]\nname = 'rest'\nprocessor = 'describe'\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let names: Vec<_> = settings.routes.iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["photos", "rest"]);
        assert_eq!(
            settings.routes[0].bounds,
            Bounds {
                concurrency: Some(2),
                timeout: Some(Duration::from_secs(3)),
                max_attempts: Some(4),
                backoff: Some(Duration::ZERO),
            }
        );
        assert_eq!(settings.routes[1].bounds, Bounds::default());
        let thumbs = &settings.processors["thumbs"];
        assert_eq!(thumbs.function.timeout.value, Duration::from_secs(7));
    }

    #[test]
    fn whatever_is_wrong_is_said_with_the_route_or_processor_it_is_in() {
        for (text, words) in [
            ("route = 1", "[[route]]"),
            ("processor = 1", "[processor.NAME]"),
            (
                "[[route]]\nprocessor = 'describe'",
                "route 1 in config.toml: has no name",
            ),
            ("[[route]]\nname = 'a'", "has no processor"),
            (
                "[[route]]\nname = 'a'\nprocessor = 'none'",
                "there is no processor none; there are default, describe",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\nkey = 'a['",
                "a[",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\ntype = 'image'",
                "media range",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\nsize_min = 2\nsize_max = 1",
                "nothing is between",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\nsize_min = -2",
                "size_min",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\nkeys = 'x'",
                "keys means nothing",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\nas = 'batch'",
                "it can be \"job\" only",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\nas = 'job'\nconcurrency = 2",
                "job_concurrency",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\nconcurrency = 0",
                "concurrency",
            ),
            (
                "[[route]]\nname = 'a'\nprocessor = 'default'\n[[route]]\nname = 'a'\nprocessor = 'default'",
                "route 2",
            ),
            ("[processor.x]\nfunction = 'a.py'", "no route leads to it"),
            (
                "[processor.describe]\nfunction = 'a.py'",
                "the name is taken",
            ),
            (
                "[processor.x]\nfunctions = 'a.py'\n[[route]]\nname='a'\nprocessor='x'",
                "functions",
            ),
        ] {
            let (_, problems) = taken(text);
            assert!(
                problems.iter().any(|problem| problem.contains(words)),
                "{text}: {problems:?}"
            );
        }
    }
}
