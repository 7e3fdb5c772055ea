//! The settings: found in flags, the environment, a file or the defaults, in that order, and checked once.
//!
//! Each keeps where it came from, for `two-buckets config`. Every problem is listed, not only the first.

mod origin;
mod roles;
mod sources;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use two_buckets_objects::BucketName;
use two_buckets_s3_api::Role;

pub(crate) use origin::{Origin, Setting};
pub(crate) use sources::{Environment, Flags};
use sources::{Sources, read_file};

use crate::failure::Failure;

/// The most files processed at once; each holds a thread or a child process.
const WORKERS_MAX: usize = 1024;
/// The most attempts; beyond, a file that cannot be processed would stay pending for good.
const MAX_ATTEMPTS_MAX: u32 = 1000;
/// The longest grace; S3 clients that look again do so within seconds.
const JUST_MOVED_GRACE_S_MAX: u64 = 3600;
/// The longest time between sweeps; a lost wake-up is only found by a sweep.
const SWEEP_INTERVAL_S_MAX: u64 = 24 * 3600;
/// The logs written unless said otherwise. s3s logs each refused request as an error; ours are answered, and told at
/// debug level, by `s3-api`.
const LOG_DEFAULT: &str = "info,s3s=off";

/// How to write logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings, each within its limits.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The configuration file that was read, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// The data folder.
    pub(crate) data: Setting<PathBuf>,
    /// Where S3 listens; a loopback address.
    pub(crate) s3: Setting<SocketAddr>,
    /// Where the page and its API listen; a loopback address.
    pub(crate) web: Setting<SocketAddr>,
    /// The bucket that files come into.
    pub(crate) staging: Setting<BucketName>,
    /// The bucket that keeps them; never the same.
    pub(crate) archive: Setting<BucketName>,
    /// The region S3 says it is.
    pub(crate) region: Setting<String>,
    /// How many files are processed at once; 1 to 1,024.
    pub(crate) workers: Setting<usize>,
    /// How often a file is tried; 1 to 1,000.
    pub(crate) max_attempts: Setting<u32>,
    /// The time between sweeps; 1 s to a day.
    pub(crate) sweep_interval: Setting<Duration>,
    /// How long a file just archived can still be read from staging; to an hour, and 0 for not at all.
    pub(crate) just_moved_grace: Setting<Duration>,
    /// Roles beside the uploader's, by `[[role]]` in the file.
    pub(crate) roles: Setting<Vec<Role>>,
    /// How to write logs.
    pub(crate) log_format: Setting<LogFormat>,
    /// Which logs to write, in the words of `tracing_subscriber::EnvFilter`.
    pub(crate) log: Setting<String>,
}

impl Settings {
    /// Finds and checks the settings. Reads the configuration file and the policies it names.
    pub(crate) fn resolve(flags: &Flags, environment: &Environment) -> Result<Self, Failure> {
        let (file, mut table) = read_file(flags, environment)?;
        let (roles, role_problems) = roles::take(&mut table, file.as_deref());
        let mut sources = Sources::new(flags, environment, file.as_deref(), table);
        let data = sources.setting("data", folder, default_data_folder());
        let s3 = sources.setting(
            "s3",
            loopback,
            Some(SocketAddr::from(([127, 0, 0, 1], 9000))),
        );
        let web = sources.setting(
            "web",
            loopback,
            Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
        );
        let staging = sources.setting("staging", bucket, "staging".parse().ok());
        let archive = sources.setting("archive", bucket, "archive".parse().ok());
        let region = sources.setting("region", region, Some("us-east-1".to_owned()));
        let workers = sources.setting(
            "workers",
            |text| number(text, 1, WORKERS_MAX),
            Some(default_workers()),
        );
        let max_attempts = sources.setting(
            "max-attempts",
            |text| number(text, 1, MAX_ATTEMPTS_MAX),
            Some(5),
        );
        let sweep_interval = sources.setting(
            "sweep-interval-s",
            |text| seconds(text, 1, SWEEP_INTERVAL_S_MAX),
            Some(Duration::from_mins(1)),
        );
        let just_moved_grace = sources.setting(
            "just-moved-grace-s",
            |text| seconds(text, 0, JUST_MOVED_GRACE_S_MAX),
            Some(Duration::from_secs(5)),
        );
        let log_format = sources.setting("log-format", log_format, Some(LogFormat::Text));
        let log = sources.setting("log", log_filter, Some(LOG_DEFAULT.to_owned()));
        sources.refuse_unknown_names();
        for problem in role_problems {
            sources.problem(problem);
        }
        if let (Some(staging), Some(archive)) = (&staging, &archive)
            && staging.value == archive.value
        {
            sources.problem(format!(
                "the staging and the archive bucket are both {}; give one of them another name",
                staging.value
            ));
        }
        if let (Some(s3), Some(web)) = (&s3, &web)
            && s3.value == web.value
            && s3.value.port() != 0
        {
            sources.problem(format!(
                "S3 and the page would both listen at {}; give one of them another port",
                s3.value
            ));
        }
        let settings = (|| {
            Some(Self {
                data: data?,
                s3: s3?,
                web: web?,
                staging: staging?,
                archive: archive?,
                region: region?,
                workers: workers?,
                max_attempts: max_attempts?,
                sweep_interval: sweep_interval?,
                just_moved_grace: just_moved_grace?,
                roles,
                log_format: log_format?,
                log: log?,
                file: file.clone(),
            })
        })();
        sources.finish(settings)
    }

    /// Each setting as name, value and origin, in the order of the documentation.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String, &Origin)> {
        vec![
            (
                "data",
                self.data.value.display().to_string(),
                &self.data.origin,
            ),
            ("s3", self.s3.value.to_string(), &self.s3.origin),
            ("web", self.web.value.to_string(), &self.web.origin),
            (
                "staging",
                self.staging.value.to_string(),
                &self.staging.origin,
            ),
            (
                "archive",
                self.archive.value.to_string(),
                &self.archive.origin,
            ),
            ("region", self.region.value.clone(), &self.region.origin),
            (
                "workers",
                self.workers.value.to_string(),
                &self.workers.origin,
            ),
            (
                "max-attempts",
                self.max_attempts.value.to_string(),
                &self.max_attempts.origin,
            ),
            (
                "sweep-interval-s",
                self.sweep_interval.value.as_secs().to_string(),
                &self.sweep_interval.origin,
            ),
            (
                "just-moved-grace-s",
                self.just_moved_grace.value.as_secs().to_string(),
                &self.just_moved_grace.origin,
            ),
            (
                "role",
                self.roles
                    .value
                    .iter()
                    .map(|role| role.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
                &self.roles.origin,
            ),
            (
                "log-format",
                match self.log_format.value {
                    LogFormat::Text => "text".to_owned(),
                    LogFormat::Json => "json".to_owned(),
                },
                &self.log_format.origin,
            ),
            ("log", self.log.value.clone(), &self.log.origin),
        ]
    }
}

/// `two-buckets` in the user's own data folder.
fn default_data_folder() -> Option<PathBuf> {
    dirs::data_dir().map(|folder| folder.join("two-buckets"))
}

fn default_workers() -> usize {
    // Twice the processors: a function waits for the disk about as long as it computes.
    std::thread::available_parallelism().map_or(4, |n| (n.get() * 2).min(WORKERS_MAX))
}

fn folder(text: &OsStr) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("must name a folder".to_owned());
    }
    std::path::absolute(text).map_err(|error| error.to_string())
}

fn loopback(text: &OsStr) -> Result<SocketAddr, String> {
    let text = utf8(text)?;
    let address: SocketAddr = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    }
    .parse()
    .map_err(|_| format!("{text:?} is no address; write it as 127.0.0.1:9000"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!(
            "{address} can be reached from other machines, which is refused as long as callers cannot be authenticated; use 127.0.0.1"
        ))
    }
}

fn bucket(text: &OsStr) -> Result<BucketName, String> {
    let text = utf8(text)?;
    text.parse()
        .map_err(|error: two_buckets_objects::InvalidName| format!("{text:?}: {error}"))
}

fn region(text: &OsStr) -> Result<String, String> {
    let text = utf8(text)?;
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no region; write lower-case letters, digits and hyphens"
        ))
    }
}

fn number<T>(text: &OsStr, min: T, max: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    let text = utf8(text)?;
    match text.parse() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err(format!(
            "{text:?} is not a whole number from {min} to {max}"
        )),
    }
}

fn seconds(text: &OsStr, min: u64, max: u64) -> Result<Duration, String> {
    number(text, min, max).map(Duration::from_secs)
}

fn log_format(text: &OsStr) -> Result<LogFormat, String> {
    match utf8(text)? {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("{other:?} is neither text nor json")),
    }
}

fn log_filter(text: &OsStr) -> Result<String, String> {
    let text = utf8(text)?;
    text.parse::<tracing_subscriber::EnvFilter>()
        .map(|_| text.to_owned())
        .map_err(|error| format!("{text:?}: {error}"))
}

fn utf8(text: &OsStr) -> Result<&str, String> {
    text.to_str().ok_or_else(|| "is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Environment, Flags, Origin, Settings};

    fn check(
        flags: &[(&'static str, &str)],
        environment: &[(&str, &str)],
        file: &str,
    ) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, file).unwrap();
        let flags = Flags {
            config_file: Some(path),
            values: flags
                .iter()
                .map(|(name, value)| (*name, (*value).into()))
                .collect(),
        };
        let environment = Environment(
            environment
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect::<BTreeMap<_, _>>(),
        );
        Settings::resolve(&flags, &environment).map_err(|failure| {
            assert_eq!(failure.code(), 2);
            failure.to_string()
        })
    }

    #[test]
    fn a_flag_comes_before_the_environment_before_the_file_before_the_default() {
        let settings = check(
            &[("staging", "by-flag")],
            &[
                ("TWO_BUCKETS_STAGING", "by-environment"),
                ("TWO_BUCKETS_ARCHIVE", "archive-by-environment"),
            ],
            "staging = 'by-file'\narchive = 'archive-by-file'\nsweep_interval_s = 7\n",
        )
        .unwrap();
        assert_eq!(settings.staging.value.as_str(), "by-flag");
        assert_eq!(settings.staging.origin, Origin::Flag("staging"));
        assert_eq!(settings.archive.value.as_str(), "archive-by-environment");
        assert_eq!(
            settings.archive.origin,
            Origin::Environment("TWO_BUCKETS_ARCHIVE".to_owned())
        );
        assert_eq!(settings.sweep_interval.value.as_secs(), 7);
        assert!(matches!(settings.sweep_interval.origin, Origin::File(_)));
        assert_eq!(settings.max_attempts.origin, Origin::Default);
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let problems = check(
            &[("s3", "0.0.0.0:9000"), ("workers", "0")],
            &[("TWO_BUCKETS_STAGING", "No Bucket")],
            "nonsense = 1\narchive = ['x']\n",
        )
        .unwrap_err();
        for named in [
            "--s3",
            "--workers",
            "TWO_BUCKETS_STAGING",
            "nonsense",
            "archive",
        ] {
            assert!(problems.contains(named), "{named} in {problems}");
        }
    }

    #[test]
    fn only_loopback_can_be_listened_on() {
        for address in ["127.0.0.1:1", "127.3.2.1:1", "[::1]:1", "localhost:1"] {
            check(&[("s3", address)], &[], "").unwrap();
        }
        for address in [
            "0.0.0.0:1",
            "[::]:1",
            "192.168.1.1:1",
            "example.org:1",
            "127.0.0.1",
        ] {
            check(&[("s3", address)], &[], "").unwrap_err();
        }
    }

    #[test]
    fn the_two_buckets_are_two() {
        let problem = check(&[("staging", "one"), ("archive", "one")], &[], "").unwrap_err();
        assert!(problem.contains("one"), "{problem}");
    }
}
