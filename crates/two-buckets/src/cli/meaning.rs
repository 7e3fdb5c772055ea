//! What the words that were typed mean. Decided once, here; commands get values that cannot contradict each other.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use two_buckets_objects::{Key, Timestamp, VersionId};
use two_buckets_uploads::ReasonPattern;

use super::check::Check;
use super::typed::{
    CheckFlags, ConfigCommand, EverywhereFlags, FaultsCommand, PartsFlags, PutFlags, ReplayFlags,
    RetryFlags, ServeFlags, Speaking, StatusFlags, Typed, TypedCommand, WorkFlags,
};
use crate::config::Flags;
use crate::failure::Failure;
use crate::job::run::Job;

/// A command and the settings given with it.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What to do.
    pub(crate) command: Command,
    /// The settings given by flags.
    pub(crate) flags: Flags,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Run the server.
    Serve,
    /// Run a worker on AWS.
    Work,
    /// Upload files.
    Put(Put),
    /// Show uploads.
    Status(Status),
    /// Show logs.
    Logs(Logs),
    /// Make failed uploads pending.
    Retry {
        /// Of one key, for a reason, or all of them.
        which: Which,
        /// Whether only to count them.
        is_dry_run: bool,
        /// How to print.
        output: Output,
    },
    /// Cancel jobs.
    Cancel {
        /// All that go on of a key, or one upload's.
        named: Named,
        /// How to print.
        output: Output,
    },
    /// Process again what is archived.
    Replay(Replay),
    /// Process nothing new.
    Pause {
        /// Why.
        reason: Option<String>,
        /// How to print.
        output: Output,
    },
    /// Process again.
    Resume(Output),
    /// Sweep now.
    Sweep(Output),
    /// Show or switch faults.
    Faults {
        /// What to do with them.
        change: FaultsChange,
        /// How to print.
        output: Output,
    },
    /// Print the exports for AWS tools.
    Env(Output),
    /// Print the settings.
    Config(Output),
    /// Say which route takes a file.
    Check(Check),
    /// Look whether all is well.
    Doctor {
        /// Whether to try what the store does, by writing.
        probe: bool,
        /// How to print.
        output: Output,
    },
    /// Run a job; none where the environment says which, as in a container of Batch on AWS.
    Job(Option<Job>),
}

/// What to do with faults.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FaultsChange {
    /// Leave them as they are.
    None,
    /// Switch on what this file says, and nothing else.
    Set(PathBuf),
    /// Switch them off.
    Off,
}

/// For whom to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Tables and sentences.
    Person,
    /// JSON.
    Program,
}

/// What `put` shall do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Put {
    /// The files and folders, and `-` for standard input, which is there at most once; at least one.
    pub(crate) paths: Vec<PathBuf>,
    /// How their keys are chosen.
    pub(crate) naming: Naming,
    /// What the one file is called instead of its own name.
    pub(crate) name: Option<String>,
    /// The media type to keep with them.
    pub(crate) media_type: Option<String>,
    /// How many at once; at least one.
    pub(crate) parallel: usize,
    /// Whether to go on with what was begun before, and to remember what is begun.
    pub(crate) resume: bool,
    /// How long to try again.
    pub(crate) retry_for: Duration,
    /// Whether to wait until they are archived.
    pub(crate) wait: bool,
    /// How to print.
    pub(crate) output: Output,
}

/// The path that means standard input.
pub(crate) const STANDARD_INPUT: &str = "-";

/// How the keys of uploaded files are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The server mints a new, unique key.
    Minted,
    /// This key; there is one file.
    Key(Key),
    /// The prefix and the file's own name.
    Prefix(String),
}

/// What `status` shall show.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Only this key.
    pub(crate) key: Option<Key>,
    /// Only this state.
    pub(crate) state: Option<&'static str>,
    /// The most uploads.
    pub(crate) limit: usize,
    /// How to print.
    pub(crate) output: Output,
}

/// What `logs` shall show.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Logs {
    /// Of which upload; of a key's, the latest.
    pub(crate) of: Named,
    /// Only this attempt, from 1.
    pub(crate) attempt: Option<u32>,
    /// Whether to go on until the upload is archived or has failed.
    pub(crate) follow: bool,
    /// How to print.
    pub(crate) output: Output,
}

/// How an upload was named.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// An upload of this key, or if there is none, the upload with this id.
    KeyOrId(Key),
    /// The upload with this id.
    Id(String),
}

/// Which failed uploads to retry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of this key.
    Key(Key),
    /// Those whose reason this means.
    Reason(ReasonPattern),
    /// All.
    All,
}

/// What `replay` shall do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Of what.
    pub(crate) what: Replayed,
    /// Whether to begin anew where one was interrupted.
    pub(crate) is_anew: bool,
    /// Whether only to say how much it would be.
    pub(crate) is_dry_run: bool,
    /// How to print.
    pub(crate) output: Output,
}

/// What is replayed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replayed {
    /// The current version of every key that begins so.
    Prefix {
        /// The prefix.
        prefix: String,
        /// Only what was archived since.
        since: Option<Since>,
    },
    /// One version.
    Version {
        /// Its key.
        key: Key,
        /// Its id.
        version_id: String,
    },
}

/// A moment as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// This one.
    At(Timestamp),
    /// So long ago.
    Ago(Duration),
}

impl FromStr for Since {
    type Err = Failure;

    fn from_str(typed: &str) -> Result<Self, Failure> {
        let ago = || {
            let unit = typed.chars().last()?;
            let seconds = match unit {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                'd' => 86_400,
                _ => return None,
            };
            let count = typed.strip_suffix(unit)?;
            let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
            let count: u64 = count.parse().ok().filter(|_| is_number)?;
            count.checked_mul(seconds).map(Duration::from_secs)
        };
        match (typed.parse(), ago()) {
            (Ok(at), _) => Ok(Self::At(at)),
            (Err(_), Some(ago)) => Ok(Self::Ago(ago)),
            (Err(_), None) => Err(Failure::usage(format!(
                "{typed:?} is no time; write 2026-11-23T10:50:50Z, or 90s, 45m, 2h or 3d for so long ago"
            ))),
        }
    }
}

/// The states of an upload, as the ledger and the API name them.
pub(crate) const STATES: [&str; 6] = [
    "pending",
    "processing",
    "archived",
    "failed",
    "late",
    "duplicate",
];

/// How parsing ended without a command: by words clap prints itself (`--help`, `--version`), or in failure.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// To be printed on standard output; success.
    Printed(String),
    /// To be reported.
    Failed(Failure),
}

/// Parses the words of a command line, the program's own name first.
pub(crate) fn parse(
    words: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<Invocation, Stopped> {
    match Typed::try_parse_from(words) {
        Ok(typed) => understand(typed).map_err(Stopped::Failed),
        Err(error) if error.use_stderr() => {
            Err(Stopped::Failed(Failure::usage(one_sentence(&error))))
        }
        Err(error) => Err(Stopped::Printed(error.render().to_string())),
    }
}

fn understand(typed: Typed) -> Result<Invocation, Failure> {
    let Typed {
        everywhere,
        serve: before,
        command,
    } = typed;
    let (command, serve) = match command {
        None => (Command::Serve, before),
        Some(TypedCommand::Serve(after)) => (Command::Serve, either(before, *after)?),
        Some(TypedCommand::Work(work)) => {
            refuse_before(&before)?;
            return Ok(Invocation {
                command: Command::Work,
                flags: flags(&everywhere, given_to_work(*work)),
            });
        }
        Some(TypedCommand::Config {
            serve,
            output,
            check,
        }) => {
            let command = match check {
                None => Command::Config(output.into()),
                Some(ConfigCommand::Check(check)) => Command::Check(check_meaning(check)?),
            };
            (command, either(before, *serve)?)
        }
        Some(TypedCommand::Job {
            key,
            key_hex,
            version,
            serve,
        }) => {
            let key = match key_hex {
                Some(hex) => Some(key_from_hex(&hex)?),
                None => key,
            };
            let job = match (key, version) {
                (Some(key), Some(version)) => Some(Job {
                    key: parse_key(&key)?,
                    version_id: VersionId::new(version),
                }),
                (None, None) => None,
                _ => {
                    return Err(Failure::usage(
                        "--key and --version are given together, for they name one upload",
                    ));
                }
            };
            (Command::Job(job), either(before, *serve)?)
        }
        Some(command) => {
            refuse_before(&before)?;
            let (command, parts) = client_command(command)?;
            refuse_stack(&everywhere, &command)?;
            return Ok(Invocation {
                command,
                flags: flags(&everywhere, given_parts(parts)),
            });
        }
    };
    refuse_stack(&everywhere, &command)?;
    Ok(Invocation {
        command,
        flags: flags(&everywhere, given(&serve)),
    })
}

/// Flags of the server mean nothing before another command.
fn refuse_before(before: &ServeFlags) -> Result<(), Failure> {
    match given(before).first() {
        None => Ok(()),
        Some((name, _)) => Err(Failure::usage(format!(
            "--{name} stands before the command, where flags of the server are; this command takes its own behind it"
        ))),
    }
}

/// A deployment on AWS means nothing to what runs or is of this machine alone.
fn refuse_stack(everywhere: &EverywhereFlags, command: &Command) -> Result<(), Failure> {
    let name = match command {
        Command::Serve => "serve",
        Command::Faults { .. } => "faults",
        Command::Env(_) => "env",
        _ => return Ok(()),
    };
    match &everywhere.stack {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!(
            "--stack names a deployment on AWS, and `{name}` is about a server on this machine"
        ))),
    }
}

/// What the command is, with the flags that name a deployment's parts.
fn client_command(command: TypedCommand) -> Result<(Command, PartsFlags), Failure> {
    fn with<T: clap::Args>(
        speaking: Speaking<T>,
        meaning: impl FnOnce(T) -> Result<Command, Failure>,
    ) -> Result<(Command, PartsFlags), Failure> {
        Ok((meaning(speaking.own)?, *speaking.parts))
    }
    match command {
        TypedCommand::Put(put) => with(put, |put| put_meaning(put).map(Command::Put)),
        TypedCommand::Status(it) => with(it, |it| status_meaning(it).map(Command::Status)),
        TypedCommand::Logs(logs) => with(logs, |logs| {
            Ok(Command::Logs(Logs {
                of: named(logs.key, logs.id)?,
                attempt: logs.attempt,
                follow: logs.follow,
                output: logs.output.into(),
            }))
        }),
        TypedCommand::Retry(retry) => with(retry, retry_meaning),
        TypedCommand::Cancel(cancel) => with(cancel, |cancel| {
            Ok(Command::Cancel {
                named: named(cancel.key, cancel.id)?,
                output: cancel.output.into(),
            })
        }),
        TypedCommand::Replay(it) => with(it, |it| replay_meaning(it).map(Command::Replay)),
        TypedCommand::Pause(pause) => with(pause, |pause| {
            Ok(Command::Pause {
                reason: pause.reason,
                output: pause.output.into(),
            })
        }),
        TypedCommand::Resume(output) => with(output, |it| Ok(Command::Resume(it.into()))),
        TypedCommand::Sweep(output) => with(output, |it| Ok(Command::Sweep(it.into()))),
        TypedCommand::Doctor(doctor) => with(doctor, |doctor| {
            Ok(Command::Doctor {
                probe: !doctor.no_probe,
                output: doctor.output.into(),
            })
        }),
        other => Ok((server_command(other), PartsFlags::default())),
    }
}

fn retry_meaning(retry: RetryFlags) -> Result<Command, Failure> {
    Ok(Command::Retry {
        which: match (retry.key, retry.reason) {
            (Some(key), _) => Which::Key(parse_key(&key)?),
            (None, Some(reason)) => Which::Reason(
                reason
                    .parse()
                    .map_err(|error| Failure::usage(format!("{error}")))?,
            ),
            (None, None) => Which::All,
        },
        is_dry_run: retry.dry_run,
        output: retry.output.into(),
    })
}

fn server_command(command: TypedCommand) -> Command {
    match command {
        TypedCommand::Faults { output, change } => match change {
            None => Command::Faults {
                change: FaultsChange::None,
                output: output.into(),
            },
            Some(FaultsCommand::Set { file, output }) => Command::Faults {
                change: FaultsChange::Set(file),
                output: output.into(),
            },
            Some(FaultsCommand::Off(output)) => Command::Faults {
                change: FaultsChange::Off,
                output: output.into(),
            },
        },
        TypedCommand::Env(output) => Command::Env(output.into()),
        // Their callers took the others.
        _ => Command::Serve,
    }
}

fn named(key: Option<String>, id: Option<String>) -> Result<Named, Failure> {
    Ok(match id {
        Some(id) => Named::Id(id),
        None => Named::KeyOrId(parse_key(&key.unwrap_or_default())?),
    })
}

fn check_meaning(check: CheckFlags) -> Result<Check, Failure> {
    Ok(Check {
        key: parse_key(&check.key)?,
        media_type: check.media_type,
        size_bytes: check.size,
        output: check.output.into(),
    })
}

fn put_meaning(put: PutFlags) -> Result<Put, Failure> {
    let one_only = |flag: &str| {
        Failure::usage(format!(
            "--{flag} names one file, but {} were given; use --prefix for many",
            put.paths.len()
        ))
    };
    let naming = match (&put.key, put.prefix) {
        (Some(_), _) if put.paths.len() > 1 => return Err(one_only("key")),
        (Some(key), _) => Naming::Key(parse_key(key)?),
        (None, Some(prefix)) => Naming::Prefix(prefix),
        (None, None) => Naming::Minted,
    };
    if put.name.is_some() && put.paths.len() > 1 {
        return Err(one_only("name"));
    }
    let streams = put
        .paths
        .iter()
        .filter(|path| path.as_os_str() == STANDARD_INPUT)
        .count();
    if streams > 1 {
        return Err(Failure::usage("standard input can be read once only"));
    }
    if streams == 1 && put.key.is_none() && put.name.is_none() {
        return Err(Failure::usage(
            "standard input has no name; give it one with --name, or a key with --key",
        ));
    }
    Ok(Put {
        paths: put.paths,
        naming,
        name: put.name,
        media_type: put.media_type,
        parallel: usize::from(put.parallel.max(1)),
        resume: !put.no_resume,
        retry_for: Duration::from_secs(put.retry_for.into()),
        wait: put.wait,
        output: if put.json {
            Output::Program
        } else {
            Output::Person
        },
    })
}

fn replay_meaning(replay: ReplayFlags) -> Result<Replay, Failure> {
    let what = match replay.version {
        Some(version_id) => Replayed::Version {
            key: parse_key(&replay.prefix)?,
            version_id,
        },
        None => Replayed::Prefix {
            prefix: replay.prefix,
            since: replay.since.as_deref().map(str::parse).transpose()?,
        },
    };
    Ok(Replay {
        what,
        is_anew: replay.anew,
        is_dry_run: replay.dry_run,
        output: replay.output.into(),
    })
}

fn status_meaning(status: StatusFlags) -> Result<Status, Failure> {
    let state = match status.state {
        None => None,
        Some(typed) => Some(
            STATES
                .into_iter()
                .find(|state| *state == typed)
                .ok_or_else(|| {
                    Failure::usage(format!(
                        "there is no state {typed:?}; the states are {}",
                        STATES.join(", ")
                    ))
                })?,
        ),
    };
    Ok(Status {
        key: status.key.as_deref().map(parse_key).transpose()?,
        state,
        limit: usize::try_from(status.limit).unwrap_or(usize::MAX),
        output: status.output.into(),
    })
}

fn parse_key(key: &str) -> Result<Key, Failure> {
    key.parse()
        .map_err(|error| Failure::usage(format!("{error}")))
}

fn key_from_hex(hex: &str) -> Result<String, Failure> {
    hex::decode(hex)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Failure::usage("--key-hex is no key in hexadecimal"))
}

/// The flags of the server that were given, by name. One that may be repeated is joined, one a line.
fn given(flags: &ServeFlags) -> Vec<(&'static str, OsString)> {
    let (reach, callers) = (&flags.reach, &flags.callers);
    let (function, command, job) = (&flags.function, &flags.command, &flags.job);
    let truth = |is_given: bool| is_given.then(|| OsString::from("true"));
    let (moves, shell) = (truth(function.function_moves), truth(command.shell));
    let once = [
        ("s3", &flags.s3),
        ("web", &flags.web),
        ("s3-url", &reach.s3_url),
        ("web-url", &reach.web_url),
        ("tls-cert", &reach.tls_cert),
        ("tls-key", &reach.tls_key),
        ("connections-per-client", &reach.connections_per_client),
        ("token-file", &callers.token_file),
        ("oidc-issuer", &callers.oidc_issuer),
        ("oidc-audience", &callers.oidc_audience),
        ("oidc-jwks-url", &callers.oidc_jwks_url),
        ("oidc-algorithms", &callers.oidc_algorithms),
        ("oidc-prefix-claim", &callers.oidc_prefix_claim),
        ("oidc-admin-claim", &callers.oidc_admin_claim),
        ("requests-per-minute", &callers.requests_per_minute),
        ("upload-size-max", &callers.upload_size_max),
        ("upload-types", &callers.upload_types),
        ("uploads-per-minute", &callers.uploads_per_minute),
        ("function", &function.function),
        ("function-handler", &function.function_handler),
        ("function-timeout-s", &function.function_timeout_s),
        ("function-memory-mib", &function.function_memory_mib),
        ("function-scratch-mib", &function.function_scratch_mib),
        ("function-concurrency", &function.function_concurrency),
        ("function-batch", &function.function_batch),
        ("function-moves", &moves),
        ("function-python", &function.function_python),
        ("command", &command.command),
        ("shell", &shell),
        ("command-timeout-s", &command.command_timeout_s),
        ("command-permanent-exit", &command.command_permanent_exit),
        ("command-output", &command.command_output),
        ("command-scratch-mib", &command.command_scratch_mib),
        ("command-stdout-mib", &command.command_stdout_mib),
        ("job-from-bytes", &job.job_from_bytes),
        ("job-concurrency", &job.job_concurrency),
        ("job-nice", &job.job_nice),
        ("job-memory-mib", &job.job_memory_mib),
        ("job-timeout-s", &job.job_timeout_s),
        ("staging", &flags.staging),
        ("archive", &flags.archive),
        ("region", &flags.region),
        ("workers", &flags.workers),
        ("max-attempts", &flags.max_attempts),
        ("sweep-interval-s", &flags.sweep_interval_s),
        ("just-moved-grace-s", &flags.just_moved_grace_s),
        ("abort-incomplete-days", &flags.abort_incomplete_days),
        ("faults", &flags.faults),
        ("history-days", &flags.history_days),
        ("history-max", &flags.history_max),
    ];
    let repeated = [
        ("behind-proxy", &reach.behind_proxy),
        ("allow-origin", &reach.allow_origin),
        ("function-env", &function.function_env),
        (
            "function-permanent-errors",
            &function.function_permanent_errors,
        ),
        ("command-env", &command.command_env),
    ];
    once.into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .chain(
            repeated
                .into_iter()
                .filter(|(_, values)| !values.is_empty())
                .map(|(name, values)| (name, values.join(std::ffi::OsStr::new("\n")))),
        )
        .collect()
}

/// The server's flags may stand before its command or behind it, not both.
fn either(before: ServeFlags, after: ServeFlags) -> Result<ServeFlags, Failure> {
    match (given(&before).first(), given(&after).first()) {
        (Some((first, _)), Some(_)) => Err(Failure::usage(format!(
            "--{first} stands before the command and other flags behind it; put all of them behind it"
        ))),
        (Some(_), None) => Ok(before),
        _ => Ok(after),
    }
}

/// The flags of a worker that were given, by name.
fn given_to_work(work: WorkFlags) -> Vec<(&'static str, OsString)> {
    let own = [
        ("function-arn", work.function_arn),
        ("function-role-arn", work.function_role_arn),
        ("kms-key-arn", work.kms_key_arn),
        ("job-queue", work.job_queue),
        ("job-definition", work.job_definition),
        ("job-from-bytes", work.job_from_bytes),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let as_of_a_server = ServeFlags {
        workers: work.workers,
        max_attempts: work.max_attempts,
        sweep_interval_s: work.sweep_interval_s,
        history_days: work.history_days,
        command: work.command,
        ..ServeFlags::default()
    };
    let parts = given_parts(work.parts);
    let shared = given(&as_of_a_server).into_iter();
    shared.chain(parts).chain(own).collect()
}

/// The flags that name a deployment's parts, by name.
fn given_parts(parts: PartsFlags) -> Vec<(&'static str, OsString)> {
    let all = [
        ("staging", parts.staging),
        ("archive", parts.archive),
        ("ledger-table", parts.ledger_table),
        ("ledger-shards", parts.ledger_shards),
        ("queue-url", parts.queue_url),
        ("region", parts.region),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn flags(everywhere: &EverywhereFlags, given: Vec<(&'static str, OsString)>) -> Flags {
    let config_file = everywhere.config.as_ref().map(PathBuf::from);
    let values = given
        .into_iter()
        .chain(
            [
                ("data", &everywhere.data),
                ("stack", &everywhere.stack),
                ("log-format", &everywhere.log_format),
                ("log", &everywhere.log),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?))),
        )
        .collect();
    Flags {
        config_file,
        values,
    }
}

impl From<super::typed::OutputFlags> for Output {
    fn from(flags: super::typed::OutputFlags) -> Self {
        if flags.json {
            Self::Program
        } else {
            Self::Person
        }
    }
}

/// The words behind a command of the server that make these flags again.
pub(crate) fn words(flags: &Flags) -> Vec<OsString> {
    let typed = Typed::command();
    let mut words = Vec::new();
    for (name, value) in &flags.values {
        let action = typed
            .get_arguments()
            .find(|argument| argument.get_long() == Some(name))
            .map(clap::Arg::get_action);
        let word = |value: &OsStr| {
            let mut word = OsString::from(format!("--{name}="));
            word.push(value);
            word
        };
        match action {
            Some(clap::ArgAction::SetTrue) => words.push(format!("--{name}").into()),
            Some(clap::ArgAction::Append) => {
                let values = value.as_encoded_bytes().split(|byte| *byte == b'\n');
                words.extend(values.map(|value| word(OsStr::from_bytes(value))));
            }
            _ => words.push(word(value)),
        }
    }
    if let Some(file) = &flags.config_file {
        let mut word = OsString::from("--config=");
        word.push(file);
        words.push(word);
    }
    words
}

/// Clap explains itself in several lines; of those the reason and its tips, in one, with semicolons before the tips.
fn one_sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let reason: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"))
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect();
    let reason = reason.join(" ").replace(" tip: ", "; ");
    format!(
        "{}; see two-buckets --help",
        reason.strip_prefix("error: ").unwrap_or(&reason)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use two_buckets_objects::Timestamp;

    use super::{
        Command, Invocation, Named, Naming, Output, Replayed, Since, Stopped, Which, parse,
    };

    fn check(line: &str) -> Invocation {
        parse(
            std::iter::once("two-buckets")
                .chain(line.split_whitespace())
                .map(Into::into),
        )
        .unwrap()
    }

    fn refused(line: &str) -> String {
        let stopped = parse(
            std::iter::once("two-buckets")
                .chain(line.split_whitespace())
                .map(Into::into),
        )
        .unwrap_err();
        match stopped {
            Stopped::Failed(failure) => {
                assert_eq!(failure.code(), 2, "{line}");
                failure.to_string()
            }
            Stopped::Printed(text) => panic!("{line} printed {text}"),
        }
    }

    #[test]
    fn no_command_means_serve_and_takes_its_flags() {
        let without = check("--s3 127.0.0.1:0 --data d");
        let with = check("serve --s3 127.0.0.1:0 --data d");
        assert_eq!(without.command, Command::Serve);
        assert_eq!(with.command, Command::Serve);
        assert_eq!(without.flags, with.flags);
        assert_eq!(
            with.flags.values.get("s3"),
            Some(&"127.0.0.1:0".to_owned().into())
        );
    }

    #[test]
    fn a_worker_takes_its_own_flags_and_those_it_shares_with_the_server() {
        let work = check("work --staging s --queue-url https://q --command cat --log debug");
        assert_eq!(work.command, Command::Work);
        let values = work.flags.values;
        let given: Vec<(&str, &str)> = values
            .iter()
            .map(|(name, value)| (*name, value.to_str().unwrap()))
            .collect();
        assert_eq!(
            given,
            [
                ("command", "cat"),
                ("log", "debug"),
                ("queue-url", "https://q"),
                ("staging", "s")
            ]
        );
        assert!(refused("--staging s work").contains("--staging"));
        refused("work --s3 127.0.0.1:0");
        refused("work --function f.py");
    }

    #[test]
    fn a_key_names_one_file() {
        let Command::Put(put) = check("put a --key k/1").command else {
            panic!("put");
        };
        assert_eq!(put.naming, Naming::Key("k/1".parse().unwrap()));
        assert!(refused("put a b --key k").contains("--prefix"));
        refused("put a --key k --prefix p");
        refused("put");
        assert!(refused("put a b --name n").contains("--name"));
        refused("put a --key k --name n");
    }

    #[test]
    fn standard_input_needs_a_name_and_is_read_once() {
        assert!(refused("put -").contains("--name"));
        // More than one file cannot share a name, so standard input goes alone.
        refused("put - a --name n");
        refused("put - - --prefix p/");
        for good in [
            "put - --name n",
            "put - --key k",
            "put - --name n --prefix p/",
        ] {
            check(good);
        }
    }

    #[test]
    fn retry_needs_a_key_or_all_and_not_both() {
        assert_eq!(
            check("retry --all --json").command,
            Command::Retry {
                which: Which::All,
                is_dry_run: false,
                output: Output::Program
            }
        );
        assert_eq!(
            check("retry --reason a*b --dry-run").command,
            Command::Retry {
                which: Which::Reason("a*b".parse().unwrap()),
                is_dry_run: true,
                output: Output::Person
            }
        );
        refused("retry");
        refused("retry --dry-run");
        refused("retry k --all");
        refused("retry --reason a --all");
        refused("retry --reason *");
    }

    #[test]
    fn a_replay_is_of_a_prefix_since_a_time_or_of_one_version() {
        let replay = |line: &str| match check(line).command {
            Command::Replay(replay) => replay,
            other => panic!("{other:?}"),
        };
        for (typed, since) in [
            ("90s", Since::Ago(Duration::from_secs(90))),
            ("45m", Since::Ago(Duration::from_mins(45))),
            ("2h", Since::Ago(Duration::from_hours(2))),
            ("3d", Since::Ago(Duration::from_hours(72))),
            (
                "1970-01-01T00:00:01Z",
                Since::At(Timestamp::from_millis(1_000)),
            ),
        ] {
            assert_eq!(
                replay(&format!("replay a/ --since {typed}")).what,
                Replayed::Prefix {
                    prefix: "a/".into(),
                    since: Some(since),
                }
            );
        }
        assert_eq!(
            replay("replay a --version v --dry-run").what,
            Replayed::Version {
                key: "a".parse().unwrap(),
                version_id: "v".into(),
            }
        );
        refused("replay");
        refused("replay a --version v --since 2h");
        for odd in ["2", "h", "+2h", "2 h", "yesterday", "99999999999999999999d"] {
            refused(&format!("replay a --since {odd}"));
        }
    }

    #[test]
    fn cancel_needs_a_key_or_an_id_and_not_both() {
        let cancel = |named| Command::Cancel {
            named,
            output: Output::Person,
        };
        assert_eq!(
            check("cancel k").command,
            cancel(Named::KeyOrId("k".parse().unwrap()))
        );
        assert_eq!(
            check("cancel --id 7").command,
            cancel(Named::Id("7".into()))
        );
        refused("cancel");
        refused("cancel k --id 7");
    }

    #[test]
    fn a_bad_word_is_answered_with_one_sentence() {
        for line in [
            "--nonsense",
            "nonsense",
            "status --limit x",
            "status --state lost",
        ] {
            let sentence = refused(line);
            assert!(!sentence.contains('\n'), "{sentence}");
            assert!(!sentence.starts_with("error"), "{sentence}");
        }
    }

    #[test]
    fn a_job_is_called_by_the_same_flags_as_its_server() {
        let typed = [
            "two-buckets",
            "--config=c.toml",
            "--log=debug",
            "serve",
            "--data=d e",
            "--shell",
            "--command=a --b 'c d'\nz",
            "--command-env=A=1,2\t3",
            "--command-env=B",
            "--function-env=--x=1",
            "--job-from-bytes=5",
            "--workers=3",
        ];
        let server = parse(typed.map(Into::into)).unwrap();
        let mut words: Vec<std::ffi::OsString> = ["two-buckets", "job", "--key=--k", "--version=v"]
            .map(Into::into)
            .into();
        words.extend(super::words(&server.flags));
        let job = parse(words).unwrap();
        assert_eq!(job.flags, server.flags);
        let Command::Job(Some(job)) = job.command else {
            panic!("{:?}", job.command);
        };
        assert_eq!((job.key.as_str(), job.version_id.as_str()), ("--k", "v"));
    }

    #[test]
    fn a_deployment_is_named_before_or_behind_a_command_that_speaks_to_it() {
        for line in [
            "--stack files status",
            "status --stack files",
            "put a --stack files --region eu-central-1",
            "doctor --stack files --no-probe",
            "work --stack files",
            "job --stack files",
        ] {
            let flags = check(line).flags;
            assert_eq!(flags.values.get("stack"), Some(&"files".into()), "{line}");
        }
        let line = "retry --all --staging s --archive a --ledger-table t --queue-url https://q";
        let values = check(line).flags.values;
        let names: Vec<&str> = values.keys().copied().collect();
        assert_eq!(names, ["archive", "ledger-table", "queue-url", "staging"]);
        for line in [
            "--stack files",
            "serve --stack files",
            "env --stack files",
            "faults --stack files",
        ] {
            assert!(refused(line).contains("--stack"), "{line}");
        }
        refused("faults --staging s");
    }

    #[test]
    fn a_job_is_named_whole_or_by_the_environment() {
        assert_eq!(check("job").command, Command::Job(None));
        assert!(refused("job --key k").contains("--version"));
        assert!(refused("job --version v").contains("--key"));
        refused("job --key k --key-hex 6b --version v");
    }

    #[test]
    fn flags_of_the_server_are_refused_where_they_would_mean_nothing() {
        assert!(refused("--s3 127.0.0.1:1 status").contains("--s3"));
        assert!(refused("--s3 127.0.0.1:1 serve --web 127.0.0.1:2").contains("--s3"));
        check("--data d status");
        check("status --data d");
    }
}
