//! The settings: found in flags, the environment, a file or the defaults, in that order, and checked once.
//!
//! Each keeps where it came from, for `two-buckets config`. Every problem is listed, not only the first.

mod aws;
mod callers;
mod command;
mod function;
mod job;
mod notifications;
mod origin;
mod reach;
mod roles;
mod routes;
mod sources;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use two_buckets_objects::BucketName;
use two_buckets_pipeline::DynProcessor;
use two_buckets_s3_api::Role;
use two_buckets_uploads::{Algorithm, ClaimName, WebOrigin};

pub(crate) use aws::AwsSettings;
pub(crate) use callers::CallerSettings;
pub(crate) use command::CommandSettings;
pub(crate) use function::FunctionSettings;
pub(crate) use job::JobSettings;
pub(crate) use notifications::{NotificationTarget, Secret, Sender, TargetKind};
pub(crate) use origin::{Origin, Setting};
use reach::Exposure;
pub(crate) use reach::Reach;
pub(crate) use routes::{Bounds, DEFAULT, DESCRIBE, Route, RouteSettings};
#[cfg(feature = "aws")]
pub(crate) use sources::BATCH_JOB;
pub(crate) use sources::{Environment, Flags};
use sources::{Sources, read_file};

use crate::failure::Failure;

/// The most files processed at once; each holds a thread or a child process.
const WORKERS_MAX: usize = 1024;
/// The most attempts; beyond, a file that cannot be processed would stay pending for good.
const MAX_ATTEMPTS_MAX: u32 = 1000;
/// The longest grace; S3 clients that look again do so within seconds.
const JUST_MOVED_GRACE_S_MAX: u64 = 3600;
/// A century.
const HISTORY_DAYS_MAX: u32 = 36_500;
/// About a gigabyte of rows.
const HISTORY_MAX_DEFAULT: u64 = 1_000_000;
/// The longest that parts of an upload nobody completed are kept: ten years.
const ABORT_INCOMPLETE_DAYS_MAX: u32 = 3650;
/// The longest time between sweeps; a lost wake-up is only found by a sweep.
const SWEEP_INTERVAL_S_MAX: u64 = 24 * 3600;
/// The most connections of one client address; the listeners take no more in all.
const CONNECTIONS_PER_CLIENT_MAX: usize = 1024;
/// How many calls a caller may make in a minute unless said otherwise: a page that sends a file in parts makes some ten
/// a second, and twenty people behind one name still have room.
const REQUESTS_PER_MINUTE: u32 = 6000;
/// The highest rate; beyond, a limit is none.
const PER_MINUTE_MAX: u32 = 10_000_000;
/// The logs written unless said otherwise. s3s logs each refused request as an error; ours are answered, and told at
/// debug level, by `s3-api`.
const LOG_DEFAULT: &str = "info,s3s=off";

/// Why nothing is run where two things are named.
const BOTH: &str = "a function and a command are given; only one of them can run on a file";

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
    /// Where S3 listens.
    pub(crate) s3: Setting<SocketAddr>,
    /// Where the page and its API listen.
    pub(crate) web: Setting<SocketAddr>,
    /// How both are reached; safe as it is.
    pub(crate) reach: Reach,
    /// Who may call the page's API.
    pub(crate) callers: CallerSettings,
    /// The function that runs on each file.
    pub(crate) function: FunctionSettings,
    /// The program that runs on each file, if one is brought.
    pub(crate) command: CommandSettings,
    /// Which files are jobs, and within what those run.
    pub(crate) job: JobSettings,
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
    /// After how many days the parts of an upload that nobody completed are removed; 1 to 3,650.
    pub(crate) abort_incomplete_days: Setting<u32>,
    /// The rules for faults to switch on at the start, if any.
    pub(crate) faults: Setting<Option<PathBuf>>,
    /// How many days after its end an upload's row is kept; 1 to 36,500.
    pub(crate) history_days: Setting<u32>,
    /// How many rows of uploads that have ended well are kept.
    pub(crate) history_max: Setting<u64>,
    /// Which processor a file is given to, by `[[route]]` in the file.
    pub(crate) routes: RouteSettings,
    /// Roles beside the uploader's, by `[[role]]` in the file.
    pub(crate) roles: Setting<Vec<Role>>,
    /// Where a deployment on AWS has its parts.
    pub(crate) aws: AwsSettings,
    /// Where events of buckets can be sent, by `[notifications.NAME]` in the file.
    pub(crate) notifications: Setting<Vec<NotificationTarget>>,
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
        let (routes, route_problems) = routes::take(&mut table, file.as_deref());
        let notifications = table.remove(notifications::ENTRY);
        let mut sources = Sources::new(flags, environment, file.as_deref(), table);
        let data = sources.setting("data", folder, default_data_folder());
        let s3 = sources.setting(
            "s3",
            address,
            Some(SocketAddr::from(([127, 0, 0, 1], 9000))),
        );
        let web = sources.setting(
            "web",
            address,
            Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
        );
        let reach = Self::reach(&mut sources);
        let callers = Self::callers(&mut sources);
        let function = FunctionSettings::of(&mut sources);
        let command = CommandSettings::of(&mut sources);
        let job = JobSettings::of(&mut sources);
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
        let abort_incomplete_days = sources.setting(
            "abort-incomplete-days",
            |text| number(text, 1, ABORT_INCOMPLETE_DAYS_MAX),
            Some(7),
        );
        let faults = sources.setting("faults", optional_path, Some(None));
        let history_days = sources.setting(
            "history-days",
            |text| number(text, 1, HISTORY_DAYS_MAX),
            Some(90),
        );
        let history_max = sources.setting(
            "history-max",
            |text| number(text, 0, u64::MAX),
            Some(HISTORY_MAX_DEFAULT),
        );
        let aws = AwsSettings::of(&mut sources);
        let log_format = sources.setting("log-format", log_format, Some(LogFormat::Text));
        let log = sources.setting("log", log_filter, Some(LOG_DEFAULT.to_owned()));
        let server_region = region.as_ref().map_or("", |region| &region.value);
        let (notifications, notification_problems) =
            notifications::take(notifications, file.as_deref(), environment, server_region);
        sources.refuse_unknown_names();
        for problem in role_problems
            .into_iter()
            .chain(route_problems)
            .chain(notification_problems)
        {
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
        if let (Some(s3), Some(web), Some(reach), Some(callers)) = (&s3, &web, &reach, &callers) {
            let exposure = Exposure {
                s3: s3.value,
                web: web.value,
                s3_url: reach.s3_url.value.as_ref(),
                web_url: reach.web_url.value.as_ref(),
                has_tls: reach.has_tls(),
                is_behind_proxy: !reach.behind_proxy.value.is_empty(),
                knows_callers: callers.are_known(),
            };
            for problem in exposure.problems().into_iter().chain(callers.problems()) {
                sources.problem(problem);
            }
            if reach.tls_cert.value.is_some() != reach.tls_key.value.is_some() {
                sources.problem("--tls-cert and --tls-key are given together".to_owned());
            }
        }
        if let (Some(function), Some(command)) = (&function, &command)
            && function.function.value.is_some()
            && command.command.value.is_some()
        {
            sources.problem(BOTH.to_owned());
        }
        let settings = (|| {
            Some(Self {
                data: data?,
                s3: s3?,
                web: web?,
                reach: reach?,
                callers: callers?,
                function: function?,
                command: command?,
                job: job?,
                staging: staging?,
                archive: archive?,
                region: region?,
                workers: workers?,
                max_attempts: max_attempts?,
                sweep_interval: sweep_interval?,
                just_moved_grace: just_moved_grace?,
                abort_incomplete_days: abort_incomplete_days?,
                faults: faults?,
                history_days: history_days?,
                history_max: history_max?,
                routes,
                roles,
                notifications,
                aws: aws?,
                log_format: log_format?,
                log: log?,
                file: file.clone(),
            })
        })();
        sources.finish(settings)
    }

    fn reach(sources: &mut Sources<'_>) -> Option<Reach> {
        let s3_url = sources.setting("s3-url", optional(origin), Some(None));
        let web_url = sources.setting("web-url", optional(origin), Some(None));
        let tls_cert = sources.setting("tls-cert", optional_path, Some(None));
        let tls_key = sources.setting("tls-key", optional_path, Some(None));
        let behind_proxy = sources.setting("behind-proxy", list(parsed), Some(Vec::new()));
        let allow_origin = sources.setting("allow-origin", list(origin), Some(Vec::new()));
        let connections_per_client = sources.setting(
            "connections-per-client",
            |text| number(text, 1, CONNECTIONS_PER_CLIENT_MAX).map(Some),
            Some(None),
        );
        Some(Reach {
            s3_url: s3_url?,
            web_url: web_url?,
            tls_cert: tls_cert?,
            tls_key: tls_key?,
            behind_proxy: behind_proxy?,
            allow_origin: allow_origin?,
            connections_per_client: connections_per_client?,
        })
    }

    fn callers(sources: &mut Sources<'_>) -> Option<CallerSettings> {
        let token_file = sources.setting("token-file", optional_path, Some(None));
        let oidc_issuer = sources.setting("oidc-issuer", optional(callers::issuer_url), Some(None));
        let oidc_audience = sources.setting("oidc-audience", optional(audience), Some(None));
        let oidc_jwks_url =
            sources.setting("oidc-jwks-url", optional(callers::issuer_url), Some(None));
        let oidc_algorithms = sources.setting(
            "oidc-algorithms",
            list(parsed),
            Some(Algorithm::DEFAULT.to_vec()),
        );
        let oidc_prefix_claim = sources.setting("oidc-prefix-claim", optional(parsed), Some(None));
        let oidc_admin_claim = sources.setting(
            "oidc-admin-claim",
            optional(callers::admin_claim),
            Some(None),
        );
        let requests_per_minute = sources.setting(
            "requests-per-minute",
            |text| number(text, 1, PER_MINUTE_MAX),
            Some(REQUESTS_PER_MINUTE),
        );
        let upload_size_max = sources.setting(
            "upload-size-max",
            |text| number(text, 1, u64::MAX).map(Some),
            Some(None),
        );
        let upload_types = sources.setting("upload-types", list(parsed), Some(Vec::new()));
        let uploads_per_minute = sources.setting(
            "uploads-per-minute",
            |text| number(text, 1, PER_MINUTE_MAX).map(Some),
            Some(None),
        );
        Some(CallerSettings {
            token_file: token_file?,
            oidc_issuer: oidc_issuer?,
            oidc_audience: oidc_audience?,
            oidc_jwks_url: oidc_jwks_url?,
            oidc_algorithms: oidc_algorithms?,
            oidc_prefix_claim: oidc_prefix_claim?,
            oidc_admin_claim: oidc_admin_claim?,
            requests_per_minute: requests_per_minute?,
            upload_size_max: upload_size_max?,
            upload_types: upload_types?,
            uploads_per_minute: uploads_per_minute?,
        })
    }

    /// Whether commands speak to a deployment on AWS: where one is named, unless a data folder is typed and it is not.
    pub(crate) fn is_on_aws(&self) -> bool {
        let is_data_typed = matches!(self.data.origin, Origin::Flag(_));
        self.aws.are_named(is_data_typed)
    }

    /// What stands for all that says how files are processed: the same for a server and its jobs, and another once
    /// something was changed. Nobody can tell from it what the settings are.
    pub(crate) fn digest(&self) -> String {
        let elsewhere = [
            "data",
            "s3",
            "web",
            "faults",
            "log",
            "log-format",
            "history-days",
            "history-max",
            "notifications",
            "stack",
            "ledger-table",
            "ledger-shards",
            "queue-url",
        ];
        let rows: Vec<_> = self
            .rows()
            .into_iter()
            .filter(|(name, ..)| !elsewhere.contains(name))
            .map(|(name, value, _)| (name, value))
            .collect();
        let variables = (
            &self.function.variables.value,
            &self.command.variables.value,
        );
        let all = format!(
            "{rows:?} {variables:?} {:?} {:?}",
            self.routes, self.roles.value
        );
        hex::encode(Sha256::digest(all))
    }

    /// Has as many files in work at once as the program's own processor likes, where nobody says how many and all of them
    /// go to it, in the embedded store.
    pub(crate) fn suit(&mut self, processor: &dyn DynProcessor) {
        let goes_to_it = self.function.function.value.is_none()
            && self.command.command.value.is_none()
            && self.routes.routes.is_empty()
            && !self.is_on_aws();
        if let (Origin::Default, true, Some(workers)) = (
            &self.workers.origin,
            goes_to_it,
            processor.concurrency_boxed(),
        ) {
            self.workers.value = workers.clamp(1, WORKERS_MAX);
        }
    }

    /// Each setting as name, value and origin, in the order of the documentation.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String, &Origin)> {
        let mut rows = self.rows_of_the_server();
        let behind = rows
            .iter()
            .position(|(name, ..)| *name == "staging")
            .unwrap_or(rows.len());
        let brought = self
            .function
            .rows()
            .into_iter()
            .chain(self.command.rows())
            .chain(self.job.rows());
        rows.splice(behind..behind, brought);
        let last = rows.iter().position(|(name, ..)| *name == "log-format");
        let last = last.unwrap_or(rows.len());
        rows.splice(last..last, self.aws.rows());
        rows
    }

    fn rows_of_the_server(&self) -> Vec<(&'static str, String, &Origin)> {
        vec![
            (
                "data",
                self.data.value.display().to_string(),
                &self.data.origin,
            ),
            ("s3", self.s3.value.to_string(), &self.s3.origin),
            ("web", self.web.value.to_string(), &self.web.origin),
            optional_row("s3-url", &self.reach.s3_url, WebOrigin::to_string),
            optional_row("web-url", &self.reach.web_url, WebOrigin::to_string),
            optional_row("tls-cert", &self.reach.tls_cert, |path| {
                path.display().to_string()
            }),
            optional_row("tls-key", &self.reach.tls_key, |path| {
                path.display().to_string()
            }),
            list_row("behind-proxy", &self.reach.behind_proxy),
            list_row("allow-origin", &self.reach.allow_origin),
            optional_row(
                "connections-per-client",
                &self.reach.connections_per_client,
                usize::to_string,
            ),
            optional_row("token-file", &self.callers.token_file, |path| {
                path.display().to_string()
            }),
            optional_row("oidc-issuer", &self.callers.oidc_issuer, String::clone),
            optional_row("oidc-audience", &self.callers.oidc_audience, String::clone),
            optional_row("oidc-jwks-url", &self.callers.oidc_jwks_url, String::clone),
            list_row("oidc-algorithms", &self.callers.oidc_algorithms),
            optional_row(
                "oidc-prefix-claim",
                &self.callers.oidc_prefix_claim,
                ClaimName::to_string,
            ),
            optional_row(
                "oidc-admin-claim",
                &self.callers.oidc_admin_claim,
                |(claim, value)| format!("{claim}={value}"),
            ),
            (
                "requests-per-minute",
                self.callers.requests_per_minute.value.to_string(),
                &self.callers.requests_per_minute.origin,
            ),
            optional_row(
                "upload-size-max",
                &self.callers.upload_size_max,
                u64::to_string,
            ),
            list_row("upload-types", &self.callers.upload_types),
            optional_row(
                "uploads-per-minute",
                &self.callers.uploads_per_minute,
                u32::to_string,
            ),
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
                "abort-incomplete-days",
                self.abort_incomplete_days.value.to_string(),
                &self.abort_incomplete_days.origin,
            ),
            optional_row("faults", &self.faults, |path| path.display().to_string()),
            (
                "history-days",
                self.history_days.value.to_string(),
                &self.history_days.origin,
            ),
            (
                "history-max",
                self.history_max.value.to_string(),
                &self.history_max.origin,
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
                "notifications",
                self.notifications
                    .value
                    .iter()
                    .map(|target| format!("{} {}", target.kind.word(), target.arns[0]))
                    .collect::<Vec<_>>()
                    .join(", "),
                &self.notifications.origin,
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

fn address(text: &OsStr) -> Result<SocketAddr, String> {
    let text = utf8(text)?;
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    }
    .parse()
    .map_err(|_| format!("{text:?} is no address; write it as 127.0.0.1:9000"))
}

/// A row of a setting that may be none; nothing stands there then.
fn optional_row<'a, T>(
    name: &'static str,
    setting: &'a Setting<Option<T>>,
    shown: impl FnOnce(&T) -> String,
) -> (&'static str, String, &'a Origin) {
    let value = setting.value.as_ref().map_or_else(String::new, shown);
    (name, value, &setting.origin)
}

fn list_row<'a, T: ToString>(
    name: &'static str,
    setting: &'a Setting<Vec<T>>,
) -> (&'static str, String, &'a Origin) {
    let values: Vec<String> = setting.value.iter().map(T::to_string).collect();
    (name, values.join(","), &setting.origin)
}

fn optional<T>(
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> impl FnOnce(&OsStr) -> Result<Option<T>, String> {
    |text| parse(utf8(text)?).map(Some)
}

/// Values with commas between, or one a line, as a flag given more than once is joined.
fn list<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl FnOnce(&OsStr) -> Result<Vec<T>, String> {
    move |text| {
        utf8(text)?
            .split([',', '\n'])
            .map(|one| parse(one.trim()))
            .collect()
    }
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn origin(text: &str) -> Result<WebOrigin, String> {
    // People copy it from the address bar.
    text.strip_suffix('/')
        .unwrap_or(text)
        .parse()
        .map_err(|error| format!("{text:?} is no address of a server; {error}"))
}

fn audience(text: &str) -> Result<String, String> {
    if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 256 characters".to_owned())
    }
}

fn optional_path(text: &OsStr) -> Result<Option<PathBuf>, String> {
    if text.is_empty() {
        return Err("must name a file".to_owned());
    }
    std::path::absolute(text)
        .map(Some)
        .map_err(|error| error.to_string())
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

fn truth(text: &OsStr) -> Result<bool, String> {
    match utf8(text)? {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
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
        .map_err(|error| format!("{text:?}: {error}"))?;
    // Whoever does not name s3s does not mean its cries at every refused request.
    if text.contains("s3s") {
        Ok(text.to_owned())
    } else {
        Ok(format!("{text},s3s=off"))
    }
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
    fn only_loopback_can_be_listened_on_just_so() {
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
            for flag in ["s3", "web"] {
                check(&[(flag, address)], &[], "").unwrap_err();
            }
        }
    }

    #[test]
    fn a_server_for_others_is_set_up_by_a_file_and_shown() {
        let settings = check(
            &[("behind-proxy", "10.0.0.5,10.1.0.0/16")],
            &[("TWO_BUCKETS_OIDC_AUDIENCE", "two-buckets")],
            "s3 = '0.0.0.0:9000'\nweb = '0.0.0.0:8080'\nweb_url = 'https://files.example.com/'\n\
             s3_url = 'https://s3.example.com'\noidc_issuer = 'https://login.example.com/r/'\n\
             allow_origin = ['https://a.example', 'https://b.example:8443']\n\
             oidc_algorithms = 'ES256, EdDSA'\noidc_admin_claim = 'roles=keeper'\nupload_types = 'image/*'\n",
        )
        .unwrap();
        let rows = settings.rows();
        for (name, value) in [
            ("web-url", "https://files.example.com"),
            ("behind-proxy", "10.0.0.5,10.1.0.0/16"),
            ("allow-origin", "https://a.example,https://b.example:8443"),
            ("oidc-issuer", "https://login.example.com/r/"),
            ("oidc-algorithms", "ES256,EdDSA"),
            ("oidc-admin-claim", "roles=keeper"),
            ("upload-types", "image/*"),
            ("token-file", ""),
            ("requests-per-minute", "6000"),
        ] {
            let found = rows.iter().find(|row| row.0 == name).unwrap();
            assert_eq!(found.1, value, "{name}");
        }
    }

    #[test]
    fn settings_of_callers_that_contradict_each_other_are_refused() {
        for (flags, words) in [
            (
                &[("oidc-issuer", "https://a.example")][..],
                "--oidc-audience",
            ),
            (&[("oidc-audience", "x")], "--oidc-issuer"),
            (&[("oidc-prefix-claim", "tenant")], "--oidc-issuer"),
            (
                &[("oidc-issuer", "http://a.example"), ("oidc-audience", "x")],
                "https",
            ),
            (&[("oidc-algorithms", "HS256")], "HS256"),
            (&[("oidc-algorithms", "none")], "none"),
            (&[("oidc-algorithms", "")], "algorithm"),
            (&[("allow-origin", "*")], "allow-origin"),
            (
                &[("allow-origin", "https://a.example/path")],
                "allow-origin",
            ),
            (&[("behind-proxy", "proxy.example")], "behind-proxy"),
            (&[("tls-cert", "cert.pem")], "--tls-key"),
            (&[("tls-key", "key.pem")], "--tls-cert"),
            (&[("web", "0.0.0.0:1")], "--token-file"),
        ] {
            let problem = check(flags, &[], "").unwrap_err();
            assert!(problem.contains(words), "{flags:?}: {problem}");
        }
    }

    #[test]
    fn commands_speak_to_aws_where_a_deployment_is_named_and_no_data_folder_is_typed_instead() {
        let stack = ("TWO_BUCKETS_STACK", "files");
        for (flags, environment, file, is_on_aws) in [
            (&[][..], &[][..], "", false),
            (&[("stack", "files")], &[], "", true),
            (&[], &[stack], "", true),
            (&[], &[], "stack = 'files'\n", true),
            (&[], &[("TWO_BUCKETS_DATA", "/d"), stack], "", true),
            (&[("data", "/d")], &[stack], "stack = 'files'\n", false),
            (&[("data", "/d"), ("stack", "files")], &[], "", true),
            (&[("ledger-table", "t")], &[], "", true),
            (&[], &[("TWO_BUCKETS_QUEUE_URL", "https://q")], "", true),
            // A server has these too.
            (&[("staging", "sss"), ("region", "r")], &[], "", false),
        ] {
            let settings = check(flags, environment, file).unwrap();
            assert_eq!(
                settings.is_on_aws(),
                is_on_aws,
                "{flags:?} {environment:?} {file}"
            );
        }
    }

    #[test]
    fn the_two_buckets_are_two() {
        let problem = check(&[("staging", "one"), ("archive", "one")], &[], "").unwrap_err();
        assert!(problem.contains("one"), "{problem}");
    }
}
